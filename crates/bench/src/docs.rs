//! The block of figures in a page of the docs.

use crate::error::{BenchError, io};
use std::path::Path;

const BEGIN: &str = "<!-- figures: written by scripts/bench.sh -->\n";
const END: &str = "<!-- end of figures -->\n";

/// Puts `figures` in the place of the block in `page`.
pub(crate) fn rewrite(page: &Path, figures: &str) -> Result<(), BenchError> {
    let text = fs_err::read_to_string(page).map_err(io("the page of figures"))?;
    let text = replaced(&text, figures).ok_or_else(|| {
        BenchError::Unfit(format!("{} has not exactly one block of figures", page.display()))
    })?;
    fs_err::write(page, text).map_err(io("the page of figures"))
}

fn replaced(page: &str, figures: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (old, after) = rest.split_once(END)?;
    let more = [before, old, after].iter().any(|part| part.contains(BEGIN) || part.contains(END));
    (!more).then(|| format!("{before}{BEGIN}\n{figures}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_block_changes() {
        let page = format!("a\n{BEGIN}old\n{END}b\n");
        let new = replaced(&page, "new\n").unwrap();
        assert_eq!(new, format!("a\n{BEGIN}\nnew\n\n{END}b\n"));
        assert_eq!(replaced(&new, "new\n").unwrap(), new);
    }

    #[test]
    fn a_page_without_one_whole_block_is_left_alone() {
        for page in [
            "a".to_owned(),
            format!("{BEGIN}a"),
            format!("{END}{BEGIN}"),
            format!("{BEGIN}{END}{BEGIN}{END}"),
        ] {
            assert!(replaced(&page, "x").is_none(), "{page}");
        }
    }
}
