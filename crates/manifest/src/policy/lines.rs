//! Where the keys of a policy stand, so that a decision can name the line that it follows.

use crate::node::{Node, Value};
use std::collections::BTreeMap;

/// Lines by path of key.
#[derive(Debug, Clone, Default)]
pub(super) struct Lines(BTreeMap<String, u32>);

/// Two policies that say the same are the same, wherever their keys stand.
impl PartialEq for Lines {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Lines {}

impl Lines {
    /// Gathers the places of all keys and items below `root`, whose spans are those of the text of `bytes`.
    ///
    /// The tree is within the reader's budgets, so that this is too: the paths of one branch are at most as long as
    /// its keys, and free keys are left out.
    pub(super) fn of(root: &Node, bytes: &[u8]) -> Self {
        let text = crate::yaml::decode(bytes, crate::yaml::Limits::WRITTEN).unwrap_or_default();
        let newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts: Vec<usize> = std::iter::once(0).chain(newlines.map(|(at, _)| at + 1)).collect();
        let line =
            |at: usize| u32::try_from(starts.partition_point(|start| *start <= at)).unwrap_or(u32::MAX);
        let mut lines = Self::default();
        lines.walk(root, "", &line);
        lines
    }

    fn walk(&mut self, node: &Node, path: &str, line: &impl Fn(usize) -> u32) {
        match &node.value {
            Value::Scalar(_) => {}
            Value::List(items) => {
                for (at, item) in items.iter().enumerate() {
                    let path = format!("{path}[{at}]");
                    self.walk(item, &path, line);
                    self.0.insert(path, line(item.span.start));
                }
            }
            Value::Map(entries) => {
                for entry in entries.iter().filter(|entry| !crate::node::is_free(&entry.key)) {
                    let path =
                        if path.is_empty() { entry.key.clone() } else { format!("{path}.{}", entry.key) };
                    self.walk(&entry.value, &path, line);
                    self.0.insert(path, line(entry.key_span.start));
                }
            }
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<u32> {
        self.0.get(key).copied()
    }
}
