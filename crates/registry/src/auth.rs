//! What is sent as `Authorization`: nothing until the registry asks, then what it asks for.

use crate::RegistryError;
use crate::credentials::{Credential, Credentials};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_auth::ChallengeParser;
use serde::Deserialize;
use sovai_http::{Client, Method, Request, Url, header};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Largest answer of a token service; tokens that list many groups are long.
const MAX_ANSWER: usize = 1 << 20;
/// What a token service that does not say grants (distribution: `spec/auth/token.md`).
const DEFAULT_LIFE: u64 = 60;
/// Longest that a token is kept.
const MAX_LIFE: u64 = 3600;
/// Most tokens that are kept: one a scope.
const MAX_TOKENS: usize = 256;

/// What is to be done with which repositories, as token services name it: `repository:PATH:pull,push`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Scope(Vec<String>);

impl Scope {
    /// To read a repository.
    pub(crate) fn pull(path: &str) -> Self {
        Self(vec![format!("repository:{path}:pull")])
    }

    /// To write a repository, and to read others for mounts.
    pub(crate) fn push(path: &str, from: Option<&str>) -> Self {
        let mut scopes = vec![format!("repository:{path}:pull,push")];
        scopes.extend(from.map(|from| format!("repository:{from}:pull")));
        Self(scopes)
    }
}

/// How a registry wants to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Challenge {
    Basic,
    Bearer { realm: Url, service: Option<String> },
}

struct Token {
    value: String,
    until: Instant,
}

/// What is known of a registry's wishes. Shows no secret.
pub(crate) struct Auth {
    host: String,
    loopback: bool,
    credentials: Credentials,
    known: Mutex<Known>,
    /// One is asked for a token at a time; the others find it then.
    asking: tokio::sync::Mutex<Option<Credential>>,
}

#[derive(Default)]
struct Known {
    challenge: Option<Challenge>,
    tokens: BTreeMap<Scope, Token>,
}

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

impl Auth {
    pub(crate) fn new(host: &str, loopback: bool, credentials: Credentials) -> Self {
        Self {
            host: host.to_owned(),
            loopback,
            credentials,
            known: Mutex::default(),
            asking: tokio::sync::Mutex::new(None),
        }
    }

    /// What to send, as far as it is known how the registry wants to be asked.
    pub(crate) async fn header(
        &self,
        client: &Client,
        scope: &Scope,
    ) -> Result<Option<String>, RegistryError> {
        let challenge = self.lock().challenge.clone();
        match challenge {
            None => Ok(None),
            Some(Challenge::Basic) => self.basic().await,
            Some(Challenge::Bearer { realm, service }) => {
                if let Some(token) = self.held(scope) {
                    return Ok(Some(token));
                }
                self.fetch(client, scope, &realm, service.as_deref()).await.map(Some)
            }
        }
    }

    /// After a 401 to a request that was sent with `sent`: what to send instead; nothing if there is nothing else.
    pub(crate) async fn answer(
        &self,
        client: &Client,
        scope: &Scope,
        challenges: &[String],
        sent: Option<&str>,
    ) -> Result<Option<String>, RegistryError> {
        let Some(challenge) = self.choose(challenges)? else { return Ok(None) };
        {
            let mut known = self.lock();
            known.challenge = Some(challenge);
            // Another request may have brought a new one in the meantime.
            if known.tokens.get(scope).is_some_and(|token| Some(token.value.as_str()) == sent) {
                known.tokens.remove(scope);
            }
        }
        let header = self.header(client, scope).await?;
        Ok(header.filter(|header| Some(header.as_str()) != sent))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self, scope: &Scope) -> Option<String> {
        let known = self.lock();
        known.tokens.get(scope).filter(|token| token.until > Instant::now()).map(|token| token.value.clone())
    }

    /// Bearer before Basic: a token can do less.
    fn choose(&self, challenges: &[String]) -> Result<Option<Challenge>, RegistryError> {
        let mut basic = false;
        let parsed = challenges.iter().flat_map(|value| ChallengeParser::new(value).map_while(Result::ok));
        for challenge in parsed {
            let of = |name: &str| {
                let param = challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
                param.map(|(_, value)| value.to_unescaped())
            };
            if challenge.scheme.eq_ignore_ascii_case("basic") {
                basic = true;
            } else if challenge.scheme.eq_ignore_ascii_case("bearer")
                && let Some(realm) = of("realm")
            {
                return Ok(Some(Challenge::Bearer { realm: self.realm(&realm)?, service: of("service") }));
            }
        }
        Ok(basic.then_some(Challenge::Basic))
    }

    /// The address of a token service. It is given a password: https, or this host for a registry on this host.
    fn realm(&self, text: &str) -> Result<Url, RegistryError> {
        let refused = |reason: &str| {
            let reason = format!(
                "it names the token service `{}`, {reason}",
                text.escape_debug().take(200).collect::<String>()
            );
            RegistryError::Malformed { what: self.host.clone(), reason }
        };
        let url = Url::parse(text).map_err(|_| refused("which is no address"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused("with credentials in it"));
        }
        let here = sovai_http::is_loopback(&url);
        match url.scheme() {
            "https" if !here || self.loopback => Ok(url),
            "http" if here && self.loopback => Ok(url),
            _ => Err(refused("which is not https, or on this host only")),
        }
    }

    async fn credential(&self) -> Result<Credential, RegistryError> {
        let mut held = self.asking.lock().await;
        self.credential_in(&mut held).await
    }

    async fn credential_in(&self, held: &mut Option<Credential>) -> Result<Credential, RegistryError> {
        if held.is_none() {
            let found = self.credentials.of(&self.host).await;
            let host = || self.host.clone();
            *held = Some(found.map_err(|reason| RegistryError::Credentials { host: host(), reason })?);
        }
        Ok(held.clone().unwrap_or(Credential::Anonymous))
    }

    async fn basic(&self) -> Result<Option<String>, RegistryError> {
        match self.credential().await? {
            Credential::Basic { user, password } => Ok(Some(basic(&user, &password))),
            Credential::Anonymous | Credential::Identity(_) => Ok(None),
        }
    }

    async fn fetch(
        &self,
        client: &Client,
        scope: &Scope,
        realm: &Url,
        service: Option<&str>,
    ) -> Result<String, RegistryError> {
        let mut held = self.asking.lock().await;
        if let Some(token) = self.held(scope) {
            return Ok(token);
        }
        let credential = self.credential_in(&mut held).await?;
        let request = token_request(realm, service, scope, &credential);
        let what = format!("token service of {}", self.host);
        let failed = |error| match RegistryError::http(&what, error) {
            RegistryError::Refused { what, reason } => {
                let who = match credential {
                    Credential::Anonymous => "without credentials",
                    _ => "with the credentials that are kept for it",
                };
                RegistryError::Refused { what, reason: format!("{reason} ({who})") }
            }
            other => other,
        };
        let response = client.send(request).await.map_err(&failed)?;
        let bytes = response.bytes(MAX_ANSWER).await.map_err(&failed)?;
        let malformed =
            |reason: &str| RegistryError::Malformed { what: what.clone(), reason: reason.to_owned() };
        let answer: Answer =
            serde_json::from_slice(&bytes).map_err(|_| malformed("the answer is no JSON with a token"))?;
        let token =
            answer.token.filter(|token| !token.is_empty()).or(answer.access_token).unwrap_or_default();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(malformed("the answer has no token that can be sent"));
        }
        let life = answer.expires_in.unwrap_or(DEFAULT_LIFE).clamp(1, MAX_LIFE);
        let value = format!("Bearer {token}");
        let mut known = self.lock();
        if known.tokens.len() >= MAX_TOKENS {
            known.tokens.clear();
        }
        // A fifth is kept back for clocks, and for requests that are long under way.
        let until = Instant::now() + Duration::from_millis(life * 800);
        known.tokens.insert(scope.clone(), Token { value: value.clone(), until });
        Ok(value)
    }
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// By GET as distribution: `spec/auth/token.md` says; with a refresh token by POST as `oauth.md` says.
fn token_request(realm: &Url, service: Option<&str>, scope: &Scope, credential: &Credential) -> Request {
    if let Credential::Identity(token) = credential {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "refresh_token").append_pair("client_id", "sovai");
        if let Some(service) = service {
            form.append_pair("service", service);
        }
        form.append_pair("scope", &scope.0.join(" ")).append_pair("refresh_token", token);
        return Request::new(Method::POST, realm.clone())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form.finish())
            .staying();
    }
    let mut url = realm.clone();
    {
        let mut query = url.query_pairs_mut();
        if let Some(service) = service {
            query.append_pair("service", service);
        }
        for scope in &scope.0 {
            query.append_pair("scope", scope);
        }
    }
    let request = Request::get(url).staying();
    match credential {
        Credential::Basic { user, password } => request.authorization(&basic(user, password)),
        _ => request,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(host: &str, loopback: bool, challenge: &str) -> Result<Option<Challenge>, String> {
        let auth = Auth::new(host, loopback, Credentials::anonymous());
        auth.choose(&[challenge.to_owned()]).map_err(|error| error.to_string())
    }

    #[test]
    fn a_challenge_is_read_and_bearer_comes_first() {
        let bearer = |realm: &str, service: Option<&str>| {
            Ok(Some(Challenge::Bearer {
                realm: Url::parse(realm).unwrap(),
                service: service.map(ToOwned::to_owned),
            }))
        };
        let of = |text: &str| choose("registry.example", false, text);
        assert_eq!(
            of(r#"Basic realm="x", Bearer realm="https://auth.example/token",service="a, b",scope="s""#),
            bearer("https://auth.example/token", Some("a, b"))
        );
        assert_eq!(of(r#"bearer REALM="https://auth.example/t""#), bearer("https://auth.example/t", None));
        assert_eq!(of(r#"Basic realm="x""#), Ok(Some(Challenge::Basic)));
        for nothing in ["", "Negotiate", "Bearer service=\"x\"", "Digest realm=\"x\"", "\u{1}"] {
            assert_eq!(of(nothing), Ok(None), "{nothing}");
        }
    }

    #[test]
    fn a_password_goes_to_no_token_service_over_plain_http_nor_on_this_host_for_a_registry_elsewhere() {
        let of = |loopback, realm: &str| {
            choose("r.example", loopback, &format!("Bearer realm=\"{realm}\"")).map(|found| found.is_some())
        };
        for bad in [
            "http://auth.example/token",
            "http://127.0.0.1:1/token",
            "https://127.0.0.1/token",
            "https://localhost/token",
            "https://u:p@auth.example/token",
            "ftp://auth.example/",
            "/token",
            "",
        ] {
            let error = of(false, bad).unwrap_err();
            assert!(error.contains("token service"), "{error}");
        }
        assert_eq!(of(false, "https://auth.example/token"), Ok(true));
        assert_eq!(of(true, "http://127.0.0.1:1/token"), Ok(true));
        assert_eq!(of(true, "https://auth.example/token"), Ok(true));
        assert!(of(true, "http://auth.example/token").is_err());
    }
}
