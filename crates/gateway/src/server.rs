//! Ports, connections, and how they end.

use crate::GatewayError;
use crate::config::Config;
use crate::handler::{Shared, answer, answer_metrics};
use crate::io::Guarded;
use crate::keys::Keys;
use crate::record::Record;
use crate::tls;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_rustls::TlsAcceptor;

/// Connections to the inner and to the metrics port: their own budget, so that a crowd at the front door does not hide
/// the gateway from the stack that runs it.
const SIDE_CONNECTIONS: usize = 64;
/// How often the keys file is looked at.
const KEYS_INTERVAL: Duration = Duration::from_secs(1);
/// How often idle connections to engines are looked at.
const SWEEP_EVERY: u32 = 5;
/// Pause after the system could not give a connection, most often for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What to say to a client that speaks plain HTTP where TLS is expected.
const SPEAK_TLS: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n\
content-length: 136\r\n\r\n{\"error\":{\"message\":\"This port speaks HTTPS; use an https:// URL.\",\
\"type\":\"invalid_request_error\",\"param\":null,\"code\":\"https_required\"}}";

/// A gateway whose ports are bound.
pub struct Gateway {
    shared: Arc<Shared>,
    acceptor: Option<TlsAcceptor>,
    listen: Port,
    inner: Option<Port>,
    metrics: Option<Port>,
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("listen", &self.listen.address).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Port {
    listener: TcpListener,
    address: SocketAddr,
}

/// What a port's connections speak.
#[derive(Clone)]
enum Door {
    Api(Option<TlsAcceptor>),
    Metrics,
}

impl Gateway {
    /// Checks the configuration, reads the files that it names, and binds its ports.
    ///
    /// # Errors
    /// When a file that the configuration names cannot be used, or a port cannot be bound.
    pub async fn bind(
        config: Config,
        log: impl Fn(&Record) + Send + Sync + 'static,
    ) -> Result<Self, GatewayError> {
        config.check()?;
        let keys = config.keys.as_deref().map(Keys::load).transpose()?;
        let acceptor = config.tls.as_ref().map(tls::acceptor).transpose()?;
        let shared = Arc::new(Shared::new(&config, keys, log)?);
        let listen = bind("listen", config.listen).await?;
        let inner = match config.inner {
            Some(address) => Some(bind("inner", address).await?),
            None => None,
        };
        let metrics = match config.metrics {
            Some(address) => Some(bind("metrics", address).await?),
            None => None,
        };
        shared.log(&Record::Started {
            listen: listen.address,
            tls: acceptor.is_some(),
            inner: inner.as_ref().map(|p| p.address),
            metrics: metrics.as_ref().map(|p| p.address),
            keys: shared.keys.as_ref().map(Keys::count),
            models: config.routes.into_keys().collect(),
        });
        Ok(Self { shared, acceptor, listen, inner, metrics })
    }

    /// The public port's address; its number is the system's choice when the configuration says 0.
    pub fn listen_address(&self) -> SocketAddr {
        self.listen.address
    }

    /// The inner port's address.
    pub fn inner_address(&self) -> Option<SocketAddr> {
        self.inner.as_ref().map(|p| p.address)
    }

    /// The metrics port's address.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().map(|p| p.address)
    }

    /// Serves until `shutdown` is done; then takes no new connection, and lets answers under way end within
    /// `limits.drainTimeoutMs`.
    pub async fn run(self, shutdown: impl Future) {
        let Self { shared, acceptor, listen, inner, metrics } = self;
        let (stop, stopped) = watch::channel(false);
        let front = usize::try_from(shared.limits.connections).unwrap_or(usize::MAX);
        let mut ports = JoinSet::new();
        ports.spawn(serve_port(Arc::clone(&shared), listen, Door::Api(acceptor), front, stopped.clone()));
        if let Some(port) = inner {
            ports.spawn(serve_port(
                Arc::clone(&shared),
                port,
                Door::Api(None),
                SIDE_CONNECTIONS,
                stopped.clone(),
            ));
        }
        if let Some(port) = metrics {
            ports.spawn(serve_port(Arc::clone(&shared), port, Door::Metrics, SIDE_CONNECTIONS, stopped));
        }
        let mut shutdown = pin!(shutdown);
        let mut ticks = interval(KEYS_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut tick = 0u32;
        loop {
            tokio::select! {
                _ = &mut shutdown => break,
                _ = ticks.tick() => {
                    shared.refresh_keys();
                    tick = (tick + 1) % SWEEP_EVERY;
                    if tick == 0 {
                        shared.sweep();
                    }
                }
            }
        }
        let connections = usize::try_from(shared.metrics.connections.get()).unwrap_or(0);
        shared.log(&Record::Draining { connections });
        let _ = stop.send(true);
        let mut cut = 0;
        while let Some(port) = ports.join_next().await {
            cut += port.unwrap_or(0);
        }
        shared.log(&Record::Stopped { cut });
    }
}

async fn bind(field: &'static str, address: SocketAddr) -> Result<Port, GatewayError> {
    let failed = |source| GatewayError::Listen { field, address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok(Port { listener, address })
}

/// Takes connections until it is told to stop; gives the number of those that had to be cut.
async fn serve_port(
    shared: Arc<Shared>,
    port: Port,
    door: Door,
    connections: usize,
    mut stop: watch::Receiver<bool>,
) -> usize {
    let slots = Arc::new(Semaphore::new(connections));
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            _ = stop.changed() => break,
            Some(_) = tasks.join_next() => {}
            taken = take(&port.listener, &slots) => match taken {
                Some((stream, slot)) => {
                    tasks.spawn(connection(Arc::clone(&shared), stream, door.clone(), slot, stop.clone()));
                }
                None => sleep(ACCEPT_PAUSE).await,
            },
        }
    }
    drop(port);
    let all = async { while tasks.join_next().await.is_some() {} };
    if timeout(shared.limits.drain_timeout(), all).await.is_ok() {
        return 0;
    }
    let cut = tasks.len();
    tasks.shutdown().await;
    cut
}

/// The next connection, once there is a slot for it; those that come meanwhile wait in the system's queue.
async fn take(listener: &TcpListener, slots: &Arc<Semaphore>) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    let (stream, _) = listener.accept().await.ok()?;
    stream.set_nodelay(true).ok()?;
    Some((stream, slot))
}

/// Counts an open connection.
struct Counted(Arc<Shared>);

impl Counted {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.metrics.connections.inc();
        Self(Arc::clone(shared))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.metrics.connections.dec();
    }
}

async fn connection(
    shared: Arc<Shared>,
    stream: TcpStream,
    door: Door,
    _slot: OwnedSemaphorePermit,
    stop: watch::Receiver<bool>,
) {
    let _counted = Counted::new(&shared);
    match door {
        Door::Api(None) => api(&shared, stream, stop).await,
        Door::Api(Some(acceptor)) => {
            match timeout(shared.limits.header_timeout(), handshake(&acceptor, stream)).await {
                Ok(Ok(stream)) => api(&shared, stream, stop).await,
                Ok(Err(_)) | Err(_) => {
                    shared.metrics.handshakes_failed.inc();
                }
            }
        }
        Door::Metrics => {
            let service = service_fn(|request| {
                let response = answer_metrics(&shared, &request);
                async move { Ok::<_, Infallible>(response) }
            });
            let io = Guarded::new(TokioIo::new(stream), shared.limits.write_timeout());
            let mut connection = pin!(builder(&shared).serve_connection(io, service));
            let mut stop = stop;
            tokio::select! {
                _ = connection.as_mut() => {}
                _ = stop.changed() => {}
            }
        }
    }
}

async fn handshake(
    acceptor: &TlsAcceptor,
    mut stream: TcpStream,
) -> io::Result<tokio_rustls::server::TlsStream<TcpStream>> {
    let mut first = [0u8];
    stream.peek(&mut first).await?;
    // A TLS record starts with its type, 22 for a handshake (RFC 8446, section 5.1); a method of HTTP with a letter.
    if first[0].is_ascii_alphabetic() {
        stream.write_all(SPEAK_TLS).await?;
        stream.shutdown().await?;
        return Err(io::Error::new(io::ErrorKind::InvalidData, "plain HTTP on a TLS port"));
    }
    acceptor.accept(stream).await
}

fn builder(shared: &Shared) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(shared.limits.header_timeout())
        .max_header_size(usize::try_from(shared.limits.header_bytes).unwrap_or(usize::MAX));
    builder
}

async fn api<S>(shared: &Arc<Shared>, stream: S, mut stop: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let service = service_fn(|request| {
        let answer = answer(Arc::clone(shared), request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let io = Guarded::new(TokioIo::new(stream), shared.limits.write_timeout());
    let mut connection = pin!(builder(shared).serve_connection(io, service));
    tokio::select! {
        // How a connection ended is told by the records of its requests.
        _ = connection.as_mut() => return,
        _ = stop.changed() => connection.as_mut().graceful_shutdown(),
    }
    drop(connection.await);
}
