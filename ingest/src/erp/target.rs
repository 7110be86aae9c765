//! Which server and database to read, parsed once from the address.

use std::path::PathBuf;
use std::time::Duration;

use super::config::{Config, Secret};
use super::error::{Error, Result};

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
}

/// A server, a database on it, and how to sign in.
#[derive(Debug, Clone)]
pub struct Target {
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
    /// Give up connecting after this.
    pub connect_timeout: Duration,
}

impl Target {
    /// Reads the address of a configuration.
    ///
    /// # Errors
    /// [`Error::Configure`] says which part cannot be used; the password is not in the text.
    pub fn of(config: &Config) -> Result<Self> {
        let wrong = |what: &str| Error::Configure(format!("url of source {}: {what}", config.name));
        let (address, query) = match config.url.reveal().split_once('?') {
            Some((address, query)) => (address, query),
            None => (config.url.reveal(), ""),
        };
        if address.is_empty() {
            return Err(wrong("it is missing; give postgres://user:password@host:port/database"));
        }
        let parsed: tokio_postgres::Config =
            address.parse().map_err(|_| wrong("it is not like postgres://user:password@host:port/database"))?;
        let mut target = Self {
            host: match parsed.get_hosts() {
                [tokio_postgres::config::Host::Tcp(host)] => host.clone(),
                _ => return Err(wrong("it must name exactly one host, reached by TCP")),
            },
            port: parsed.get_ports().first().copied().unwrap_or(5432),
            database: parsed.get_dbname().or(parsed.get_user()).ok_or_else(|| wrong("it names no database"))?.to_owned(),
            user: parsed.get_user().ok_or_else(|| wrong("it names no user"))?.to_owned(),
            password: Secret::new(String::from_utf8_lossy(parsed.get_password().unwrap_or_default())),
            tls: TlsMode::Prefer,
            root_certificates: None,
            connect_timeout: Duration::from_millis(config.connect_timeout_ms.max(1)),
        };
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match name {
                "sslmode" => {
                    target.tls = TlsMode::parse(value)
                        .ok_or_else(|| wrong(&format!("sslmode={value}; use disable, prefer, require, verify-ca or verify-full")))?;
                }
                "sslrootcert" => target.root_certificates = Some(PathBuf::from(value)),
                other => return Err(wrong(&format!("parameter {other} is not known; sslmode and sslrootcert are"))),
            }
        }
        Ok(target)
    }

    /// Host and port, for people.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Result<Target> {
        Target::of(&Config { url: Secret::new(url), ..Config::default() })
    }

    #[test]
    fn an_address_gives_all_its_parts() {
        let found = target("postgres://sam:s%40crit@db.example:6432/erp?sslmode=verify-full&sslrootcert=/etc/ca.pem").expect("parses");
        assert_eq!((found.host.as_str(), found.port, found.database.as_str(), found.user.as_str()), ("db.example", 6432, "erp", "sam"));
        assert_eq!(found.password.reveal(), "s@crit");
        assert_eq!(found.tls, TlsMode::VerifyFull);
        assert_eq!(found.root_certificates, Some(PathBuf::from("/etc/ca.pem")));
    }

    #[test]
    fn a_wrong_address_is_told_without_its_password() {
        for (url, says) in [
            ("", "missing"),
            ("postgres://u:hunter2@h/d?sslmode=maybe", "sslmode=maybe"),
            ("postgres://u:hunter2@h/d?pool=3", "parameter pool"),
            ("mysql://u:hunter2@h/d", "not like"),
            ("postgres://u:hunter2@/d", "exactly one host"),
        ] {
            let text = target(url).expect_err(url).to_string();
            assert!(text.contains(says) && !text.contains("hunter2"), "{text}");
        }
    }
}
