//! `--accelerators 8xH200`.

use crate::error::CliError;
use crate::exit::Exit;
use crate::output::safe_line;
use sovai_catalog::{Card, card, cards, suggest};
use std::fmt;

/// Most devices of one host that make sense to ask for.
const MOST: u32 = 1024;

/// So many of a card.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) count: u32,
    pub(super) card: &'static Card,
}

impl Wanted {
    /// Reads `COUNTxCARD`; a card alone means one.
    pub(super) fn parse(text: &str) -> Result<Self, CliError> {
        let wrong = |message: String| CliError::new(Exit::Usage, format!("--accelerators: {message}"));
        let (count, name) = match text.split_once(['x', 'X', '*']) {
            Some((count, name)) if !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit()) => {
                (count.parse().ok().filter(|count| (1..=MOST).contains(count)), name)
            }
            _ => (Some(1), text),
        };
        let count = count
            .ok_or_else(|| wrong(format!("expected a count of 1 to {MOST}, found `{}`", safe_line(text))))?;
        let card = card(name).ok_or_else(|| {
            let names = cards().iter().flat_map(|card| std::iter::once(&card.id).chain(&card.aliases));
            let error = wrong(format!("no card `{}` is known", safe_line(name)));
            if let Some(turned) = turned(text) {
                return error.hint(format!("the count comes first: {turned}"));
            }
            if let Some(near) = suggest(name, names.map(String::as_str)) {
                return error.hint(format!("did you mean `{near}`?"));
            }
            let known: Vec<&str> = cards().iter().map(|card| card.id.as_str()).collect();
            error.hint(format!("known are {}", known.join(", ")))
        })?;
        Ok(Self { count, card })
    }

    /// Memory of all of them in GB, where it is known.
    pub(super) fn memory_gb(self) -> Option<u32> {
        self.card.memory_gb.value().map(|gb| gb.saturating_mul(self.count))
    }
}

/// `CARDxCOUNT` the right way round, where that is what was meant.
fn turned(text: &str) -> Option<String> {
    let (name, count) = text.rsplit_once(['x', 'X', '*'])?;
    let count: u32 = count.parse().ok().filter(|count| (1..=MOST).contains(count))?;
    Some(format!("{count}x{}", card(name)?.id.to_uppercase()))
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.count, self.card.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_cards_are_read() {
        let read = |text: &str| Wanted::parse(text).map(|wanted| wanted.to_string());
        assert_eq!(read("8xH200").unwrap(), "8xh200");
        assert_eq!(read("16xAscend_A3").unwrap(), "16xascend-a3");
        assert_eq!(read("rtx-5090").unwrap(), "1xrtx-5090");
        assert_eq!(read("MI300X").unwrap(), "1xmi300x");
        assert_eq!(turned("h200x8").as_deref(), Some("8xH200"));
        assert_eq!(turned("RTX-5090*2").as_deref(), Some("2xRTX-5090"));
        for other in ["h200", "h200x", "h200x0", "h200x9999", "x8", "cardx8"] {
            assert_eq!(turned(other), None, "{other}");
        }
        for bad in ["h200x8", "", "8x", "0xh200", "99999999999xh200", "8xh2000000", "x"] {
            assert_eq!(read(bad).unwrap_err().exit(), Exit::Usage, "{bad}");
        }
    }
}
