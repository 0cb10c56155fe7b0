//! The process around the relay: settings, certificates, listening, signals, an orderly end.
//!
//! The way of a start: [`settings`] → `store` opens the data folder → the socket listens → the
//! first line on standard output → [`listen`] hands requests to `http`. A start after a crash needs
//! nothing else: the store mends itself. Never answers a request itself.

mod dev_ca;
mod error;
mod first_token;
mod listen;
mod log;
mod notify;
mod open;
mod recover;
mod settings;
mod stall;
mod tls;

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub(crate) use error::ServeError;
pub(crate) use recover::recover;
pub(crate) use settings::{Given, Settings};

use self::settings::Tls;
use self::tls::Certificate;
use crate::http;

/// How often the certificate's files are read again, or a new certificate is made.
const RENEW: Duration = Duration::from_secs(12 * 3600);

/// Runs the relay until a signal ends it.
///
/// # Errors
/// [`ServeError`] if it cannot start.
pub(crate) fn run(settings: &Settings) -> Result<(), ServeError> {
    log::start(settings);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(ServeError::Runtime)?;
    let done = runtime.block_on(serve(settings));
    // A file system that hangs shall not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    done
}

async fn serve(settings: &Settings) -> Result<(), ServeError> {
    let stop = CancellationToken::new();
    // Before anything else, so that a signal during a slow start ends it in order, too.
    let mut signals = Signals::new().map_err(ServeError::Runtime)?;
    let (relay, lock) = open::open(settings, stop.clone()).await?;
    let relay = Arc::new(relay);
    let listener = TcpListener::bind(settings.listen).await;
    let listener = listener.map_err(|error| ServeError::Listen {
        address: settings.listen,
        error,
    })?;
    let address = listener.local_addr().map_err(ServeError::Runtime)?;
    let certificate = Certificate::open(&settings.tls, address)?;
    let acceptor = certificate
        .as_ref()
        .map(Certificate::acceptor)
        .transpose()?;
    let first = first_token::make(&relay, settings.admin_token_file.as_deref()).await?;
    announce(address, &settings.tls);
    if let Some(first) = first {
        first.store(&relay).await?;
    }
    raise_descriptors(settings.connections_max);
    notify::tell("READY=1");

    let app = http::router(Arc::clone(&relay));
    let accepting = tokio::spawn(listen::serve(
        listener,
        acceptor,
        app,
        settings.connections_max,
        stop.clone(),
    ));
    signals.wait(certificate.as_deref()).await;
    info!("ending: running requests may finish");
    notify::tell("STOPPING=1");
    stop.cancel();
    let ended = tokio::select! {
        ended = accepting => ended,
        // Whoever asks twice means it.
        () = signals.wait(None) => return Ok(()),
    };
    relay.store.close().await;
    drop(lock);
    info!("ended");
    ended.map_err(|error| ServeError::Runtime(error.into()))
}

/// Says where the relay listens: a line for scripts, and the log.
fn announce(address: SocketAddr, tls: &Tls) {
    let scheme = match tls {
        Tls::None => "http",
        _ => "https",
    };
    // Nobody has to read it: a closed standard output is no reason to end.
    let mut out = std::io::stdout();
    let _ = writeln!(out, "relay listens on {scheme}://{address}").and_then(|()| out.flush());
    info!(%address, tls = scheme == "https", "listening");
    match tls {
        Tls::None => info!("no TLS: for a proxy on this machine only"),
        Tls::DevCa(folder) => {
            info!(ca = ?folder.join("ca.pem"), "devices and operators trust this CA")
        }
        Tls::Files { .. } => {}
    }
}

/// Lets the process have as many descriptors as its connections may need, if the system allows it.
fn raise_descriptors(connections_max: usize) {
    // A download has a file beside its connection; the database and the rest take few.
    let wanted = u64::try_from(connections_max).unwrap_or(u64::MAX);
    let wanted = wanted.saturating_mul(2).saturating_add(100);
    let has = getrlimit(Resource::Nofile);
    if has.current.is_none_or(|current| current >= wanted) {
        return;
    }
    let most = has.maximum.map_or(wanted, |maximum| wanted.min(maximum));
    let raised = Rlimit {
        current: Some(most),
        maximum: has.maximum,
    };
    let set = setrlimit(Resource::Nofile, raised);
    let limit = if set.is_ok() { Some(most) } else { has.current };
    let needed = u64::try_from(connections_max).unwrap_or(u64::MAX);
    if limit.is_some_and(|limit| limit < needed.saturating_add(100)) {
        warn!(
            ?limit,
            connections_max,
            "few open files are allowed: raise LimitNOFILE, or lower --connections-max"
        );
    }
}

/// The signals that mean something here.
struct Signals {
    term: tokio::signal::unix::Signal,
    int: tokio::signal::unix::Signal,
    hup: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits until the process shall end; meanwhile renews the certificate, when it is time and
    /// at each SIGHUP.
    async fn wait(&mut self, certificate: Option<&Certificate>) {
        let mut renew = tokio::time::interval(RENEW);
        renew.reset();
        loop {
            tokio::select! {
                _ = self.term.recv() => return,
                _ = self.int.recv() => return,
                _ = self.hup.recv() => {}
                _ = renew.tick() => {}
            }
            match certificate.map(Certificate::renew) {
                Some(Ok(())) => info!("the certificate was renewed"),
                Some(Err(error)) => warn!(%error, hint = error.hint(), "the old certificate stays"),
                None => {}
            }
        }
    }
}
