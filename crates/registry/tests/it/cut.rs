//! Pushes over lines that break, and to registries that lose, refuse and limit.

use crate::fake::{Fault, State, start};
use crate::world::{RETRY, World, noise, reference, registry, run};
use sovai_http::Retry;
use sovai_registry::{Artifact, Credentials, PushOptions, RegistryError};
use sovai_test_hub::Registry as Debian;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const SIZE: usize = 6 * 1024 * 1024 + 12_345;

fn options() -> PushOptions {
    PushOptions { chunk: 1 << 20, jobs: 2, ..PushOptions::default() }
}

/// A model whose one large file has these bytes; its config and manifest are small.
fn model(world: &World) -> (Artifact, Vec<u8>) {
    let weights = noise(SIZE, 11);
    let artifact = world.model(&[("model.gguf", &weights)]);
    (artifact, weights)
}

#[test]
fn a_byte_that_arrived_is_not_sent_again_however_often_the_line_breaks() {
    let (host, state) = start();
    let world = World::new();
    let (artifact, weights) = model(&world);
    // Far more breaks than tries: each of them brought something.
    let cuts = (0..50_usize).map(|number| Fault::Cut(2 + number * 7919 % 120_000));
    state.lock().unwrap().faults.extend(cuts);
    // The faults are for the large blob, which comes first.
    let one = PushOptions { jobs: 1, ..options() };
    run(async {
        let registry = registry(&host, Credentials::anonymous(), &[]);
        let pushed = world.push(&registry, "a", std::slice::from_ref(&artifact), &one).await.unwrap();
        assert_eq!(pushed.sent, 2);
    });
    let state = state.lock().unwrap();
    assert!(state.faults.is_empty());
    assert_eq!(state.blobs[&artifact.blobs[0].digest.to_string()], weights);
    assert_eq!(state.received, SIZE + artifact.contents[0].bytes.len());
    assert!(world.remembered().is_empty());
}

#[test]
fn one_byte_and_none_look_alike_and_the_upload_begins_anew() {
    let (host, state) = start();
    let world = World::new();
    let (artifact, weights) = model(&world);
    state.lock().unwrap().faults.push_back(Fault::Cut(1));
    run(async {
        let registry = registry(&host, Credentials::anonymous(), &[]);
        let one = PushOptions { jobs: 1, ..options() };
        world.push(&registry, "a", std::slice::from_ref(&artifact), &one).await.unwrap();
    });
    assert_eq!(state.lock().unwrap().blobs[&artifact.blobs[0].digest.to_string()], weights);
}

#[test]
fn a_lost_answer_is_no_second_upload() {
    let (host, state) = start();
    let world = World::new();
    let (artifact, _) = model(&world);
    // Of two blobs at a time it is not known which one it hits; so one at a time, the large one first.
    let one = PushOptions { jobs: 1, ..options() };
    state.lock().unwrap().faults.extend([Fault::NoAnswer; 20]);
    run(async {
        let registry = registry(&host, Credentials::anonymous(), &[]);
        world.push(&registry, "a", std::slice::from_ref(&artifact), &one).await.unwrap();
    });
    let state = state.lock().unwrap();
    assert_eq!(state.received, SIZE + artifact.contents[0].bytes.len());
    let finishes = state.log.iter().filter(|line| line.starts_with("PUT /v2/a/blobs/uploads/")).count();
    assert_eq!(finishes, 2, "the registry had the blob, and was asked before it was sent again");
}

#[test]
fn a_push_that_ended_goes_on_where_it_was() {
    let (host, state) = start();
    let world = World::new();
    let (artifact, weights) = model(&world);
    let one = PushOptions { jobs: 1, ..options() };
    state.lock().unwrap().faults.push_back(Fault::Cut(1 << 20));
    state.lock().unwrap().faults.push_back(Fault::Cut(400_000));
    run(async {
        let impatient = registry(&host, Credentials::anonymous(), &[]).with_retry(Retry::ONCE);
        let error = world.push(&impatient, "a", std::slice::from_ref(&artifact), &one).await.unwrap_err();
        assert!(error.is_transient(), "{error}");
        assert_eq!(world.remembered().len(), 1);
        let error = world.push(&impatient, "a", std::slice::from_ref(&artifact), &one).await.unwrap_err();
        assert!(error.is_transient(), "{error}");
        let registry = registry(&host, Credentials::anonymous(), &[]);
        world.push(&registry, "a", std::slice::from_ref(&artifact), &one).await.unwrap();
    });
    assert!(world.remembered().is_empty());
    let state = state.lock().unwrap();
    assert_eq!(state.blobs[&artifact.blobs[0].digest.to_string()], weights);
    assert_eq!(state.received, SIZE + artifact.contents[0].bytes.len());
    let begun = state.log.iter().filter(|line| line.starts_with("POST")).count();
    assert_eq!(begun, 2, "one upload for each blob, over three runs");
}

#[test]
fn a_registry_that_forgets_is_given_the_blob_anew_but_not_for_ever() {
    let (host, state) = start();
    let world = World::new();
    let (artifact, weights) = model(&world);
    let one = PushOptions { jobs: 1, ..options() };
    state.lock().unwrap().faults.extend([Fault::Forget; 3]);
    run(async {
        let registry = registry(&host, Credentials::anonymous(), &[]);
        world.push(&registry, "a", std::slice::from_ref(&artifact), &one).await.unwrap();
        assert_eq!(state.lock().unwrap().blobs[&artifact.blobs[0].digest.to_string()], weights);

        *state.lock().unwrap() = State { faults: [Fault::Forget; 100].into(), ..State::default() };
        world.push(&registry, "a", std::slice::from_ref(&artifact), &one).await.unwrap_err();
    });
    let state = state.lock().unwrap();
    let begun = state.log.iter().filter(|line| line.starts_with("POST")).count();
    assert_eq!(begun, RETRY.tries as usize);
    assert!(state.manifests.is_empty(), "no manifest before its blobs");
    assert!(world.remembered().is_empty());
}

#[test]
fn chunks_follow_what_the_registry_and_a_proxy_before_it_ask() {
    let world = World::new();
    let (artifact, _) = model(&world);
    let artifacts = [artifact];
    for (limit, least, expected) in [(Some(600 << 10), None, 512 << 10), (None, Some(4 << 20), 4 << 20)] {
        let (host, state) = start();
        {
            let mut state = state.lock().unwrap();
            (state.limit, state.least) = (limit, least);
        }
        run(async {
            let registry = registry(&host, Credentials::anonymous(), &[]);
            world.push(&registry, "a", &artifacts, &options()).await.unwrap();
        });
        assert_eq!(state.lock().unwrap().chunks[0], expected);
    }
}

#[test]
fn what_cannot_help_is_not_tried_again() {
    let world = World::new();
    let (artifact, _) = model(&world);
    for (status, tries) in [(403, 1), (405, 1), (503, RETRY.tries as usize), (429, RETRY.tries as usize)] {
        let (host, state) = start();
        state.lock().unwrap().faults.extend([Fault::Status(status); 50]);
        run(async {
            let registry = registry(&host, Credentials::anonymous(), &[]);
            let one = PushOptions { jobs: 1, ..options() };
            let error = world.push(&registry, "a", std::slice::from_ref(&artifact), &one).await.unwrap_err();
            assert_eq!(matches!(error, RegistryError::Refused { .. }), status == 403, "{error}");
        });
        let state = state.lock().unwrap();
        let tried = state.log.iter().filter(|line| line.starts_with("PATCH")).count();
        assert_eq!(tried, tries, "{status}");
    }
}

#[test]
fn a_tag_that_leads_to_something_else_in_the_end_is_an_error() {
    let (host, state) = start();
    let world = World::new();
    let artifact = world.model(&[("config.json", b"{}")]);
    state.lock().unwrap().lies = true;
    run(async {
        let registry = registry(&host, Credentials::anonymous(), &[]);
        let pushed = world.push(&registry, "a", &[artifact], &options()).await;
        assert!(matches!(pushed, Err(RegistryError::Mismatch { .. })), "{pushed:?}");
    });
}

/// A proxy that cuts each of its first connections after so many bytes to the registry.
fn cutting(registry: &str, bytes: usize, connections: usize) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let (registry, cuts) = (registry.to_owned(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&cuts);
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let server = TcpStream::connect(&registry).unwrap();
            let (mut back, mut to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || drop(std::io::copy(&mut back, &mut to_client)));
            let cuts = Arc::clone(&counted);
            std::thread::spawn(move || {
                let (mut client, mut server) = (client, server);
                let (mut passed, mut buffer) = (0, vec![0; 64 << 10]);
                while let Ok(read @ 1..) = client.read(&mut buffer) {
                    passed += read;
                    if passed > bytes && cuts.load(Ordering::SeqCst) < connections {
                        cuts.fetch_add(1, Ordering::SeqCst);
                        break;
                    }
                    if server.write_all(&buffer[..read]).is_err() {
                        break;
                    }
                }
                drop(server.shutdown(std::net::Shutdown::Both));
                drop(client.shutdown(std::net::Shutdown::Both));
            });
        }
    });
    (host, cuts)
}

#[test]
fn a_real_registry_has_the_blob_in_the_end_when_the_line_breaks() {
    let debian = Debian::start();
    let world = World::new();
    let (artifact, _) = model(&world);
    let (host, cuts) = cutting(debian.host(), 1_500_000, 3);
    run(async {
        let through = registry(&host, Credentials::anonymous(), &[]);
        world.push(&through, "a", std::slice::from_ref(&artifact), &options()).await.unwrap();
        let at = reference(&format!("{}/a:stack-model", debian.host()));
        let direct = registry(debian.host(), Credentials::anonymous(), &[]);
        assert_eq!(direct.manifest(&at).await.unwrap(), artifact.manifests[0]);
    });
    assert_eq!(cuts.load(Ordering::SeqCst), 3);
}

#[test]
fn behind_nginx_a_break_costs_a_chunk_and_not_the_upload() {
    let debian = Debian::start();
    let world = World::new();
    let (artifact, _) = model(&world);
    let artifacts = [artifact];
    let proxy = Debian::behind_nginx(debian.host());
    let (host, cuts) = cutting(proxy.host(), 1_500_000, 5);
    run(async {
        let through = registry(&host, Credentials::anonymous(), &[]);
        world.push(&through, "a", &artifacts, &options()).await.unwrap();
    });
    assert_eq!(cuts.load(Ordering::SeqCst), 5);
    let log = fs_err::read_to_string(proxy.path("access.log")).unwrap();
    let count = |start: &str| log.lines().filter(|line| line.starts_with(start)).count();
    assert_eq!(count("POST"), 2, "one upload for each blob: {log}");
    // nginx takes bodies of 1 MiB where it is told nothing else; a chunk of 1 MiB is just that.
    let larger = PushOptions { chunk: 8 << 20, ..options() };
    run(async {
        let through = registry(proxy.host(), Credentials::anonymous(), &[]);
        world.push(&through, "b", &artifacts, &larger).await.unwrap();
    });
    let log = fs_err::read_to_string(proxy.path("access.log")).unwrap();
    assert!(log.lines().any(|line| line.starts_with('P') && line.ends_with(" 413")), "{log}");
}
