//! What the engine was asked to change, as it tells itself.

use crate::docker::docker;
use serde_json::Value;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment in the engine's own notation: seconds and nanoseconds since 1970.
pub(crate) fn now() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    format!("{}.{:09}", now.as_secs(), now.subsec_nanos())
}

/// Events of a stack's containers and networks since a moment.
#[track_caller]
pub(crate) fn since(start: &str, stack: &str) -> Vec<String> {
    let prefix = format!("sovai-{stack}-");
    docker(&["events", "--since", start, "--until", &now(), "--format", "{{json .}}"])
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|event| {
            let of = |key: &str| event["Actor"]["Attributes"][key].as_str().unwrap_or_default().to_owned();
            of("sovai.stack") == stack || of("name").starts_with(&prefix)
        })
        .map(|event| format!("{} {}", event["Type"].as_str().unwrap_or_default(), event["Action"]))
        .collect()
}
