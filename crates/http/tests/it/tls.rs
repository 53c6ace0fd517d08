//! Certificates, against OpenSSL's server.

use crate::{block_on, get, shown};
use sovai_http::{Client, HttpError, Options};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// `openssl s_server`, killed when the test ends.
struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A self-signed certificate for `localhost`, and a server that shows it. Gives the server and its port.
fn serve(folder: &Path) -> (Peer, u16) {
    let made = Command::new("openssl")
        .current_dir(folder)
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
        .args(["-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=test"])
        .args(["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"])
        .stderr(Stdio::null())
        .status()
        .expect("openssl is installed");
    assert!(made.success());
    fs_err::write(folder.join("file"), "over tls").unwrap();
    let mut child = Command::new("openssl")
        .current_dir(folder)
        .args(["s_server", "-accept", "127.0.0.1:0", "-cert", "cert.pem", "-key", "key.pem", "-WWW"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let port = lines.find_map(|line| line.strip_prefix("ACCEPT 127.0.0.1:")?.parse().ok()).unwrap();
    // Its further output must go somewhere.
    std::thread::spawn(move || lines.for_each(drop));
    (Peer(child), port)
}

#[test]
fn a_private_authority_is_believed_when_it_is_named_and_only_then() {
    let folder = tempfile::tempdir().unwrap();
    let (_peer, port) = serve(folder.path());
    let url = format!("https://localhost:{port}/file");
    let fetch = |ca_certs| {
        let client = Client::new(&Options { ca_certs, ..Options::default() })?;
        block_on(async { client.send(get(&url)).await?.bytes(100).await })
    };
    let error = fetch(Vec::new()).unwrap_err();
    assert!(matches!(error, HttpError::Connect { .. }), "{error:?}");
    assert!(shown(&error).contains("certificate"), "{}", shown(&error));
    assert!(!error.is_transient(), "trying again does not help");
    assert_eq!(fetch(vec![folder.path().join("cert.pem")]).unwrap(), b"over tls");
}

#[test]
fn a_file_without_a_certificate_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    for (bytes, what) in [(None, "No such file"), (Some("nothing here"), "no PEM certificate")] {
        if let Some(bytes) = bytes {
            fs_err::write(&path, bytes).unwrap();
        }
        let error = Client::new(&Options { ca_certs: vec![path.clone()], ..Options::default() }).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
        assert!(error.to_string().contains("ca.pem"), "{error}");
    }
}
