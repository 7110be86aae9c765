//! Connections, plain or TLS, that can be cut: a cut one closes without another byte.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Identifies a connection to its requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connection {
    cut: Arc<AtomicBool>,
}

impl Connection {
    /// Closes the connection without sending anything more.
    pub(crate) fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
    }
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A stream that fails all writes once cut.
pub(crate) struct Cuttable {
    stream: Stream,
    connection: Connection,
}

/// Accepts TCP or TLS connections.
pub(crate) enum Accept {
    Plain(TcpListener),
    /// Streams whose handshake is done.
    Tls(mpsc::Receiver<TlsStream<TcpStream>>),
}

/// Handshakes that may wait to be served.
const BACKLOG: usize = 64;

impl Accept {
    /// Takes TLS connections; each handshake runs by itself, so that a slow one holds up nobody.
    pub(crate) fn tls(listener: TcpListener, acceptor: TlsAcceptor) -> Self {
        let (sender, receiver) = mpsc::channel(BACKLOG);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = sender.closed() => return,
                    accepted = listener.accept() => {
                        let Ok((stream, _)) = accepted else { continue };
                        let (acceptor, sender) = (acceptor.clone(), sender.clone());
                        tokio::spawn(async move {
                            let _ = stream.set_nodelay(true);
                            if let Ok(stream) = acceptor.accept(stream).await {
                                let _ = sender.send(stream).await;
                            }
                        });
                    }
                }
            }
        });
        Self::Tls(receiver)
    }
}

impl Listener for Accept {
    type Io = Cuttable;
    type Addr = ();

    async fn accept(&mut self) -> (Cuttable, ()) {
        let stream = match self {
            Self::Plain(listener) => loop {
                if let Ok((stream, _)) = TcpListener::accept(listener).await {
                    let _ = stream.set_nodelay(true);
                    break Stream::Plain(stream);
                }
                tokio::task::yield_now().await;
            },
            Self::Tls(receiver) => match receiver.recv().await {
                Some(stream) => Stream::Tls(Box::new(stream)),
                None => std::future::pending().await,
            },
        };
        (Cuttable { stream, connection: Connection::default() }, ())
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

impl Connected<IncomingStream<'_, Accept>> for Connection {
    fn connect_info(stream: IncomingStream<'_, Accept>) -> Self {
        stream.io().connection.clone()
    }
}

impl Cuttable {
    fn check(&self) -> io::Result<()> {
        if self.connection.cut.load(Ordering::SeqCst) { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}

impl AsyncRead for Cuttable {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Cuttable {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
