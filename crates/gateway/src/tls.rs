//! TLS of the public port: 1.2 and 1.3, by rustls with the ring provider.

use crate::GatewayError;
use crate::config::{TlsConfig, read_bounded};
use rustls::crypto::ring;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// Longest PEM file in bytes.
const MAX_PEM: u64 = 1 << 20;

/// Reads the files of the public port's TLS.
pub(crate) fn acceptor(config: &TlsConfig) -> Result<TlsAcceptor, GatewayError> {
    let cert = Pem::read("certificate", &config.cert)?;
    let key = Pem::read("private key", &config.key)?;
    let client_ca = match &config.client_ca {
        None => None,
        Some(path) => Some(Pem::read("authority of client certificates", path)?),
    };
    let mut server = server(&cert, &key, client_ca.as_ref())?;
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(server)))
}

/// Whether TLS files, given as PEM, fit together: what the gateway would say of them when it starts. The paths in an
/// error are the names of the manifest's keys.
pub fn check_tls(cert: &[u8], key: &[u8], client_ca: Option<&[u8]>) -> Result<(), GatewayError> {
    let pem = |what, name: &str, bytes: &[u8]| Pem { what, path: PathBuf::from(name), bytes: bytes.to_vec() };
    let cert = pem("certificate", "gateway.tls.cert", cert);
    let key = pem("private key", "gateway.tls.key", key);
    let client_ca =
        client_ca.map(|bytes| pem("authority of client certificates", "gateway.tls.clientCa", bytes));
    server(&cert, &key, client_ca.as_ref()).map(drop)
}

/// A PEM file and what it is for.
struct Pem {
    what: &'static str,
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Pem {
    fn read(what: &'static str, path: &Path) -> Result<Self, GatewayError> {
        Ok(Self { what, path: path.to_owned(), bytes: read_bounded(what, path, MAX_PEM)? })
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, GatewayError> {
        let list: Vec<_> = CertificateDer::pem_slice_iter(&self.bytes)
            .collect::<Result<_, _>>()
            .map_err(|e| self.unusable(e))?;
        if list.is_empty() {
            return Err(self.unusable("expected a PEM section `CERTIFICATE`, found none"));
        }
        Ok(list)
    }

    fn unusable(&self, source: impl Into<Box<dyn Error + Send + Sync>>) -> GatewayError {
        unusable(self.what, &self.path, source)
    }
}

fn server(cert: &Pem, key: &Pem, client_ca: Option<&Pem>) -> Result<ServerConfig, GatewayError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| cert.unusable(e))?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            for anchor in pem.certificates()? {
                roots.add(anchor).map_err(|e| pem.unusable(e))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|e| pem.unusable(e))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let chain = cert.certificates()?;
    let private = PrivateKeyDer::from_pem_slice(&key.bytes).map_err(|e| key.unusable(e))?;
    // Fails too when the key is not that of the certificate.
    builder
        .with_single_cert(chain, private)
        .map_err(|e| unusable("certificate with its private key", &cert.path, e))
}

fn unusable(
    what: &'static str,
    path: &Path,
    source: impl Into<Box<dyn Error + Send + Sync>>,
) -> GatewayError {
    GatewayError::Tls { what, path: path.to_owned(), source: source.into() }
}
