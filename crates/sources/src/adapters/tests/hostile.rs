//! Lists that no honest hub gives.

use super::*;
use serde_json::{Value, json};

fn answer(value: &Value) -> Fault {
    raw("application/json", value.to_string().into_bytes())
}

fn raw(content_type: &str, body: Vec<u8>) -> Fault {
    Fault::Answer { code: 200, content_type: content_type.to_owned(), body }
}

#[test]
fn hostile_lists_are_refused() {
    let hub = Hub::start();
    hub.add(tiny());
    let file = |path: &str| json!({ "type": "file", "path": path, "size": 1, "oid": COMMIT });
    let mut big = file("w");
    big["size"] = (i64::MAX as u64 + 1).into();
    let mut negative = file("w");
    negative["size"] = (-1).into();
    let lfs =
        |digest: &str| json!({ "type": "file", "path": "w", "size": 1, "lfs": { "oid": digest, "size": 1 } });
    let deep = format!("[{}{}]", "[".repeat(10_000), "]".repeat(10_000));
    let long = format!("[{{\"type\":\"file\",\"path\":\"w\",\"x\":\"{}\"}}", "x".repeat(10 << 20));
    let cases = [
        (answer(&json!([file("../x")])), "cannot be a file"),
        (answer(&json!([file("/etc/passwd")])), "cannot be a file"),
        (answer(&json!([file("a"), file("a")])), "collide"),
        (answer(&json!([file("A"), file("a")])), "collide"),
        (answer(&json!([file("a"), file("a/b")])), "collide"),
        (answer(&json!([big])), "at most"),
        (answer(&json!([negative])), "invalid value"),
        (answer(&json!([lfs(&A[1..])])), "64 lower-case"),
        (answer(&json!([lfs(&A.to_uppercase())])), "64 lower-case"),
        (answer(&json!({ "siblings": [] })), "page of the file list"),
        (raw("application/json", deep.into_bytes()), "nested too deep"),
        (raw("application/json", long.into_bytes()), "malformed"),
        (raw("text/html", b"<!doctype html><p>Sign in".to_vec()), "web page"),
        (raw("application/json", b"\n <html>".to_vec()), "web page"),
        (raw("text/plain", b"hello".to_vec()), "no file list"),
        (raw("application/json", Vec::new()), "no file list"),
    ];
    for (fault, part) in cases {
        hub.fault("api/models/acme/tiny/tree/**", fault);
        let error = get(&hub, "hf:acme/tiny", &[]).unwrap_err();
        assert!(matches!(error, SourceError::Malformed { .. }), "{error}");
        assert!(error.to_string().contains(part), "{part}: {error}");
        hub.clear_faults();
    }
    for sha in [json!("main"), json!(COMMIT.to_uppercase()), json!(null), json!("0".repeat(39))] {
        hub.fault("api/models/acme/tiny/revision/main", answer(&json!({ "sha": sha, "siblings": [] })));
        let error = get(&hub, "hf:acme/tiny", &[]).unwrap_err();
        assert!(matches!(error, SourceError::Malformed { .. }), "{error}");
        hub.clear_faults();
    }
    // A commit that was asked for must be the one that is answered.
    let other = COMMIT.replace('0', "f");
    hub.fault("**/revision/**", answer(&json!({ "sha": other, "siblings": [] })));
    let error = get(&hub, &format!("hf:acme/tiny@{COMMIT}"), &[]).unwrap_err();
    assert!(error.to_string().contains("was answered"), "{error}");
}

#[test]
fn hostile_folders_of_modelscope_are_refused() {
    let hub = Hub::start();
    hub.add(tiny());
    let file = |path: &str| json!({ "Path": path, "Type": "blob", "Size": 1, "Sha256": A });
    let list = |files: Vec<Value>| json!({ "Code": 200, "Success": true, "Data": { "Files": files } });
    for (value, part) in [
        (list(vec![file("../x")]), "cannot be a file"),
        (list(vec![file("a"), file("A")]), "collide"),
        (json!({ "Success": false, "Data": { "Files": [] } }), "failed"),
        (json!([file("a")]), "malformed"),
    ] {
        hub.fault("**/repo/files", answer(&value));
        let error = get(&hub, "modelscope:acme/tiny", &[]).unwrap_err().to_string();
        assert!(error.contains(part), "{part}: {error}");
        hub.clear_faults();
    }
    // A folder that is its own child would never end.
    let folder = json!({ "Path": "loop", "Type": "tree", "Size": 0 });
    let many: Vec<Value> = (0..3000).map(|number| file(&format!("loop/{number}"))).collect();
    hub.fault("**/repo/files", answer(&list(many.clone()))).times(1);
    hub.fault("**/repo/files", answer(&list(vec![folder.clone()]))).after(1).times(1);
    hub.fault("**/repo/files", answer(&list(many))).after(2).times(1);
    hub.fault("**/repo/files", answer(&list(vec![folder]))).after(3);
    let error = get(&hub, "modelscope:acme/tiny", &[]).unwrap_err().to_string();
    assert!(error.contains("folder `loop` has `loop`"), "{error}");
}

/// A server that gives every request the same answer; what arrived, as text.
pub(super) fn canned(
    respond: impl Fn(&str) -> String + Send + 'static,
) -> (String, std::sync::mpsc::Receiver<String>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (sender, seen) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = std::io::BufReader::new(stream.unwrap());
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                if std::io::BufRead::read_line(&mut stream, &mut head).unwrap_or(0) == 0 {
                    break;
                }
            }
            let answer = respond(&head);
            drop(std::io::Write::write_all(stream.get_mut(), answer.as_bytes()));
            if sender.send(head).is_err() {
                return;
            }
        }
    });
    (address, seen)
}

fn page(link: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nLink: <{link}>; rel=\"next\"\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn pages_that_lead_in_a_circle_or_to_another_server_are_refused_and_the_token_stays() {
    let info = json!({ "sha": COMMIT, "siblings": [] }).to_string();
    let (elsewhere, arrived) = canned(|_| page("/", "[]"));
    for (link, part) in
        [("/api/models/a/b/tree/x?1", "circle"), (&*elsewhere, "another server"), ("http://[", "no address")]
    {
        let (link, body) = (link.to_owned(), info.clone());
        let (address, seen) =
            canned(move |head| page(&link, if head.contains("/revision/") { &body } else { "[]" }));
        let hub = Hub::start();
        let more = [("HF_ENDPOINT", &*address), ("HF_TOKEN", "secret")];
        let error = get(&hub, "hf:a/b", &more).unwrap_err();
        assert!(error.to_string().contains(part), "{part}: {error}");
        assert!(seen.try_iter().all(|head| head.contains("authorization: Bearer secret")));
    }
    assert_eq!(arrived.try_iter().count(), 0);
}
