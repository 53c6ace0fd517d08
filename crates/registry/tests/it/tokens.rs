//! Tokens: which secret goes where.

use crate::fake::{Answer, Request, State, registry as answer_of, serve};
use crate::world::{World, noise, reference, registry, run};
use sovai_registry::{Credentials, PushOptions, RegistryError};
use std::sync::{Arc, Mutex};

/// What a token service and two servers were sent.
#[derive(Default)]
struct Seen {
    /// Queries to the token service, with the credentials.
    asked: Vec<(String, String)>,
    /// What the registry and the server of uploads were sent as `Authorization`.
    registry: Vec<String>,
    uploads: Vec<String>,
    /// Requests that a token is good for.
    uses: usize,
    granted: usize,
}

struct Hosts {
    registry: String,
    seen: Arc<Mutex<Seen>>,
    state: Arc<Mutex<State>>,
}

/// `printf user:pass | base64`
const GOOD: &str = "Basic dXNlcjpwYXNz";

/// A registry that wants tokens, whose uploads go to another server; a token is good for so many requests.
fn start(life: usize) -> Hosts {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let state = Arc::new(Mutex::new(State::default()));
    let to_see = Arc::clone(&seen);
    let realm = serve(move |request: &mut Request| -> Answer {
        let mut seen = to_see.lock().unwrap();
        let scope = request.query.get("scope").cloned().unwrap_or_default();
        let service = request.query.get("service").cloned().unwrap_or_default();
        seen.asked.push((format!("{service} {scope}"), request.header("authorization").to_owned()));
        if request.header("authorization") != GOOD {
            return Some((401, vec![], b"who are you".to_vec()));
        }
        seen.granted += 1;
        seen.uses = 0;
        let body = format!(r#"{{"token":"t{}","expires_in":300}}"#, seen.granted);
        Some((200, vec![], body.into_bytes()))
    });
    let (to_see, shared) = (Arc::clone(&seen), Arc::clone(&state));
    let uploads = serve(move |request: &mut Request| -> Answer {
        to_see.lock().unwrap().uploads.push(request.header("authorization").to_owned());
        answer_of(&shared, request)
    });
    state.lock().unwrap().elsewhere = Some(uploads);
    let (to_see, shared) = (Arc::clone(&seen), Arc::clone(&state));
    let registry = serve(move |request: &mut Request| -> Answer {
        let sent = request.header("authorization").to_owned();
        let good = {
            let mut seen = to_see.lock().unwrap();
            seen.registry.push(sent.clone());
            seen.uses += 1;
            sent == format!("Bearer t{}", seen.granted) && seen.uses <= life
        };
        if good {
            return answer_of(&shared, request);
        }
        let challenge = format!(r#"Bearer realm="http://{realm}/token",service="of test""#);
        Some((401, vec![("WWW-Authenticate", challenge)], Vec::new()))
    });
    Hosts { registry, seen, state }
}

fn good() -> Credentials {
    Credentials::basic("user".to_owned(), "pass".to_owned())
}

#[test]
fn the_password_goes_to_the_token_service_only_and_the_token_to_the_registry_only() {
    let hosts = start(usize::MAX);
    let world = World::new();
    let model = world.model(&[("model.gguf", &noise(3 << 20, 1))]);
    run(async {
        let registry = registry(&hosts.registry, good(), &[]);
        let options = PushOptions { chunk: 1 << 20, ..PushOptions::default() };
        world.push(&registry, "a", std::slice::from_ref(&model), &options).await.unwrap();
        let at = reference(&format!("{}/a:stack-model", hosts.registry));
        assert_eq!(registry.manifest(&at).await.unwrap(), model.manifests[0]);
    });
    let seen = hosts.seen.lock().unwrap();
    let scopes = ["of test repository:a:pull,push", "of test repository:a:pull"];
    assert_eq!(seen.asked.iter().map(|(scope, _)| scope.as_str()).collect::<Vec<_>>(), scopes);
    assert!(seen.registry.iter().all(|sent| sent.is_empty() || sent.starts_with("Bearer t")));
    assert!(!seen.uploads.is_empty() && seen.uploads.iter().all(String::is_empty), "{:?}", seen.uploads);
    assert_eq!(hosts.state.lock().unwrap().blobs.len(), 2);
}

#[test]
fn a_token_that_is_used_up_is_replaced() {
    let hosts = start(3);
    let world = World::new();
    let files: Vec<Vec<u8>> = (0..8).map(|number| noise(100, number * 2)).collect();
    let names: Vec<String> = (0..8).map(|number| format!("{number}.json")).collect();
    let files: Vec<(&str, &[u8])> =
        names.iter().map(String::as_str).zip(files.iter().map(Vec::as_slice)).collect();
    let model = world.model(&files);
    run(async {
        let registry = registry(&hosts.registry, good(), &[]);
        let options = PushOptions { jobs: 1, ..PushOptions::default() };
        world.push(&registry, "a", &[model], &options).await.unwrap();
    });
    assert!(hosts.seen.lock().unwrap().granted > 5);
}

#[test]
fn a_refusal_says_whose_credentials_it_was() {
    let hosts = start(usize::MAX);
    run(async {
        let at = reference(&format!("{}/a:1", hosts.registry));
        for (credentials, why) in [
            (Credentials::anonymous(), "without credentials"),
            (Credentials::basic("user".to_owned(), "guess".to_owned()), "with the credentials"),
        ] {
            let error = registry(&hosts.registry, credentials, &[]).manifest(&at).await.unwrap_err();
            assert!(matches!(error, RegistryError::Refused { .. }), "{error}");
            let text = error.to_string();
            assert!(text.contains(why) && !text.contains("guess"), "{text}");
        }
    });
}

#[test]
fn a_manifest_with_other_bytes_than_asked_for_is_not_taken() {
    let (host, state) = crate::fake::start();
    let world = World::new();
    let model = world.model(&[("model.gguf", b"weights")]);
    run(async {
        let registry = registry(&host, Credentials::anonymous(), &[]);
        world.push(&registry, "a", std::slice::from_ref(&model), &PushOptions::default()).await.unwrap();
        let digest = model.manifests[0].descriptor.digest;
        let pinned = reference(&format!("{host}/a")).at_digest(digest);
        registry.manifest(&pinned).await.unwrap();
        {
            let mut state = state.lock().unwrap();
            let mut bytes = state.manifests[&digest.to_string()].clone();
            let last = bytes.len() - 2;
            bytes.insert(last, b' ');
            state.manifests.insert(digest.to_string(), bytes);
            state.manifests.insert("large".to_owned(), vec![b' '; (4 << 20) + 1]);
            let config = model.contents[0].descriptor.digest.to_string();
            state.blobs.get_mut(&config).unwrap()[0] ^= 1;
        }
        let error = registry.manifest(&pinned).await.unwrap_err();
        assert!(matches!(error, RegistryError::Mismatch { .. }), "{error}");
        let large = reference(&format!("{host}/a:large"));
        registry.manifest(&large).await.unwrap_err();
        let error = registry.small_blob(&pinned, &model.contents[0].descriptor).await.unwrap_err();
        assert!(matches!(error, RegistryError::Mismatch { .. }), "{error}");
    });
}
