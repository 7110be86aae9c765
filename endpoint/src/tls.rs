//! Certificates as libpq's `sslmode` treats them.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::{Endpoint, Error, TlsMode};

/// The client side of TLS for an address. Signatures are always checked; what else is depends on the mode.
///
/// # Errors
/// When the trusted certificates cannot be used.
pub fn client_config(endpoint: &Endpoint) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Tls(error.to_string()))?;
    let algorithms = provider.signature_verification_algorithms;
    let chain = match endpoint.tls {
        TlsMode::VerifyFull => return Ok(builder.with_root_certificates(roots(endpoint)?).with_no_client_auth()),
        TlsMode::VerifyCa => {
            let checked = WebPkiServerVerifier::builder_with_provider(Arc::new(roots(endpoint)?), provider).build();
            Some(checked.map_err(|error| Error::Tls(error.to_string()))?)
        }
        TlsMode::Disable | TlsMode::Prefer | TlsMode::Require => None,
    };
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(Lenient { algorithms, chain })).with_no_client_auth())
}

fn roots(endpoint: &Endpoint) -> Result<RootCertStore, Error> {
    let Some(path) = &endpoint.root_certificates else {
        return Ok(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() });
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unusable(path, &error.to_string()))? {
        let certificate = certificate.map_err(|error| unusable(path, &error.to_string()))?;
        roots.add(certificate).map_err(|error| unusable(path, &error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unusable(path, "it holds no certificate"));
    }
    Ok(roots)
}

fn unusable(path: &Path, reason: &str) -> Error {
    Error::Certificates { path: path.display().to_string(), reason: reason.to_owned() }
}

/// Checks less than the full name and chain.
#[derive(Debug)]
struct Lenient {
    algorithms: WebPkiSupportedAlgorithms,
    /// `verify-ca`: the certificate is a trusted authority's, whatever host it names. None for `prefer` and `require`: any
    /// certificate will do.
    chain: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        match chain.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            Err(rustls::Error::InvalidCertificate(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. })) => {
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
