//! A client of the gateway: curl, as a person would use it.

use crate::process::run;
use serde_json::Value;
use std::process::Command;

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Reply {
    /// 0: there was no answer.
    pub(crate) status: u16,
    pub(crate) body: String,
    /// What curl said, for messages.
    problem: String,
}

impl Reply {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("no JSON: {error}: {self:?}"))
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self}");
        self
    }

    /// The text of a chat completion.
    #[track_caller]
    pub(crate) fn answer(&self) -> String {
        let value = self.json();
        let text = value.pointer("/choices/0/message/content").and_then(Value::as_str);
        text.unwrap_or_else(|| panic!("no completion: {self:?}")).to_owned()
    }
}

impl std::fmt::Display for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "status {}: {}\n{}", self.status, self.body, self.problem)
    }
}

/// One request.
pub(crate) fn curl(args: &[&str]) -> Reply {
    let ran = run(Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "60", "--write-out", "\n%{http_code}"])
        .args(args));
    let (body, status) = ran.stdout.rsplit_once('\n').unwrap_or(("", "0"));
    Reply { status: status.parse().unwrap_or(0), body: body.to_owned(), problem: ran.stderr }
}

/// The body of a chat completion's request.
pub(crate) fn chat(model: &str, prompt: &str, stream: bool) -> String {
    serde_json::json!({
        "model": model,
        "messages": [{ "role": "user", "content": prompt }],
        "max_tokens": 32,
        "temperature": 0,
        "stream": stream,
    })
    .to_string()
}
