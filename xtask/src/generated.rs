//! Documentation that follows from the code: written by `generate`, compared by `check`.

use crate::linked;
use crate::problem::{Problem, XtaskError};
use std::io::ErrorKind;
use std::path::Path;

/// One generated file, or one generated part of a file that is otherwise written by hand.
struct Document {
    /// From the workspace's root.
    path: &'static str,
    part: Part,
    content: String,
}

enum Part {
    /// The file is all ours.
    Whole,
    /// What stands between `<!-- generated: NAME -->` and `<!-- end: NAME -->`.
    Section(&'static str),
}

fn documents(root: &Path) -> Result<Vec<Document>, XtaskError> {
    let whole = |path, content| Document { path, part: Part::Whole, content };
    let section = |path, name, content| Document { path, part: Part::Section(name), content };
    Ok(vec![
        whole(linked::PATH, linked::table(root)?),
        whole("docs/schema/sovai-v1.schema.json", format!("{:#}\n", sovai_manifest::schema())),
        whole("docs/schema/sovai-lock-v1.schema.json", format!("{:#}\n", sovai_manifest::lock_schema())),
        whole("docs/schema/sovai-policy-v1.schema.json", format!("{:#}\n", sovai_manifest::policy_schema())),
        section("docs/policy.md", "fields", sovai_manifest::policy_fields_markdown()),
        section("docs/policy.md", "rules", sovai_policy::rules_markdown()),
        section("docs/manifest.md", "fields", sovai_manifest::fields_markdown()),
        section("docs/manifest.md", "rules", sovai_manifest::rules_markdown()),
        section("docs/exit-codes.md", "exit-codes", sovai::table_markdown()),
    ])
}

/// Compares what stands in the repository with what should.
pub(crate) fn check(root: &Path) -> Result<Vec<Problem>, XtaskError> {
    let mut problems = Vec::new();
    for document in documents(root)? {
        let current = read(&root.join(document.path))?;
        match document.render(&current) {
            Ok(expected) if expected == current => {}
            Ok(_) => {
                problems.push(Problem::error(document.path, "is not current; run `cargo xtask generate`"));
            }
            Err(problem) => problems.push(problem),
        }
    }
    Ok(problems)
}

/// Writes all of it; what cannot be written is returned.
pub(crate) fn write(root: &Path) -> Result<Vec<Problem>, XtaskError> {
    let mut problems = Vec::new();
    for document in documents(root)? {
        let path = root.join(document.path);
        let current = read(&path)?;
        match document.render(&current) {
            Ok(expected) if expected == current => {}
            Ok(expected) => {
                if let Some(folder) = path.parent() {
                    fs_err::create_dir_all(folder)?;
                }
                fs_err::write(&path, expected)?;
            }
            Err(problem) => problems.push(problem),
        }
    }
    Ok(problems)
}

/// The file's text; a file that is not there is empty.
fn read(path: &Path) -> Result<String, XtaskError> {
    match fs_err::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error.into()),
    }
}

impl Document {
    /// The whole file as it should be, given as it is.
    fn render(&self, current: &str) -> Result<String, Problem> {
        let Part::Section(name) = self.part else { return Ok(self.content.clone()) };
        let (start, end) = (format!("<!-- generated: {name} -->\n"), format!("<!-- end: {name} -->"));
        let missing = |what: &str| Problem::error(self.path, format!("lacks the line `{}`", what.trim_end()));
        let (before, rest) = current.split_once(&start).ok_or_else(|| missing(&start))?;
        let (_, after) = rest.split_once(&end).ok_or_else(|| missing(&end))?;
        Ok(format!("{before}{start}\n{}\n\n{end}{after}", self.content.trim()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(content: &str) -> Document {
        Document { path: "docs/a.md", part: Part::Section("table"), content: content.to_owned() }
    }

    #[test]
    fn a_section_is_replaced_and_nothing_around_it() {
        let before = "# A\n\n<!-- generated: table -->\nold\n<!-- end: table -->\n\ntail\n";
        let after = section("new\n").render(before).unwrap();
        assert_eq!(after, "# A\n\n<!-- generated: table -->\n\nnew\n\n<!-- end: table -->\n\ntail\n");
        assert_eq!(section("new").render(&after).unwrap(), after, "a second time changes nothing");
    }

    #[test]
    fn a_missing_mark_is_named() {
        for (text, mark) in [
            ("# A\n", "`<!-- generated: table -->`"),
            ("<!-- generated: table -->\n", "`<!-- end: table -->`"),
            ("<!-- end: table -->\n<!-- generated: table -->\n", "`<!-- end: table -->`"),
        ] {
            let problem = section("new").render(text).unwrap_err().to_string();
            assert!(problem.contains(mark), "{problem}");
        }
    }

    #[test]
    fn a_whole_file_is_its_content() {
        let document = Document { path: "docs/a.json", part: Part::Whole, content: "{}\n".to_owned() };
        assert_eq!(document.render("anything").unwrap(), "{}\n");
    }
}
