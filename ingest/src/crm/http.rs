//! The HTTP client: ring, the web's root certificates, and one more where configured.

use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::config::{Config, pem};
use super::error::{Error, Result};

/// The configured extra root certificates, as PEM text.
pub(crate) fn extra_roots(config: &Config) -> Result<Option<String>> {
    config.root_certificate.as_deref().map(|value| pem("root_certificate", value)).transpose()
}

/// A client for sign-in and REST. Redirects are not followed: a token must not leave for another host.
pub(crate) fn client(config: &Config) -> Result<reqwest::Client> {
    let wrong = |reason: String| Error::Configure(format!("root_certificate: {reason}"));
    let mut roots = rustls::RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    if let Some(pem) = extra_roots(config)? {
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
        }
    }
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(10))
        .timeout(Duration::from_millis(config.request_timeout_ms))
        .user_agent("concord")
        .build()
        .map_err(|error| Error::Configure(format!("no HTTP client can be made: {error}")))
}
