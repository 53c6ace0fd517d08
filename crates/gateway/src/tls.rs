//! TLS of the public port: 1.2 and 1.3, by rustls with the ring provider.

use crate::GatewayError;
use crate::config::{TlsConfig, read_bounded};
use rustls::crypto::ring;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// Longest PEM file in bytes.
const MAX_PEM: u64 = 1 << 20;

/// Reads the files of the public port's TLS.
pub(crate) fn acceptor(config: &TlsConfig) -> Result<TlsAcceptor, GatewayError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| unusable("certificate", &config.cert, e))?;
    let builder = match &config.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let what = "authority of client certificates";
            let mut roots = RootCertStore::empty();
            for cert in certificates(what, path)? {
                roots.add(cert).map_err(|e| unusable(what, path, e))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|e| unusable(what, path, e))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let chain = certificates("certificate", &config.cert)?;
    let pem = read_bounded("private key", &config.key, MAX_PEM)?;
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|e| unusable("private key", &config.key, e))?;
    // Fails too when the key is not that of the certificate.
    let mut server = builder
        .with_single_cert(chain, key)
        .map_err(|e| unusable("certificate with its private key", &config.cert, e))?;
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(server)))
}

fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, GatewayError> {
    let pem = read_bounded(what, path, MAX_PEM)?;
    let list: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|e| unusable(what, path, e))?;
    if list.is_empty() {
        return Err(unusable(what, path, "expected a PEM section `CERTIFICATE`, found none"));
    }
    Ok(list)
}

fn unusable(
    what: &'static str,
    path: &Path,
    source: impl Into<Box<dyn Error + Send + Sync>>,
) -> GatewayError {
    GatewayError::Tls { what, path: path.to_owned(), source: source.into() }
}
