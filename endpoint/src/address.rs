//! The address, parsed.

use std::path::PathBuf;

use stream::Secret;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use crate::Error;

/// What an address looks like.
pub const LIKE: &str = "postgres://user:password@host:5432/database?sslmode=verify-full";

/// How the connection is protected, in libpq's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// Never encrypted.
    Disable,
    /// Encrypted when the server can, without looking at its certificate.
    Prefer,
    /// Encrypted, without looking at the certificate.
    Require,
    /// Encrypted, with a certificate of a trusted authority.
    VerifyCa,
    /// Encrypted, with a certificate of a trusted authority for this host.
    VerifyFull,
}

impl TlsMode {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "disable" => Self::Disable,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => return None,
        })
    }

    /// What the client has to negotiate; certificates are looked at by [`crate::client_config`].
    const fn negotiated(self) -> SslMode {
        match self {
            Self::Disable => SslMode::Disable,
            Self::Prefer => SslMode::Prefer,
            Self::Require | Self::VerifyCa | Self::VerifyFull => SslMode::Require,
        }
    }
}

/// A server, a database on it, and how to sign in.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Database.
    pub database: String,
    /// Role.
    pub user: String,
    /// Its password; empty when there is none.
    pub password: Secret,
    /// Protection.
    pub tls: TlsMode,
    /// File with trusted certificates, PEM; none means the public authorities.
    pub root_certificates: Option<PathBuf>,
}

impl Endpoint {
    /// Reads an address.
    ///
    /// # Errors
    /// [`Error::Address`] says which part cannot be used; the password is not in the text.
    pub fn parse(url: &Secret) -> Result<Self, Error> {
        let wrong = |what: &str| Error::Address(what.to_owned());
        let (address, query) = url.reveal().split_once('?').unwrap_or((url.reveal(), ""));
        if address.is_empty() {
            return Err(wrong("it is missing"));
        }
        let parsed: Config = address.parse().map_err(|_| wrong("it is not an address of a Postgres database"))?;
        let mut found = Self {
            host: match parsed.get_hosts() {
                [Host::Tcp(host)] => host.clone(),
                _ => return Err(wrong("it must name exactly one host, reached by TCP")),
            },
            port: parsed.get_ports().first().copied().unwrap_or(5432),
            database: parsed.get_dbname().or(parsed.get_user()).ok_or_else(|| wrong("it names no database"))?.to_owned(),
            user: parsed.get_user().ok_or_else(|| wrong("it names no user"))?.to_owned(),
            password: Secret::new(String::from_utf8_lossy(parsed.get_password().unwrap_or_default())),
            tls: TlsMode::Prefer,
            root_certificates: None,
        };
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match name {
                "sslmode" => {
                    found.tls = TlsMode::parse(value)
                        .ok_or_else(|| wrong(&format!("sslmode={value}; use disable, prefer, require, verify-ca or verify-full")))?;
                }
                "sslrootcert" => found.root_certificates = Some(PathBuf::from(value)),
                other => return Err(wrong(&format!("parameter {other} is not known; sslmode and sslrootcert are"))),
            }
        }
        Ok(found)
    }

    /// Host and port, for people.
    pub fn place(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The same for a client.
    pub fn settings(&self) -> Config {
        let mut settings = Config::new();
        settings
            .host(&self.host)
            .port(self.port)
            .dbname(&self.database)
            .user(&self.user)
            .password(self.password.reveal())
            .ssl_mode(self.tls.negotiated());
        settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(url: &str) -> Result<Endpoint, Error> {
        Endpoint::parse(&Secret::new(url))
    }

    #[test]
    fn an_address_gives_all_its_parts() {
        let found = address("postgres://sam:s%40crit@db.example:6432/erp?sslmode=verify-full&sslrootcert=/etc/ca.pem").expect("parses");
        assert_eq!((found.host.as_str(), found.port, found.database.as_str(), found.user.as_str()), ("db.example", 6432, "erp", "sam"));
        assert_eq!(found.password.reveal(), "s@crit");
        assert_eq!((found.tls, found.root_certificates), (TlsMode::VerifyFull, Some(PathBuf::from("/etc/ca.pem"))));
        let found = address("postgres://sam@db.example").expect("parses");
        assert_eq!((found.port, found.database.as_str(), found.tls), (5432, "sam", TlsMode::Prefer));
        assert!(found.password.is_empty() && found.root_certificates.is_none());
    }

    #[test]
    fn a_wrong_address_is_told_without_its_password() {
        for (url, says) in [
            ("", "missing"),
            ("postgres://u:hunter2@h/d?sslmode=maybe", "sslmode=maybe"),
            ("postgres://u:hunter2@h/d?pool=3", "parameter pool"),
            ("mysql://u:hunter2@h/d", "not an address"),
            ("postgres://u:hunter2@/d", "exactly one host"),
            ("postgres://u:hunter2@a,b/d", "exactly one host"),
            ("postgres://hunter2/d", "no user"),
            ("postgres://u:hunter2@h/d?sslmode=", "sslmode="),
            ("postgres://u:hunter2@h/d?sslmode=require&connect_timeout=3", "parameter connect_timeout"),
        ] {
            let text = address(url).expect_err(url).to_string();
            assert!(text.contains(says) && !text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn every_mode_is_known_and_what_is_no_parameter_is_passed_over() {
        for mode in ["disable", "prefer", "require", "verify-ca", "verify-full"] {
            let found = address(&format!("postgresql://u@[::1]/d?sslmode={mode}")).expect(mode);
            assert_eq!((found.host.as_str(), found.tls), ("::1", TlsMode::parse(mode).expect(mode)));
        }
        for lenient in ["", "?", "?sslmode", "?&"] {
            assert!(address(&format!("postgres://u:p@h{lenient}")).is_ok(), "{lenient}");
        }
    }
}
