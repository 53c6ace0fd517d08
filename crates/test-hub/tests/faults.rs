//! The faults, as a plain client sees them.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use sovai_test_hub::{Content, Fault, Hub, Place, Repo};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

/// One request on its own connection: status, head and all bytes after it.
fn ask(url: &str, path: &str, more: &str) -> (u16, String, Vec<u8>) {
    let host = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n").unwrap();
    let mut all = Vec::new();
    // A connection that is reset has given what it had.
    drop(stream.read_to_end(&mut all));
    let at = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(all[..at].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_lowercase(), all[at + 4..].to_vec())
}

fn hub() -> (Hub, Content) {
    let hub = Hub::start();
    let content = Content::pattern(7, 300_000);
    hub.add_plain("w.bin", content.clone());
    (hub, content)
}

#[test]
fn ranges_are_answered_as_asked() {
    let (hub, content) = hub();
    let all = content.read_all().unwrap();
    for (range, from, to) in [
        ("0-", 0, 300_000),
        ("5-99999", 5, 100_000),
        ("-10", 299_990, 300_000),
        ("299999-999999", 299_999, 300_000),
    ] {
        let (status, head, body) = ask(&hub.url(), "/files/w.bin", &format!("Range: bytes={range}\r\n"));
        assert_eq!(status, 206);
        assert!(head.contains(&format!("content-range: bytes {from}-{}/300000", to - 1)), "{head}");
        assert_eq!(body, all[from..to]);
    }
    let (status, head, _) = ask(&hub.url(), "/files/w.bin", "Range: bytes=300000-\r\n");
    assert_eq!(status, 416);
    assert!(head.contains("content-range: bytes */300000"), "{head}");
    let (status, _, body) = ask(&hub.url(), "/files/w.bin", "Range: bytes=5-\r\nIf-Range: \"other\"\r\n");
    assert_eq!((status, body.len()), (200, 300_000));
}

#[test]
fn each_fault_does_what_it_says() {
    let (hub, content) = hub();
    let all = content.read_all().unwrap();
    let get = |more: &str| ask(&hub.url(), "/files/w.bin", more);
    let range = "Range: bytes=1000-1999\r\n";

    hub.fault("w.bin", Fault::IgnoreRange).times(1);
    assert_eq!(get(range).0, 200);
    assert_eq!(get(range).0, 206);

    hub.fault("*.bin", Fault::ContentLength(7)).times(1);
    let (_, head, body) = get("");
    assert!(head.contains("content-length: 300007"), "{head}");
    assert_eq!(body.len(), 300_000);
    hub.fault("*.bin", Fault::ContentLength(-7)).times(1);
    let (_, head, body) = get("");
    assert!(head.contains("content-length: 299993"), "{head}");
    assert_eq!(body.len(), 299_993);

    hub.fault("w.bin", Fault::CloseAfter(123_456)).times(2);
    assert_eq!([get("").2.len(), get("").2.len(), get("").2.len()], [123_456, 123_456, 300_000]);

    let random = hub.fault("w.bin", Fault::CloseAtRandom { seed: 1, below: 200_000 }).times(2);
    let lengths = [get("").2.len(), get("").2.len()];
    assert!(lengths.iter().all(|length| *length < 200_000) && lengths[0] != lengths[1], "{lengths:?}");
    assert_eq!(random.hits(), 2);

    hub.fault("w.bin", Fault::RefuseRange).times(1);
    assert_eq!(get("").0, 200);
    assert_eq!(get(range).0, 416);

    hub.fault("w.bin", Fault::ContentRangeStart(5)).times(1);
    let (_, head, body) = get(range);
    assert!(head.contains("content-range: bytes 1005-2004/300000"), "{head}");
    assert_eq!(body, all[1000..2000]);

    hub.fault("w.bin", Fault::CorruptResume).times(1);
    assert_eq!(get("Range: bytes=0-9\r\n").2, all[..10]);
    assert_ne!(get(range).2, all[1000..2000]);
    assert_eq!(get(range).2, all[1000..2000]);

    hub.fault("w.bin", Fault::Flip(1500)).times(1);
    let body = get(range).2;
    assert_eq!(body[500], all[1500] ^ 1);
    assert_eq!(body[501..], all[1501..2000]);

    hub.fault("w.bin", Fault::too_many(3)).after(1).times(1);
    assert_eq!(get("").0, 200);
    let (status, head, _) = get("");
    assert_eq!(status, 429);
    assert!(head.contains("retry-after: 3"), "{head}");
    assert_eq!(get("").0, 200);

    hub.fault("w.bin", Fault::Redirect("http://127.0.0.2:1/x".to_owned())).only_at(Place::Hub).times(1);
    let (status, head, _) = get("");
    assert_eq!(status, 302);
    assert!(head.contains("location: http://127.0.0.2:1/x"), "{head}");

    hub.fault("w.bin", Fault::NoLength).times(1);
    let (_, head, _) = get("");
    assert!(head.contains("transfer-encoding: chunked") && !head.contains("content-length"), "{head}");
    assert!(hub.bytes_sent() > 1_000_000, "{}", hub.bytes_sent());
    assert_eq!(hub.connections(), hub.requests().len() as u64);
}

#[test]
fn a_folder_has_its_digests() {
    let (hub, content) = hub();
    hub.add_plain("sub/a.txt", "a");
    let (_, _, body) = ask(&hub.url(), "/files/SHA256SUMS", "");
    let text = String::from_utf8(body).unwrap();
    assert!(text.contains(&format!("{}  w.bin\n", content.sha256())), "{text}");
    assert!(text.contains("  sub/a.txt\n"), "{text}");
}

#[test]
fn a_pattern_differs_at_every_offset_and_is_the_same_again() {
    let content = Content::pattern(1, 1 << 20);
    let all = content.read_all().unwrap();
    assert_eq!(Content::bytes(all.clone()).sha256(), content.sha256());
    assert_eq!(content.sha256(), Content::pattern(1, 1 << 20).sha256());
    assert_ne!(content.sha256(), Content::pattern(2, 1 << 20).sha256());
    assert_eq!(content.read(65_530, 100).unwrap(), all[65_530..65_536]);
    assert_ne!(all[..65_536], all[65_536..131_072]);
}

#[test]
fn a_moved_branch_a_gate_and_what_is_not_there() {
    let hub = Hub::start();
    let (one, two) = ("1".repeat(40), "2".repeat(40));
    hub.add(Repo::new("acme/tiny", &one).gated("secret").file("a.txt", "one").lfs("w", "weights"));
    hub.add(Repo::new("acme/tiny", &two).refs(["next"]).gated("secret").file("a.txt", "two"));
    let token = "Authorization: Bearer secret\r\n";
    let get = |path: &str, more: &str| ask(&hub.url(), path, more);
    let (status, head, _) = get("/acme/tiny/resolve/main/a.txt", "");
    assert_eq!(status, 401);
    assert!(head.contains("x-error-code: gatedrepo"), "{head}");
    assert_eq!(get("/acme/tiny/resolve/main/a.txt", "Authorization: Bearer other\r\n").0, 403);
    assert_eq!(get("/acme/tiny/resolve/main/a.txt", token).0, 307);
    assert_eq!(get(&format!("/api/resolve-cache/models/acme/tiny/{one}/a.txt"), token).2, b"one");
    let (status, head, _) = get("/acme/tiny/resolve/main/w", token);
    assert_eq!(status, 302);
    assert!(head.contains(&format!("location: {}/lfs/", hub.cdn_url())), "{head}");
    assert!(!hub.cdn_saw_authorization());
    hub.set_ref("acme/tiny", "main", &two);
    let text = String::from_utf8(get("/api/models/acme/tiny/revision/main?blobs=true", "").2).unwrap();
    assert!(text.contains(&format!("\"sha\":\"{two}\"")), "{text}");
    for (path, code, status) in [
        ("/api/models/acme/none/revision/main", "reponotfound", 401),
        ("/api/models/acme/tiny/revision/none", "revisionnotfound", 404),
    ] {
        let (got, head, _) = get(path, "");
        assert_eq!(got, status);
        assert!(head.contains(&format!("x-error-code: {code}")), "{head}");
    }
    assert!(get("/acme/tiny/resolve/main/none", token).1.contains("x-error-code: entrynotfound"));
}
