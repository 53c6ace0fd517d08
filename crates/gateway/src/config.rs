//! The gateway's configuration: one JSON file.

use crate::GatewayError;
use http::uri::{Authority, Scheme};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest configuration that is read, in bytes.
const MAX_CONFIG: u64 = 1 << 20;

/// The gateway's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Config {
    /// `sovai/v1`.
    pub api_version: String,
    /// `GatewayConfig`.
    pub kind: String,
    /// The public port.
    pub listen: SocketAddr,
    /// A second door without TLS for the stack's own questions; loopback only. It asks for keys like the first.
    #[serde(default)]
    pub inner: Option<SocketAddr>,
    /// The port of `/metrics`; it asks for no key, so it is not to be published.
    #[serde(default)]
    pub metrics: Option<SocketAddr>,
    /// Certificate and key of the public port; without it the port speaks plain HTTP.
    #[serde(default)]
    pub tls: Option<TlsConfig>,
    /// File with one lower-case SHA-256 digest of a key a line; `null` means that no key is asked for. The field must be
    /// there: leaving it out by mistake must not open the door.
    #[serde(deserialize_with = "required")]
    pub keys: Option<PathBuf>,
    /// What each public model name stands for.
    pub routes: BTreeMap<String, RouteConfig>,
    /// Bounds; each has a default.
    #[serde(default)]
    pub limits: Limits,
}

/// A field that may be `null` but may not be left out.
fn required<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    Option::deserialize(deserializer)
}

/// Files of the public port's TLS, all PEM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TlsConfig {
    /// Certificate chain, the server's own first.
    pub cert: PathBuf,
    /// Private key: PKCS#8, SEC1 or PKCS#1.
    pub key: PathBuf,
    /// Authorities whose client certificates are asked for; `null` asks for none.
    #[serde(default)]
    pub client_ca: Option<PathBuf>,
}

/// What a public model name stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RouteConfig {
    /// `http://HOST:PORT` of the engine.
    pub upstream: String,
    /// The name under which that engine knows the model.
    pub model: String,
}

/// Bounds of what one client can cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Limits {
    /// Longest request body in bytes; longer is answered by 413.
    pub body_bytes: u64,
    /// Request bodies held in memory at once, in bytes; beyond it requests are answered by 503.
    pub buffered_bytes: u64,
    /// Longest request head in bytes (431).
    pub header_bytes: u32,
    /// Until a request's head is complete, and how long a connection may idle between requests. Also bounds the TLS handshake.
    pub header_timeout_ms: u64,
    /// Until a request's body is complete (408).
    pub body_timeout_ms: u64,
    /// Until a connection to an engine stands, name look-up included (503).
    pub connect_timeout_ms: u64,
    /// How long an engine may be silent: until the head of its answer (504), and between two pieces of it.
    pub response_timeout_ms: u64,
    /// How long a client may leave an answer unread before it is cut off.
    pub write_timeout_ms: u64,
    /// How long answers under way may take to end after the order to stop.
    pub drain_timeout_ms: u64,
    /// Connections to the public port at once; further ones wait until one is closed.
    pub connections: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // A context of a million tokens is about 4 MiB of text; pictures come as base64.
            body_bytes: 16 << 20,
            buffered_bytes: 64 << 20,
            header_bytes: 16 << 10,
            header_timeout_ms: 15_000,
            body_timeout_ms: 30_000,
            connect_timeout_ms: 5_000,
            // Without streaming, an engine sends its head only when the whole answer is there.
            response_timeout_ms: 600_000,
            write_timeout_ms: 60_000,
            // Shorter than the 30 seconds after which the gateway's container is killed.
            drain_timeout_ms: 25_000,
            connections: 1_024,
        }
    }
}

impl Limits {
    pub(crate) fn header_timeout(&self) -> Duration {
        Duration::from_millis(self.header_timeout_ms)
    }
    pub(crate) fn body_timeout(&self) -> Duration {
        Duration::from_millis(self.body_timeout_ms)
    }
    pub(crate) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }
    pub(crate) fn response_timeout(&self) -> Duration {
        Duration::from_millis(self.response_timeout_ms)
    }
    pub(crate) fn write_timeout(&self) -> Duration {
        Duration::from_millis(self.write_timeout_ms)
    }
    pub(crate) fn drain_timeout(&self) -> Duration {
        Duration::from_millis(self.drain_timeout_ms)
    }

    fn check(&self) -> Result<(), GatewayError> {
        // A day: longer waits than that are a mistake in the unit.
        const MAX_MS: u64 = 86_400_000;
        let range = |field: &str, found: u64, least: u64, most: u64| {
            if (least..=most).contains(&found) {
                return Ok(());
            }
            Err(field_error(&format!("limits.{field}"), format!("expected {least} to {most}, found {found}")))
        };
        range("bodyBytes", self.body_bytes, 1, 1 << 30)?;
        range("bufferedBytes", self.buffered_bytes, self.body_bytes, 1 << 40)?;
        range("headerBytes", self.header_bytes.into(), 1_024, 1 << 20)?;
        range("headerTimeoutMs", self.header_timeout_ms, 1, MAX_MS)?;
        range("bodyTimeoutMs", self.body_timeout_ms, 1, MAX_MS)?;
        range("connectTimeoutMs", self.connect_timeout_ms, 1, MAX_MS)?;
        range("responseTimeoutMs", self.response_timeout_ms, 1, MAX_MS)?;
        range("writeTimeoutMs", self.write_timeout_ms, 1, MAX_MS)?;
        range("drainTimeoutMs", self.drain_timeout_ms, 0, MAX_MS)?;
        range("connections", self.connections.into(), 1, 1 << 16)
    }
}

fn field_error(field: &str, problem: impl Into<String>) -> GatewayError {
    GatewayError::Field { field: field.to_owned(), problem: problem.into() }
}

impl Config {
    /// Reads and checks a configuration file of at most 1 MiB.
    pub fn load(path: &Path) -> Result<Self, GatewayError> {
        let bytes = read_bounded("gateway configuration", path, MAX_CONFIG)?;
        Self::parse(&bytes).map_err(|error| match error {
            GatewayError::Syntax { source, .. } => {
                GatewayError::Syntax { path: Some(path.to_owned()), source }
            }
            other => other,
        })
    }

    /// Reads and checks a configuration; looks at none of the files that it names.
    pub fn parse(bytes: &[u8]) -> Result<Self, GatewayError> {
        let config: Self =
            serde_json::from_slice(bytes).map_err(|source| GatewayError::Syntax { path: None, source })?;
        config.check()?;
        Ok(config)
    }

    /// Checks what the types do not.
    pub(crate) fn check(&self) -> Result<(), GatewayError> {
        if self.api_version != "sovai/v1" {
            return Err(field_error(
                "apiVersion",
                format!("expected `sovai/v1`, found `{}`", self.api_version),
            ));
        }
        if self.kind != "GatewayConfig" {
            return Err(field_error("kind", format!("expected `GatewayConfig`, found `{}`", self.kind)));
        }
        if let Some(inner) = self.inner
            && !inner.ip().is_loopback()
        {
            return Err(field_error("inner", format!("expected a loopback address, found `{inner}`")));
        }
        if self.routes.is_empty() {
            return Err(field_error("routes", "at least one model is expected"));
        }
        for (name, route) in &self.routes {
            if !is_model_name(name) {
                return Err(field_error(&format!("routes.{name}"), MODEL_NAME_RULE));
            }
            if !is_model_name(&route.model) {
                return Err(field_error(&format!("routes.{name}.model"), MODEL_NAME_RULE));
            }
            parse_upstream(&format!("routes.{name}.upstream"), &route.upstream)?;
        }
        self.limits.check()
    }
}

const MODEL_NAME_RULE: &str = "a model name has 1 to 255 printable ASCII characters without `\"` and `\\`";

/// Model names stand in JSON, in metrics and in logs: nothing that needs an escape there.
fn is_model_name(name: &str) -> bool {
    (1..=255).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
}

/// Reads `http://HOST:PORT`.
pub(crate) fn parse_upstream(field: &str, text: &str) -> Result<Authority, GatewayError> {
    let wrong = || field_error(field, format!("expected `http://HOST:PORT`, found `{text}`"));
    let uri: http::Uri = text.parse().map_err(|_| wrong())?;
    let authority = uri.authority().ok_or_else(wrong)?;
    let bare = uri.path_and_query().is_none_or(|p| p.as_str() == "/");
    let named = !authority.host().is_empty() && authority.port_u16().is_some_and(|p| p != 0);
    if uri.scheme() != Some(&Scheme::HTTP) || !bare || !named || authority.as_str().contains('@') {
        return Err(wrong());
    }
    Ok(authority.clone())
}

/// Reads a file that must not be longer than `limit` bytes.
pub(crate) fn read_bounded(what: &'static str, path: &Path, limit: u64) -> Result<Vec<u8>, GatewayError> {
    let failed = |source| GatewayError::Read { what, path: path.to_owned(), source };
    let file = fs_err::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(failed(std::io::Error::new(
            std::io::ErrorKind::FileTooLarge,
            format!("expected at most {limit} bytes"),
        )));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn minimal() -> Value {
        json!({
            "apiVersion": "sovai/v1", "kind": "GatewayConfig", "listen": "127.0.0.1:8080", "keys": null,
            "routes": { "assistant": { "upstream": "http://engine:8080", "model": "assistant" } },
        })
    }

    fn parse(value: &Value) -> Result<Config, GatewayError> {
        Config::parse(value.to_string().as_bytes())
    }

    /// Message and its causes, on one line.
    fn chain(error: &GatewayError) -> String {
        let mut text = error.to_string();
        let mut next = std::error::Error::source(error);
        while let Some(cause) = next {
            text = format!("{text}: {cause}");
            next = cause.source();
        }
        text
    }

    #[test]
    fn the_smallest_configuration_has_the_default_limits() {
        let config = parse(&minimal()).unwrap();
        assert_eq!(config.limits, Limits::default());
        assert_eq!(config.keys, None);
        let again: Config = serde_json::from_value(serde_json::to_value(&config).unwrap()).unwrap();
        assert_eq!(again, config);
    }

    #[test]
    fn each_mistake_names_its_field() {
        let cases: &[(&str, Value, &str)] = &[
            ("/apiVersion", json!("sovai/v2"), "`apiVersion`: expected `sovai/v1`, found `sovai/v2`"),
            ("/kind", json!("Stack"), "`kind`: expected `GatewayConfig`"),
            ("/listen", json!("localhost"), "invalid socket address"),
            ("/inner", json!("0.0.0.0:8081"), "`inner`: expected a loopback address"),
            ("/routes", json!({}), "`routes`: at least one"),
            (
                "/routes/assistant/upstream",
                json!("https://engine:1"),
                "`routes.assistant.upstream`: expected `http://HOST:PORT`",
            ),
            ("/routes/assistant/upstream", json!("http://engine"), "expected `http://HOST:PORT`"),
            ("/routes/assistant/upstream", json!("http://engine:0"), "expected `http://HOST:PORT`"),
            ("/routes/assistant/upstream", json!("http://a@engine:1"), "expected `http://HOST:PORT`"),
            ("/routes/assistant/upstream", json!("http://engine:1/v1"), "expected `http://HOST:PORT`"),
            ("/routes/assistant/model", json!("a\"b"), "`routes.assistant.model`: a model name"),
            ("/routes/assistant/model", json!(""), "`routes.assistant.model`: a model name"),
            ("/limits", json!({ "connections": 0 }), "`limits.connections`: expected 1 to 65536, found 0"),
            ("/limits", json!({ "headerBytes": 10 }), "`limits.headerBytes`: expected"),
            ("/limits", json!({ "bodyBytes": 1_000_000, "bufferedBytes": 10 }), "`limits.bufferedBytes`"),
            ("/limits", json!({ "bodybytes": 1 }), "unknown field `bodybytes`"),
            ("/tls", json!({ "cert": "c" }), "missing field `key`"),
        ];
        for (pointer, value, expected) in cases {
            let mut config = minimal();
            if let Some(place) = config.pointer_mut(pointer) {
                *place = value.clone();
            } else {
                config[pointer.trim_start_matches('/')] = value.clone();
            }
            let found = chain(&parse(&config).unwrap_err());
            assert!(found.contains(expected), "{pointer} = {value}: {found}");
        }
    }

    #[test]
    fn leaving_out_the_keys_is_not_the_same_as_asking_for_none() {
        let mut config = minimal();
        config.as_object_mut().unwrap().remove("keys");
        assert!(chain(&parse(&config).unwrap_err()).contains("missing field `keys`"));
    }

    #[test]
    fn a_file_is_named_in_its_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.json");
        assert!(chain(&Config::load(&path).unwrap_err()).contains("gateway.json"));
        fs_err::write(&path, "{\n  nonsense").unwrap();
        let found = chain(&Config::load(&path).unwrap_err());
        assert!(found.contains("gateway.json") && found.contains("line 2"), "{found}");
        let long = fs_err::File::create(&path).unwrap();
        long.set_len(MAX_CONFIG + 1).unwrap();
        assert!(chain(&Config::load(&path).unwrap_err()).contains("at most 1048576 bytes"));
    }
}
