//! Buckets: of `s3s-fs`, a server of others that checks every signature, and of servers that give what no honest one does.

use super::hostile::canned;
use super::*;
use std::process::{Child, Command, Stdio};

/// A server of others with one bucket; it ends with the value.
struct Store {
    child: Child,
    url: String,
    folder: tempfile::TempDir,
}

impl Store {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(folder.path().join("bucket")).unwrap();
        let mut child = Command::new("s3s-fs")
            .args([
                "--access-key",
                "AKEXAMPLE",
                "--secret-key",
                "SKEXAMPLE",
                "--host",
                "127.0.0.1",
                "--port",
                "0",
            ])
            .arg(folder.path())
            .env("RUST_LOG", "info")
            .env("NO_COLOR", "1")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("s3s-fs is on PATH; scripts/test.sh installs it");
        let mut line = String::new();
        let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
        while !line.contains("http://") {
            line.clear();
            assert!(
                std::io::BufRead::read_line(&mut output, &mut line).unwrap() > 0,
                "it says where it listens"
            );
        }
        let url = line[line.find("http://").unwrap()..].trim().trim_end_matches('/').to_owned();
        // What it goes on to say must not fill the pipe.
        std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        Self { child, url, folder }
    }

    fn put(&self, key: &str, content: &[u8]) {
        let path = self.folder.path().join("bucket").join(key);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, content).unwrap();
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

const ID: (&str, &str) = ("AWS_ACCESS_KEY_ID", "AKEXAMPLE");
const SECRET: (&str, &str) = ("AWS_SECRET_ACCESS_KEY", "SKEXAMPLE");

fn bucket(url: &str, rest: &str, more: &[(&str, &str)]) -> std::sync::Arc<dyn Source> {
    let mut variables = vec![("AWS_ENDPOINT_URL", url)];
    variables.extend_from_slice(more);
    open("s3", rest, &surroundings(&Hub::start(), &variables)).unwrap()
}

#[test]
fn a_prefix_is_listed_and_read_with_signed_requests() {
    let store = Store::start();
    let weights = Content::pattern(9, 70_000);
    store.put("models/tiny/config.json", b"{}");
    store.put("models/tiny/sub dir/\u{fc}+%&=;.safetensors", &weights.read_all().unwrap());
    store.put("models/tiny-other/x", b"not of the model");
    let source = bucket(&store.url, "//bucket/models/tiny/", &[ID, SECRET]);
    let model = run(&*source, None).unwrap();
    let name = "sub dir/\u{fc}+%&=;.safetensors";
    assert_eq!(summary(&model), [("config.json", 2, Basis::Hashed), (name, 70_000, Basis::Hashed)]);
    assert_eq!(model.files[1].pin.sha256.hex(), weights.sha256());
    let all = weights.read_all().unwrap();
    assert_eq!(bytes(&*source, name, None).unwrap(), (0, all.clone()));
    let part = bytes(&*source, name, Some((60_000, 60_100))).unwrap();
    assert_eq!(part, (60_000, all[60_000..60_100].to_vec()));
    let one = bucket(&store.url, &format!("//bucket/models/tiny/{name}"), &[ID, SECRET]);
    let model = run(&*one, None).unwrap();
    assert_eq!(summary(&model), [("\u{fc}+%&=;.safetensors", 70_000, Basis::Hashed)]);
    assert_eq!(model.files[0].pin.sha256.hex(), weights.sha256());
}

#[test]
fn sums_of_a_prefix_are_used_and_checked() {
    let store = Store::start();
    let weights = Content::pattern(9, 70_000);
    store.put("m/w.bin", &weights.read_all().unwrap());
    store.put("m/a.json", b"{}");
    store.put("m/SHA256SUMS", format!("{}  w.bin\n", weights.sha256()).as_bytes());
    let source = bucket(&store.url, "//bucket/m", &[ID, SECRET]);
    let expected = [("a.json", 2, Basis::Hashed), ("w.bin", 70_000, Basis::Listed)];
    assert_eq!(summary(&run(&*source, None).unwrap()), expected);
    store.put("m/SHA256SUMS", format!("{A}  gone.bin\n").as_bytes());
    let error = run(&*source, None).unwrap_err();
    assert!(error.to_string().contains("names `gone.bin`, which is not there"), "{error}");
}

#[test]
fn refusals_of_stores_say_what_to_set() {
    let store = Store::start();
    store.put("m/a.json", b"{}");
    let wrong = ("AWS_SECRET_ACCESS_KEY", "other");
    let (reason, hint) = refusal(&run(&*bucket(&store.url, "//bucket/m", &[ID, wrong]), None).unwrap_err());
    assert!(
        reason.contains("does not accept the keys") && hint.contains("AWS_SECRET_ACCESS_KEY"),
        "{reason}; {hint}"
    );
    let (reason, hint) = refusal(&run(&*bucket(&store.url, "//bucket/m", &[]), None).unwrap_err());
    assert!(reason.contains("does not give out") && hint.contains("AWS_ACCESS_KEY_ID"), "{reason}; {hint}");
    let (reason, _) = refusal(&run(&*bucket(&store.url, "//none/m", &[ID, SECRET]), None).unwrap_err());
    assert!(reason.contains("no bucket `none`"), "{reason}");
    let (reason, _) = refusal(&run(&*bucket(&store.url, "//bucket/none", &[ID, SECRET]), None).unwrap_err());
    assert!(reason.contains("nothing below `none/`"), "{reason}");
    let (reason, _) =
        refusal(&run(&*bucket(&store.url, "//bucket/none.gguf", &[ID, SECRET]), None).unwrap_err());
    assert!(reason.contains("`none.gguf` is not in bucket"), "{reason}");
    let source = bucket(&store.url, "//bucket/m", &[ID, wrong]);
    let error = bytes(&*source, "a.json", None).unwrap_err();
    assert!(refusal(&error).0.contains("does not accept the keys"), "{error}");
    // Neither the secret nor the signature is told.
    let shown = format!("{error:?} {source:?}");
    assert!(!shown.contains("other") && !shown.contains("X-Amz-Signature"), "{shown}");
}

fn xml(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn page(keys: &[(&str, &str)], more: &str) -> String {
    let mut contents = String::new();
    for (key, size) in keys {
        contents.extend([
            "<Contents><Key>",
            key,
            "</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><Size>",
        ]);
        contents.extend([size, "</Size></Contents>"]);
    }
    xml(&format!("<ListBucketResult><Name>bucket</Name>{more}{contents}</ListBucketResult>"))
}

#[test]
fn lists_of_hostile_stores_are_refused() {
    for (answer, part) in [
        (page(&[("m/../x", "1")], ""), "list"),
        (page(&[("other/x", "1")], ""), "not below the prefix"),
        (page(&[("mm/x", "1")], ""), "not below the prefix"),
        (page(&[("m/a", "1"), ("m/A", "1")], ""), "collide"),
        (page(&[("m/a", "1"), ("m/a", "1")], ""), "twice"),
        (page(&[("m/a", "-1")], ""), "cannot be read"),
        (page(&[("m/a", "9223372036854775808")], ""), "impossible size"),
        (page(&[("m/a\\b", "1")], ""), "cannot be a file"),
        (xml("<html>"), "cannot be read"),
        (xml(&"<a>".repeat(10_000)), "cannot be read"),
        (xml(""), "cannot be read"),
        // Always one more page.
        (page(&[("m/a", "1")], "<NextContinuationToken>x</NextContinuationToken>"), "twice"),
        (page(&[], "<NextContinuationToken>x</NextContinuationToken>"), "2000 pages"),
    ] {
        let (url, _seen) = canned(move |_| answer.clone());
        let error = run(&*bucket(&url, "//bucket/m", &[]), None).unwrap_err();
        assert!(matches!(error, SourceError::Malformed { .. }), "{part}: {error}");
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
}

#[test]
fn without_keys_nothing_is_signed_and_folders_that_tools_make_are_no_files() {
    let (url, seen) = canned(|head| {
        if head.starts_with("GET /bucket?") {
            page(&[("m/", "0"), ("m/sub/", "0"), ("m/sub/a.json", "2")], "")
        } else {
            xml("{}")
        }
    });
    let model = run(&*bucket(&url, "//bucket/m", &[]), None).unwrap();
    assert_eq!(summary(&model), [("sub/a.json", 2, Basis::Hashed)]);
    let heads: Vec<String> = seen.try_iter().collect();
    assert!(heads.iter().any(|head| head.starts_with("GET /bucket/m/sub/a.json HTTP/1.1\r\n")), "{heads:?}");
    assert!(heads.iter().all(|head| !head.to_lowercase().contains("authorization")), "{heads:?}");
}

#[test]
fn addresses_and_keys_come_from_the_environment() {
    let hub = Hub::start();
    let made = |rest: &str, more: &[(&str, &str)]| {
        open("s3", rest, &surroundings(&hub, more)).map(|s| format!("{s:?}"))
    };
    for (more, part) in [
        (&[][..], "bkt.s3.us-east-1.amazonaws.com"),
        (&[("AWS_REGION", "cn-north-1")], "bkt.s3.cn-north-1.amazonaws.com.cn"),
        (&[("SOVAI_S3_PATH_STYLE", "true")], "\"s3.us-east-1.amazonaws.com\""),
        (
            &[("AWS_ENDPOINT_URL", "https://store.example"), ("SOVAI_S3_PATH_STYLE", "false")],
            "\"bkt.store.example\"",
        ),
        (
            &[("AWS_ENDPOINT_URL", "https://a.example"), ("AWS_ENDPOINT_URL_S3", "https://b.example/x/")],
            "\"b.example\"",
        ),
    ] {
        let shown = made("//bkt/m", more).unwrap();
        assert!(shown.contains(part), "{part}: {shown}");
    }
    for (rest, more) in [
        ("//bkt", &[][..]),
        ("//b k/m", &[]),
        ("//bkt/../m", &[]),
        ("bkt/m", &[]),
        ("//bkt/m", &[ID]),
        ("//bkt/m", &[SECRET]),
        ("//bkt/m", &[("SOVAI_S3_PATH_STYLE", "maybe")]),
        ("//bkt/m", &[("AWS_ENDPOINT_URL", "http://127.0.0.1:1"), ("SOVAI_S3_PATH_STYLE", "false")]),
    ] {
        let error = made(rest, more).unwrap_err();
        assert!(matches!(error, SourceError::Invalid { .. }), "{rest}: {error}");
    }
    let plain =
        open("s3", "//bkt/m", &surroundings(&hub, &[("AWS_ENDPOINT_URL", "http://store.example")])).unwrap();
    let error = run(&*plain, None).unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("loopback"), "{error}");
}
