//! Connections to one engine.
//!
//! No task is spawned for a connection: it is driven by whoever waits for its answer. So dropping an answer closes the
//! connection at once, which is how an engine learns that nobody waits any more, and a piece of an answer passes from
//! socket to socket without a task switch.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tokio::net::{TcpStream, lookup_host};

/// Idle connections kept for one engine.
const MAX_IDLE: usize = 512;
/// How long an idle connection is kept.
const MAX_IDLE_AGE: Duration = Duration::from_mins(1);

/// One connection to an engine.
pub(crate) struct Link {
    send: SendRequest<Full<Bytes>>,
    /// `None` once the connection is over.
    conn: Option<Box<Connection<TokioIo<TcpStream>, Full<Bytes>>>>,
    idle_since: Instant,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("open", &self.conn.is_some()).finish_non_exhaustive()
    }
}

impl Link {
    /// Connects: resolves the name, then tries each address in turn. An error of the kind `NotFound` is one of the name.
    pub(crate) async fn connect(host: &str, port: u16) -> io::Result<Self> {
        // An IPv6 address stands in brackets in a URL, but not for the resolver.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let unknown = |why: io::Error| io::Error::new(io::ErrorKind::NotFound, why);
        let mut last = unknown(io::Error::other("the name has no address"));
        for address in lookup_host((host, port)).await.map_err(unknown)? {
            match TcpStream::connect(address).await {
                Ok(stream) => return Self::over(stream).await,
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let (send, conn) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        Ok(Self { send, conn: Some(Box::new(conn)), idle_since: Instant::now() })
    }

    /// Drives the connection as far as it goes without waiting; afterwards `cx` is woken when it can go on.
    pub(crate) fn drive(&mut self, cx: &mut Context<'_>) {
        if let Some(conn) = &mut self.conn
            && Pin::new(conn).poll(cx).is_ready()
        {
            // What went wrong is told by the answer itself.
            self.conn = None;
        }
    }

    /// Sends a request and waits for the head of the answer.
    pub(crate) async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> hyper::Result<Response<Incoming>> {
        let Self { send, conn, .. } = self;
        let mut response = pin!(send.send_request(request));
        poll_fn(|cx| {
            if let Poll::Ready(done) = response.as_mut().poll(cx) {
                return Poll::Ready(done);
            }
            if let Some(open) = conn
                && Pin::new(open).poll(cx).is_ready()
            {
                *conn = None;
            }
            response.as_mut().poll(cx)
        })
        .await
    }

    /// Waits for `other` while the connection is driven.
    pub(crate) async fn during<F: Future>(&mut self, other: F) -> F::Output {
        let mut other = pin!(other);
        poll_fn(|cx| {
            if let Poll::Ready(done) = other.as_mut().poll(cx) {
                return Poll::Ready(done);
            }
            self.drive(cx);
            other.as_mut().poll(cx)
        })
        .await
    }

    /// Whether another request can be sent: the last answer is read to its end and the engine has not closed.
    fn is_idle(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.conn.is_some() && self.send.is_ready()
    }
}

/// Idle connections to one engine.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    idle: Mutex<Vec<Link>>,
}

impl Pool {
    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Link>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the connection that was used last, if one is still open.
    pub(crate) fn take(&self) -> Option<Link> {
        loop {
            let mut link = self.idle().pop()?;
            if link.is_idle() {
                return Some(link);
            }
        }
    }

    /// Gives a connection back; it is closed when it cannot be used again.
    pub(crate) fn give(&self, mut link: Link) {
        if !link.is_idle() {
            return;
        }
        link.idle_since = Instant::now();
        let mut idle = self.idle();
        if idle.len() < MAX_IDLE {
            idle.push(link);
        }
    }

    /// Closes what the engine closed, and what idled for long.
    pub(crate) fn sweep(&self) {
        let mut idle = std::mem::take(&mut *self.idle());
        idle.retain_mut(|link| link.idle_since.elapsed() < MAX_IDLE_AGE && link.is_idle());
        let mut place = self.idle();
        // Links given back meanwhile are the younger ones: they stay on top.
        idle.append(&mut place);
        *place = idle;
    }
}
