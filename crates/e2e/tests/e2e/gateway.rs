//! The gateway of a deployed stack, from outside.

use crate::docker::docker;
use crate::http::{Reply, chat, curl};
use crate::process::run;
use crate::setup::beside;
use crate::stack::{Stack, free_port};
use serde_json::json;
use std::process::Command;

const JSON: &str = "Content-Type: application/json";

/// A refusal in the shape that clients of this API read.
#[track_caller]
fn refused(reply: Reply, status: u16) -> String {
    let reply = reply.expect(status);
    let error = &reply.json()["error"];
    assert!(error["message"].is_string() && error["type"].is_string(), "{reply:?}");
    error.to_string()
}

#[test]
fn the_gateway_wants_a_key_and_lets_through_an_allow_list() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    stack.up(&stack.manifest());
    let (url, bearer) = (stack.url("/v1/chat/completions"), stack.bearer());
    let body = chat("assistant", "hello", false);

    refused(curl(&["--header", JSON, "--data", &body, &url]), 401);
    for wrong in
        ["Authorization: Bearer sk-sovai-wrong", "Authorization: Bearer ", "Authorization: Basic eDp5"]
    {
        refused(curl(&["--header", wrong, "--header", JSON, "--data", &body, &url]), 401);
    }
    refused(curl(&[&stack.url("/v1/models")]), 401);
    for path in
        ["/metrics", "/slots", "/props", "/health", "/", "/v1", "/v1/../slots", "/v1/models/../../slots"]
    {
        let reply = curl(&["--path-as-is", "--header", &bearer, &stack.url(path)]);
        refused(reply, 404);
    }
    assert_eq!(curl(&[&stack.url("/healthz")]).status, 200);
    let unknown = refused(
        curl(&["--header", &bearer, "--header", JSON, "--data", &chat("gpt-4", "hello", false), &url]),
        404,
    );
    assert!(unknown.contains("gpt-4"), "{unknown}");
    refused(curl(&["--header", &bearer, "--header", JSON, "--data", "{", &url]), 400);
    stack.get("/v1/models").expect(200);
    stack.answers();
    // What was asked is in no log.
    let secret = "a-prompt-that-nobody-may-read";
    stack.ask(secret).expect(200);
    let logs = stack.sovai(&["logs", &stack.name, "gateway"]).expect(0);
    assert!(!logs.stdout.contains(secret) && !logs.stdout.contains(&stack.key()), "{logs}");
}

#[test]
fn a_body_that_is_too_large_is_413() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    stack.up(&stack.manifest());
    let big = stack.path("big.json");
    fs_err::write(&big, chat("assistant", &"x".repeat(40 << 20), false)).unwrap();
    let data = format!("@{}", big.display());
    let args = [
        "--header",
        &stack.bearer(),
        "--header",
        JSON,
        "--data-binary",
        &data,
        &stack.url("/v1/chat/completions"),
    ];
    refused(curl(&args), 413);
    // Without a length announced: it is cut off while it comes.
    let chunked = [&["--header", "Transfer-Encoding: chunked"][..], &args].concat();
    let reply = curl(&chunked);
    assert!(reply.status == 413 || reply.status == 0, "{reply:?}");
    stack.answers();
}

#[test]
fn an_engine_that_is_down_is_502_or_503_and_comes_back() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    stack.up(&stack.manifest());
    let engine = stack.container("engine");
    docker(&["stop", "--time", "5", &engine]);
    let reply = stack.ask("hello");
    assert!([502, 503].contains(&reply.status), "{reply:?}");
    assert!(reply.json()["error"]["message"].is_string(), "{reply:?}");
    docker(&["start", &engine]);
    crate::process::poll("the engine is found again", crate::process::LIMIT, || {
        (stack.ask("hello").status == 200).then_some(())
    });
}

#[test]
fn a_stream_comes_as_it_is_made() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    stack.up(&stack.manifest_with(&[("STUB_CHUNKS", "5"), ("STUB_CHUNK_DELAY_MS", "400")]));
    let reply = curl(&[
        "--no-buffer",
        "--write-out",
        "\n%{time_starttransfer} %{time_total}\n%{http_code}",
        "--header",
        &stack.bearer(),
        "--header",
        JSON,
        "--data",
        &chat("assistant", "hello", true),
        &stack.url("/v1/chat/completions"),
    ])
    .expect(200);
    assert_eq!(reply.body.matches("data: ").count(), 6, "{reply:?}");
    let times: Vec<f64> =
        reply.body.lines().last().unwrap().split(' ').map(|time| time.parse().unwrap()).collect();
    // Six pauses of 0.4 s: with a buffer the first byte would come with the last.
    assert!(times[1] > 2.0 && times[0] < times[1] - 1.0, "{times:?}");
}

#[test]
fn tls_with_a_certificate_of_one_s_own_works() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    let mut manifest = stack.manifest();
    certificate(&stack, "server", "/CN=localhost", &["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]);
    manifest["spec"]["gateway"]["tls"] = json!({ "cert": "server.pem", "key": "server.key" });
    let ran = stack.up(&manifest);
    assert!(ran.stdout.contains(&format!("https://127.0.0.1:{}", stack.port)), "{ran}");
    let url = format!("https://127.0.0.1:{}/v1/models", stack.port);
    let ca = stack.path("server.pem");
    let ca = ca.to_str().unwrap();
    curl(&["--cacert", ca, "--header", &stack.bearer(), &url]).expect(200);
    refused(curl(&["--cacert", ca, &url]), 401);
    // Without the certificate a client does not believe it; without TLS nothing is served.
    assert_eq!(curl(&["--header", &stack.bearer(), &url]).status, 0);
    assert_ne!(stack.get("/v1/models").status, 200);
    // The key is in the store only, not in the engine's records.
    let key = fs_err::read_to_string(stack.path("server.key")).unwrap();
    let line = key.lines().nth(1).unwrap();
    assert!(!docker(&["inspect", &stack.container("gateway")]).contains(line));
    // A new certificate is a change of the gateway alone.
    let engine = stack.container("engine");
    certificate(&stack, "server", "/CN=localhost", &["-addext", "subjectAltName=IP:127.0.0.1"]);
    stack.deploy().expect(0);
    assert_eq!(stack.container("engine"), engine);
    curl(&["--cacert", ca, "--header", &stack.bearer(), &url]).expect(200);
}

#[test]
fn a_public_address_needs_tls_and_clients_can_be_made_to_show_a_certificate() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    certificate(&stack, "server", "/CN=localhost", &["-addext", "subjectAltName=IP:127.0.0.1"]);
    certificate(&stack, "authority", "/CN=an authority", &[]);
    let path = |name: &str| stack.path(name).to_str().unwrap().to_owned();
    let by_authority = ["-CA", &path("authority.pem"), "-CAkey", &path("authority.key")];
    let leaf = ["-addext", "basicConstraints=critical,CA:FALSE", "-addext", "extendedKeyUsage=clientAuth"];
    certificate(&stack, "client", "/CN=an application", &[&by_authority[..], &leaf].concat());
    certificate(&stack, "stranger", "/CN=a stranger", &leaf);
    let port = free_port();
    let mut manifest = stack.manifest();
    manifest["spec"]["gateway"]["listen"] = json!(format!("0.0.0.0:{port}"));
    stack.write(&manifest).deploy().expect(3);
    manifest["spec"]["gateway"]["tls"] =
        json!({ "cert": "server.pem", "key": "server.key", "clientCa": "authority.pem" });
    stack.up(&manifest);
    let url = format!("https://127.0.0.1:{port}/v1/models");
    let (ca, cert, key) = (path("server.pem"), path("client.pem"), path("client.key"));
    let bearer = stack.bearer();
    curl(&["--cacert", &ca, "--cert", &cert, "--key", &key, "--header", &bearer, &url]).expect(200);
    assert_eq!(curl(&["--cacert", &ca, "--header", &bearer, &url]).status, 0, "no certificate");
    let (other, other_key) = (path("stranger.pem"), path("stranger.key"));
    let wrong = curl(&["--cacert", &ca, "--cert", &other, "--key", &other_key, "--header", &bearer, &url]);
    assert_eq!(wrong.status, 0, "a certificate by nobody known");
}

/// Makes `NAME.pem` and `NAME.key` in the stack's folder.
fn certificate(stack: &Stack, name: &str, subject: &str, more: &[&str]) {
    run(Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", subject])
        .args(more)
        .arg("-keyout")
        .arg(stack.path(&format!("{name}.key")))
        .arg("-out")
        .arg(stack.path(&format!("{name}.pem"))))
    .expect(0);
}
