//! Accepting connections: a bound on their number, on the time for a handshake and for a request's
//! head, and an orderly end.
//!
//! Never reads a request's body and never answers one: that is the router's.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::Service as _;
use tracing::{debug, info, warn};

use super::stall::StallGuard;
use crate::http::Peer;

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long the head of a request may take, which is also how long an idle connection stays open.
const HEAD: Duration = Duration::from_secs(30);
/// How long a connection may take nothing of what is sent to it.
const STALL: Duration = Duration::from_secs(60);
/// How long requests that run may take after the relay was asked to end.
const GRACE: Duration = Duration::from_secs(10);
/// How long to wait after the system refused a connection, for want of descriptors mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Most bytes of a request's head, and of a body before somebody reads it.
const BUFFER_BYTES_MAX: usize = 64 << 10;

/// Accepts connections until `stop`, then lets those that are busy finish for [`GRACE`].
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    app: Router,
    connections_max: usize,
    stop: CancellationToken,
) {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(connections_max));
    let builder = Arc::new(builder());
    loop {
        // A place first: connections over the bound wait in the system's queue.
        let place = tokio::select! {
            () = stop.cancelled() => break,
            place = Arc::clone(&places).acquire_owned() => place,
        };
        let (stream, peer) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        let (tls, app, builder) = (tls.clone(), app.clone(), Arc::clone(&builder));
        let watcher = graceful.watcher();
        let stop = stop.clone();
        tokio::spawn(async move {
            connection(stream, peer, tls, app, &builder, watcher, &stop).await;
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(GRACE, graceful.shutdown())
        .await
        .is_err()
    {
        info!("some requests did not end in time, and are cut off");
    }
}

/// HTTP/1.1 alone: a device has one request under way, and a proxy speaks it to what is behind it.
fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        // Without this each connection that waits for its answer has a second buffer, to notice its
        // end in. So one that was left takes its place until the answer cannot be sent.
        .half_close(true)
        .max_buf_size(BUFFER_BYTES_MAX)
        .max_headers(64);
    builder
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    app: Router,
    builder: &Builder,
    watcher: Watcher,
    stop: &CancellationToken,
) {
    // Answers are small and awaited: no reason to hold a segment back.
    let _ = stream.set_nodelay(true);
    let stream = StallGuard::new(stream, STALL);
    let Some(tls) = tls else {
        return talk(stream, Peer::plain(peer), app, builder, watcher).await;
    };
    let shaken = tokio::select! {
        () = stop.cancelled() => return,
        // In boxes: a connection that waits shall not keep the room that its handshake needed.
        shaken = tokio::time::timeout(HANDSHAKE, Box::pin(tls.accept(stream))) => shaken,
    };
    match shaken {
        Ok(Ok(stream)) => talk(Box::new(stream), Peer::tls(peer), app, builder, watcher).await,
        Ok(Err(error)) => debug!(%peer, ?error, "a handshake failed"),
        Err(_) => debug!(%peer, "a handshake took too long"),
    }
}

/// No `async fn`, which would keep room for each value that moves through it.
fn talk<S>(
    stream: S,
    peer: Peer,
    app: Router,
    builder: &Builder,
    watcher: Watcher,
) -> impl Future<Output = ()> + use<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        app.clone().call(request.map(Body::new))
    });
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let watched = Box::pin(watcher.watch(connection));
    async move {
        if let Err(error) = watched.await {
            debug!(error = ?error.to_string(), "a connection ended early");
        }
    }
}
