//! The public port with TLS. The certificates are made by the `openssl` program, as an operator would.

use crate::support::{Client, Door, Engine, chat, config, within};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::json;
use sovai_gateway::Config;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// An authority in a folder of its own.
struct Authority {
    folder: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let it = Self { folder };
        it.openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem");
        it
    }

    fn openssl(&self, args: &str) {
        let output = Command::new("openssl")
            .args(args.split(' '))
            .current_dir(self.folder.path())
            .output()
            .expect("openssl");
        assert!(output.status.success(), "openssl {args}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Makes `NAME.pem` and `NAME.key` for 127.0.0.1.
    fn issue(&self, name: &str) -> (PathBuf, PathBuf) {
        fs_err::write(
            self.folder.path().join("ext"),
            "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n",
        )
        .unwrap();
        self.openssl(&format!("req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr"));
        self.openssl(&format!("x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out {name}.pem"));
        (self.path(&format!("{name}.pem")), self.path(&format!("{name}.key")))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        for cert in certificates(&self.path("ca.pem")) {
            roots.add(cert).unwrap();
        }
        roots
    }
}

fn certificates(path: &Path) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(path).unwrap().map(Result::unwrap).collect()
}

async fn connect(
    door: &Door,
    authority: &Authority,
    identity: Option<&(PathBuf, PathBuf)>,
) -> std::io::Result<Client<TlsStream<TcpStream>>> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(authority.roots());
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => builder
            .with_client_auth_cert(certificates(cert), PrivateKeyDer::from_pem_file(key).unwrap())
            .unwrap(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let stream = TcpStream::connect(door.address).await?;
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let stream = within("the handshake", TlsConnector::from(Arc::new(config)).connect(name, stream)).await?;
    Ok(Client::over(stream))
}

#[tokio::test]
async fn the_public_port_speaks_tls_and_the_inner_one_does_not() {
    let authority = Authority::new();
    let (cert, key) = authority.issue("server");
    let (engine, _seen) = Engine::echo().await;
    let mut config = config(engine.address);
    config["tls"] = json!({ "cert": cert, "key": key });
    let door = Door::open(config).await;
    let mut client = connect(&door, &authority, None).await.unwrap();
    assert_eq!(client.stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    for _ in 0..3 {
        client.send(chat("x")).await;
        assert_eq!(client.answer().await.status, 200);
    }
    let mut inner = Client::connect(door.inner).await;
    inner.send(chat("x")).await;
    assert_eq!(inner.answer().await.status, 200);

    // Plain HTTP on the TLS port is told so, and goes no further.
    let answer = door.ask(&chat("x")).await;
    assert_eq!(answer.error(), (400, Some("https_required".to_owned())));
    // Neither HTTP nor TLS.
    let mut client = door.client().await;
    client.send(b"\x16\x03\x01\x00\x05nonsense").await;
    client.closed().await;
    assert!(door.metrics().await.contains("sovai_gateway_tls_handshakes_failed_total 2"));

    // A client that trusts somebody else does not send its key.
    let other = Authority::new();
    assert!(connect(&door, &other, None).await.is_err());
}

#[tokio::test]
async fn a_silent_handshake_is_closed_in_time() {
    let authority = Authority::new();
    let (cert, key) = authority.issue("server");
    let mut config = config(Engine::nobody().await);
    config["tls"] = json!({ "cert": cert, "key": key });
    config["limits"] = json!({ "headerTimeoutMs": 200 });
    let door = Door::open(config).await;
    door.client().await.closed().await;
    let mut half = door.client().await;
    half.send(b"\x16\x03\x01").await;
    half.closed().await;
}

#[tokio::test]
async fn with_a_client_authority_only_its_holders_get_in() {
    let authority = Authority::new();
    let (cert, key) = authority.issue("server");
    let team = authority.issue("team");
    let stranger_authority = Authority::new();
    let stranger = stranger_authority.issue("stranger");
    let (engine, _seen) = Engine::echo().await;
    let mut config = config(engine.address);
    config["tls"] = json!({ "cert": cert, "key": key, "clientCa": authority.path("ca.pem") });
    let door = Door::open(config).await;
    let mut client = connect(&door, &authority, Some(&team)).await.unwrap();
    client.send(chat("x")).await;
    assert_eq!(client.answer().await.status, 200);
    for identity in [None, Some(&stranger)] {
        // With TLS 1.3 the client hears of the refusal only when it reads.
        if let Ok(mut client) = connect(&door, &authority, identity).await {
            let _refused =
                tokio::io::AsyncWriteExt::write_all(&mut client.stream, chat("x").as_bytes()).await;
            assert!(client.try_answer().await.is_none());
        }
    }
}

#[tokio::test]
async fn a_key_of_another_certificate_is_an_error_at_the_start() {
    let authority = Authority::new();
    let (cert, _) = authority.issue("one");
    let (_, key) = authority.issue("two");
    let mut config = config(Engine::nobody().await);
    config["keys"] = json!(null);
    config["tls"] = json!({ "cert": cert, "key": key });
    let config = Config::parse(config.to_string().as_bytes()).unwrap();
    let error = sovai_gateway::Gateway::bind(config, |_| {}).await.unwrap_err();
    assert!(error.to_string().contains("one.pem"), "{error}");

    // The same is known before a gateway is started.
    let read = |path: &Path| fs_err::read(path).unwrap();
    let own_key = cert.with_extension("key");
    sovai_gateway::check_tls(&read(&cert), &read(&own_key), Some(&read(&authority.path("ca.pem")))).unwrap();
    for (chain, private, ca) in [
        (read(&cert), read(&key), None),
        (read(&own_key), read(&cert), None),
        (read(&cert), Vec::new(), None),
        (read(&cert), read(&own_key), Some(b"no PEM".as_slice())),
    ] {
        sovai_gateway::check_tls(&chain, &private, ca).unwrap_err();
    }
}
