//! One real question to a model.

use super::{Place, ProbeError, shown};
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::Full;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// Longest answer that is read, in bytes.
const MAX_BODY: usize = 8 << 20;
const PATH: &str = "/v1/chat/completions";

/// One question to a model.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Question {
    /// `http://HOST:PORT`; a path other than `/v1/chat/completions` may be added.
    pub url: String,
    /// The key to present; never shown by `Debug`.
    #[serde(default)]
    pub key: Option<String>,
    /// The model's name there.
    pub model: String,
    /// What is asked, as the user.
    pub prompt: String,
    /// Longest answer, in tokens.
    pub max_tokens: u32,
    /// When waiting ends, in milliseconds from the call.
    pub deadline_ms: u64,
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Question")
            .field("url", &self.url)
            .field("key", &self.key.as_ref().map(|_| "..."))
            .field("model", &self.model)
            .field("max_tokens", &self.max_tokens)
            .field("deadline_ms", &self.deadline_ms)
            .finish_non_exhaustive()
    }
}

/// What a model answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The text.
    pub text: String,
    /// Why it ended there, in the engine's word: `stop`, `length`.
    pub finish_reason: Option<String>,
    /// Tokens of the question, as the engine counts.
    pub prompt_tokens: Option<u64>,
    /// Tokens of the answer, as the engine counts.
    pub completion_tokens: Option<u64>,
    /// Time from the call to the whole answer, in milliseconds.
    pub elapsed_ms: u64,
}

/// Asks one question at temperature 0 and waits for the whole answer.
///
/// # Errors
/// When there is no whole answer in time, or it is no completion; an answer with another status is in the error with its
/// first characters.
pub async fn ask(question: &Question) -> Result<Answer, ProbeError> {
    let mut place = Place::parse(&question.url)?;
    if place.path == "/" {
        place.path = http::Uri::from_static(PATH);
    }
    let body = json!({
        "model": question.model,
        "messages": [{ "role": "user", "content": question.prompt }],
        "max_tokens": question.max_tokens,
        "temperature": 0,
        "stream": false,
    });
    let mut request = Request::new(Full::new(Bytes::from(body.to_string())));
    *request.method_mut() = Method::POST;
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    if let Some(key) = &question.key {
        let value = HeaderValue::try_from(format!("Bearer {key}")).map_err(|_| ProbeError::Shape {
            problem: "the key cannot stand in a header",
            body: String::new(),
        })?;
        headers.insert(AUTHORIZATION, value);
    }
    let start = Instant::now();
    let (status, body) =
        timeout(Duration::from_millis(question.deadline_ms), place.exchange(request, MAX_BODY))
            .await
            .map_err(|_| ProbeError::Deadline(question.deadline_ms))?
            .map_err(|source| ProbeError::Connect { url: question.url.clone(), source })?;
    if status != StatusCode::OK {
        return Err(ProbeError::Status { status: status.as_u16(), body: shown(&body) });
    }
    let elapsed_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    read(&body, elapsed_ms).map_err(|problem| ProbeError::Shape { problem, body: shown(&body) })
}

fn read(body: &[u8], elapsed_ms: u64) -> Result<Answer, &'static str> {
    let value: Value = serde_json::from_slice(body).map_err(|_| "not JSON")?;
    let choice = value.pointer("/choices/0").ok_or("no `choices`")?;
    let text = choice.pointer("/message/content").and_then(Value::as_str).ok_or("no `message.content`")?;
    let tokens = |name: &str| value.get("usage").and_then(|u| u.get(name)).and_then(Value::as_u64);
    Ok(Answer {
        text: text.to_owned(),
        finish_reason: choice.get("finish_reason").and_then(Value::as_str).map(str::to_owned),
        prompt_tokens: tokens("prompt_tokens"),
        completion_tokens: tokens("completion_tokens"),
        elapsed_ms,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_completion_is_read_and_anything_else_is_named() {
        let answer = read(
            br#"{"choices":[{"message":{"content":"Kuala Lumpur"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":4}}"#,
            7,
        )
        .unwrap();
        assert_eq!(
            (answer.text.as_str(), answer.prompt_tokens, answer.completion_tokens),
            ("Kuala Lumpur", Some(9), Some(4))
        );
        assert_eq!(read(b"<html>", 0), Err("not JSON"));
        assert_eq!(read(b"{}", 0), Err("no `choices`"));
        assert_eq!(read(br#"{"choices":[{"message":{"content":null}}]}"#, 0), Err("no `message.content`"));
    }

    #[test]
    fn neither_key_nor_prompt_is_in_debug() {
        let question = Question {
            url: "http://x".into(),
            key: Some("sk-secret".into()),
            model: "m".into(),
            prompt: "private words".into(),
            max_tokens: 1,
            deadline_ms: 1,
        };
        let text = format!("{question:?}");
        assert!(!text.contains("secret") && !text.contains("private"), "{text}");
    }
}
