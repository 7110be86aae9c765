//! One replication connection: start-up, signing in, simple queries, and the change to copy-both.
//!
//! tokio-postgres has no replication mode, so this speaks the protocol itself; the parts that must be right to the
//! bit (start-up packet, SCRAM) come from `postgres-protocol`.

use std::collections::BTreeMap;
use std::io;

use bytes::{Buf as _, Bytes, BytesMut};
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::error::{Error, Result, ServerError};
use super::socket::Socket;
use super::target::Target;

/// The longest message a server can send.
const LONGEST_MESSAGE: usize = 0x4000_0000;

/// Makes values arrive as text in one form, whatever the server's or the role's settings are.
pub(crate) const SESSION: &str =
    "-c datestyle=ISO -c intervalstyle=postgres -c timezone=UTC -c extra_float_digits=3 -c bytea_output=hex -c client_min_messages=warning";

/// A row of a simple query's answer, as text.
pub(crate) type TextRow = Vec<Option<String>>;

/// A signed-in replication connection.
#[derive(Debug)]
pub struct Connection {
    pub(crate) socket: Socket,
    pub(crate) received: BytesMut,
    parameters: BTreeMap<String, String>,
    address: String,
}

impl Connection {
    /// Connects to a database in replication mode and signs in.
    ///
    /// # Errors
    /// Unreachable, no TLS, wrong password, no right to replicate: each its own variant or SQLSTATE.
    pub async fn open(target: &Target) -> Result<Self> {
        match tokio::time::timeout(target.connect_timeout, Self::start(target)).await {
            Ok(connected) => connected,
            Err(_) => Err(Error::Connect {
                address: target.address(),
                source: io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} ms", target.connect_timeout.as_millis())),
            }),
        }
    }

    async fn start(target: &Target) -> Result<Self> {
        let socket = Socket::open(target).await?;
        let mut connection =
            Self { socket, received: BytesMut::with_capacity(8192), parameters: BTreeMap::new(), address: target.address() };
        let parameters = [
            ("user", target.endpoint.user.as_str()),
            ("database", target.endpoint.database.as_str()),
            ("replication", "database"),
            ("application_name", "concord"),
            ("client_encoding", "UTF8"),
            ("options", SESSION),
        ];
        connection.send(|out| frontend::startup_message(parameters, out)).await?;
        connection.sign_in(target).await?;
        connection.until_ready().await?;
        Ok(connection)
    }

    /// A setting the server announced, such as `server_version`.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// Runs one command and returns its rows.
    ///
    /// # Errors
    /// What the server says.
    pub(crate) async fn query(&mut self, doing: &str, command: &str) -> Result<Vec<TextRow>> {
        self.send(|out| frontend::query(command, out)).await?;
        let mut rows = Vec::new();
        let mut refused = None;
        loop {
            let (tag, body) = self.message().await?;
            match tag {
                b'D' => rows.push(text_row(&body).ok_or_else(|| unexpected("reading a row", tag))?),
                b'E' => refused = Some(Error::Server { doing: doing.to_owned(), error: server_error(&body) }),
                b'Z' => return refused.map_or(Ok(rows), Err),
                b'T' | b'C' | b'I' | b'N' => {}
                b'S' => self.keep_parameter(&body),
                _ => return Err(unexpected("running a command", tag)),
            }
        }
    }

    /// Starts streaming; from now on the connection carries copy data both ways.
    pub(crate) async fn start_replication(&mut self, command: &str) -> Result<()> {
        self.send(|out| frontend::query(command, out)).await?;
        loop {
            let (tag, body) = self.message().await?;
            match tag {
                b'W' => return Ok(()),
                b'E' => {
                    return Err(Error::Server { doing: "starting to read the replication slot".to_owned(), error: server_error(&body) });
                }
                b'N' => {}
                b'S' => self.keep_parameter(&body),
                _ => return Err(unexpected("starting to read the replication slot", tag)),
            }
        }
    }

    async fn sign_in(&mut self, target: &Target) -> Result<()> {
        let refuse = |reason: String| Error::SignIn { address: target.address(), reason };
        let password = target.endpoint.password.reveal().as_bytes();
        loop {
            let (tag, mut body) = self.message().await?;
            match tag {
                b'R' if body.len() >= 4 => {}
                b'E' => return Err(Error::Server { doing: format!("signing in at {}", self.address), error: server_error(&body) }),
                b'N' => continue,
                _ => return Err(unexpected("signing in", tag)),
            }
            let method = body.get_i32();
            if method != 0 && password.is_empty() {
                return Err(refuse(format!("the server wants a password for role {}, and none is set", target.endpoint.user)));
            }
            match method {
                0 => return Ok(()),
                3 if matches!(self.socket, Socket::Encrypted(_)) => self.send(|out| frontend::password_message(password, out)).await?,
                3 => {
                    return Err(refuse(
                        "the server wants the password in clear text over an open connection; use sslmode=require".to_owned(),
                    ));
                }
                5 => {
                    let salt = body.get(..4).and_then(|salt| salt.try_into().ok()).ok_or_else(|| unexpected("signing in", tag))?;
                    let answer = md5_hash(target.endpoint.user.as_bytes(), password, salt);
                    self.send(|out| frontend::password_message(answer.as_bytes(), out)).await?;
                }
                10 => self.scram(&body, password, &refuse).await?,
                other => {
                    return Err(refuse(format!(
                        "the server wants authentication method {other}; Concord has scram-sha-256, md5 and password"
                    )));
                }
            }
        }
    }

    async fn scram(&mut self, mechanisms: &[u8], password: &[u8], refuse: &impl Fn(String) -> Error) -> Result<()> {
        if !mechanisms.split(|byte| *byte == 0).any(|name| name == SCRAM_SHA_256.as_bytes()) {
            return Err(refuse("the server offers no SCRAM-SHA-256".to_owned()));
        }
        let mut scram = ScramSha256::new(password, ChannelBinding::unsupported());
        self.send(|out| frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), out)).await?;
        let body = self.sasl_step(11).await?;
        scram.update(&body).map_err(|error| refuse(error.to_string()))?;
        self.send(|out| frontend::sasl_response(scram.message(), out)).await?;
        let body = self.sasl_step(12).await?;
        scram.finish(&body).map_err(|error| refuse(format!("the server did not prove that it knows the password: {error}")))
    }

    async fn sasl_step(&mut self, wanted: i32) -> Result<Bytes> {
        let (tag, mut body) = self.message().await?;
        match tag {
            b'R' if body.len() >= 4 && body.get_i32() == wanted => Ok(body),
            b'E' => Err(Error::Server { doing: format!("signing in at {}", self.address), error: server_error(&body) }),
            _ => Err(unexpected("signing in", tag)),
        }
    }

    async fn until_ready(&mut self) -> Result<()> {
        loop {
            let (tag, body) = self.message().await?;
            match tag {
                b'Z' => return Ok(()),
                b'S' => self.keep_parameter(&body),
                b'K' | b'N' => {}
                b'E' => {
                    return Err(Error::Server {
                        doing: format!("opening a replication connection to {}", self.address),
                        error: server_error(&body),
                    });
                }
                _ => return Err(unexpected("starting up", tag)),
            }
        }
    }

    fn keep_parameter(&mut self, body: &[u8]) {
        let mut parts = body.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        if let (Some(name), Some(value)) = (parts.next(), parts.next()) {
            self.parameters.insert(name.into_owned(), value.into_owned());
        }
    }

    async fn send(&mut self, write: impl FnOnce(&mut BytesMut) -> io::Result<()>) -> Result<()> {
        let lost = |source| Error::Lost { doing: "sending a command", source };
        let mut out = BytesMut::new();
        write(&mut out).map_err(lost)?;
        self.socket.write_all(&out).await.map_err(lost)?;
        self.socket.flush().await.map_err(lost)
    }

    async fn message(&mut self) -> Result<(u8, Bytes)> {
        loop {
            if let Some(length) = message_length(&self.received)? {
                let mut message = self.received.split_to(length).freeze();
                let tag = message.get_u8();
                message.advance(4);
                return Ok((tag, message));
            }
            let read =
                self.socket.read_buf(&mut self.received).await.map_err(|source| Error::Lost { doing: "waiting for an answer", source })?;
            if read == 0 {
                return Err(Error::Lost { doing: "waiting for an answer", source: io::ErrorKind::UnexpectedEof.into() });
            }
        }
    }
}

/// Bytes of the first message in a buffer, tag and all; none while it is incomplete.
pub(crate) fn message_length(buffer: &[u8]) -> Result<Option<usize>> {
    let Some(head) = buffer.first_chunk::<5>() else { return Ok(None) };
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
    if !(4..=LONGEST_MESSAGE).contains(&length) {
        return Err(Error::Protocol { doing: "reading a message", what: format!("a message of {length} bytes") });
    }
    Ok((buffer.len() > length).then_some(length + 1))
}

/// The fields of an ErrorResponse or NoticeResponse.
pub(crate) fn server_error(body: &[u8]) -> ServerError {
    let mut error = ServerError::default();
    for field in body.split(|byte| *byte == 0) {
        let Some((kind, text)) = field.split_first() else { continue };
        let text = String::from_utf8_lossy(text).into_owned();
        match kind {
            b'C' => error.state = text,
            b'M' => error.message = text,
            b'D' => error.detail = Some(text),
            b'H' => error.hint = Some(text),
            _ => {}
        }
    }
    error
}

pub(crate) fn unexpected(doing: &'static str, tag: u8) -> Error {
    Error::Protocol { doing, what: format!("message `{}`", char::from(tag)) }
}

fn text_row(body: &[u8]) -> Option<TextRow> {
    let (count, mut rest) = body.split_first_chunk::<2>()?;
    let mut row = Vec::with_capacity(usize::from(u16::from_be_bytes(*count)));
    for _ in 0..u16::from_be_bytes(*count) {
        let (length, after) = rest.split_first_chunk::<4>()?;
        rest = after;
        match usize::try_from(i32::from_be_bytes(*length)) {
            Err(_) => row.push(None),
            Ok(length) => {
                let (text, after) = rest.split_at_checked(length)?;
                row.push(Some(String::from_utf8_lossy(text).into_owned()));
                rest = after;
            }
        }
    }
    Some(row)
}
