//! A private certificate authority and one server certificate, made at start.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose};

use crate::error::SimulatorError;

/// What the servers present and what clients must trust.
pub(crate) struct Certificate {
    pub(crate) ca_pem: String,
    pub(crate) chain_pem: String,
    pub(crate) key_pem: String,
}

impl Certificate {
    /// Makes an authority and a certificate for `names`.
    pub(crate) fn new(names: &[String]) -> Result<Self, SimulatorError> {
        let failed = |error: rcgen::Error| SimulatorError::Certificate { reason: error.to_string() };
        let mut authority = CertificateParams::new(Vec::new()).map_err(failed)?;
        authority.distinguished_name.push(DnType::CommonName, "Simulated Salesforce authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().map_err(failed)?).map_err(failed)?;
        let mut server = CertificateParams::new(names.to_vec()).map_err(failed)?;
        server.distinguished_name.push(DnType::CommonName, "Simulated Salesforce");
        server.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        server.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = server.signed_by(&key, &authority).map_err(failed)?;
        Ok(Self { ca_pem: authority.pem(), chain_pem: format!("{}{}", certificate.pem(), authority.pem()), key_pem: key.serialize_pem() })
    }
}
