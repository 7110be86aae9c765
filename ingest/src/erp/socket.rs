//! A byte stream to the server, encrypted or not, opened as the TLS mode says.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use endpoint::TlsMode;
use postgres_protocol::message::frontend;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::error::{Error, Result};
use super::target::Target;

/// A connected stream.
#[derive(Debug)]
pub(crate) enum Socket {
    Plain(TcpStream),
    Encrypted(Box<TlsStream<TcpStream>>),
}

impl Socket {
    /// Connects and, where the mode asks for it, encrypts.
    pub(crate) async fn open(target: &Target) -> Result<Self> {
        let failed = |source| Error::Connect { address: target.address(), source };
        let refused = |reason: String| Error::SecureConnection { address: target.address(), reason };
        let mut tcp = TcpStream::connect((target.endpoint.host.as_str(), target.endpoint.port)).await.map_err(failed)?;
        tcp.set_nodelay(true).map_err(failed)?;
        if target.endpoint.tls == TlsMode::Disable {
            return Ok(Self::Plain(tcp));
        }
        let mut request = BytesMut::new();
        frontend::ssl_request(&mut request);
        tcp.write_all(&request).await.map_err(failed)?;
        match (tcp.read_u8().await.map_err(failed)?, target.endpoint.tls) {
            (b'S', _) => {
                let connector = TlsConnector::from(Arc::new(target.tls()?));
                let name = ServerName::try_from(target.endpoint.host.clone()).map_err(|error| refused(error.to_string()))?;
                let stream = connector.connect(name, tcp).await.map_err(|error| refused(error.to_string()))?;
                Ok(Self::Encrypted(Box::new(stream)))
            }
            (b'N', TlsMode::Prefer) => Ok(Self::Plain(tcp)),
            (b'N', _) => Err(refused("the server does not offer it (set ssl = on there, or sslmode=prefer here)".to_owned())),
            (other, _) => Err(refused(format!("it answered {other:#04x}; is it a Postgres server?"))),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Encrypted(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Encrypted(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Encrypted(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Encrypted(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
