//! The daemon's side of the control socket.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt};
use nix::sys::stat::{Mode, umask};
use smol::future::FutureExt as _;
use smol::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use smol::{Async, LocalExecutor, Timer};

use super::lines::Lines;
use super::{CONNECTIONS_MAX, ControlError, FromClient, FromDaemon, Handler, line};
use crate::api::{Failure, Reply, Update};
use crate::engine::spawn;
use crate::exit;

/// Beyond so many bytes that a client has not taken yet, its request is not driven on.
const BACKLOG_BYTES_HIGH: usize = 256 << 10;
/// Beyond so many, further updates of it are dropped.
const BACKLOG_BYTES_MAX: usize = 8 << 20;
/// How long a client may take to say what it wants.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait when the process has no descriptor left for a new connection.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// The daemon's socket; removed when this is dropped.
pub struct Server {
    listener: Async<UnixListener>,
    path: PathBuf,
}

impl Server {
    /// Makes the socket, and its folder (mode 0755) where there is none. A socket that nobody
    /// answers on is replaced: its daemon was killed.
    ///
    /// # Errors
    /// [`ControlError::InUse`] if another daemon answers there, [`ControlError::NotASocket`] if
    /// something else is in the way, else [`ControlError::Socket`].
    pub fn bind(path: &Path) -> Result<Self, ControlError> {
        let failed = |source| ControlError::Socket {
            path: path.into(),
            source,
        };
        if let Some(folder) = path.parent() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(folder)
                .map_err(failed)?;
        }
        match fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(ControlError::NotASocket(path.into()));
            }
            Ok(_) => match UnixStream::connect(path) {
                Ok(_) => return Err(ControlError::InUse(path.into())),
                Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {
                    fs::remove_file(path).map_err(failed)?;
                }
                Err(e) => return Err(failed(e)),
            },
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(failed(e)),
        }
        // The mode must hold from the first moment, and bind(2) knows the umask only. The process
        // has one thread that makes files at this point.
        let before = umask(Mode::from_bits_truncate(0o177));
        let listener = UnixListener::bind(path);
        umask(before);
        let listener = listener.and_then(Async::new).map_err(failed)?;
        Ok(Self {
            listener,
            path: path.into(),
        })
    }

    /// Takes requests for ever, each in a task of its own on `executor`.
    pub async fn serve<H: Handler + 'static>(
        &self,
        handler: Rc<H>,
        executor: &Rc<LocalExecutor<'static>>,
    ) {
        let open = Rc::new(Cell::new(0));
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(e) => {
                    log::warn!("control: no connection: {e}");
                    Timer::after(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let (handler, place) = (handler.clone(), Place::take(&open));
            let conversation = async move {
                match converse(stream, &*handler, place.is_some()).await {
                    Ok(()) => {}
                    Err(ControlError::Broken) => log::debug!("control: a client went away"),
                    Err(e) => log::warn!("control: {e}"),
                }
                drop(place);
            };
            spawn(executor, conversation).detach();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing depends on it: a socket that stays is replaced at the next start.
        let _ = fs::remove_file(&self.path);
    }
}

/// One of the connections that may be open at a time.
struct Place(Rc<Cell<usize>>);

impl Place {
    fn take(open: &Rc<Cell<usize>>) -> Option<Self> {
        (open.get() < CONNECTIONS_MAX).then(|| {
            open.set(open.get() + 1);
            Self(open.clone())
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// One connection: a request, updates, an answer.
async fn converse<H: Handler>(
    mut stream: Async<UnixStream>,
    handler: &H,
    has_place: bool,
) -> Result<(), ControlError> {
    let refusal = if !has_place {
        Some(failure(
            "too many requests at a time",
            "Try again in a moment.",
        ))
    } else if !may_ask(stream.get_ref()) {
        Some(failure(
            "only root and the agent's own user may ask it",
            "Run it as root.",
        ))
    } else {
        None
    };
    if let Some(refusal) = refusal {
        return send(&mut stream, &FromDaemon::Failure(refusal)).await;
    }
    let mut lines = Lines::default();
    let timeout = async {
        Timer::after(REQUEST_TIMEOUT).await;
        Err(ControlError::Broken)
    };
    let request = match lines.next(&mut stream).or(timeout).await {
        Ok(request) => request,
        Err(e @ (ControlError::Json(_) | ControlError::TooLong)) => {
            return send(&mut stream, &FromDaemon::Failure(e.into())).await;
        }
        Err(e) => return Err(e),
    };
    let backlog = Backlog::default();
    let answer = {
        let FromClient::Request(request) = request;
        let updates = |update| backlog.push_update(update);
        let handling = pin!(handler.handle(request, &updates));
        drive(&mut stream, handling, &backlog).await?
    };
    let last = match answer {
        Ok(reply) => FromDaemon::Reply(reply),
        Err(failure) => FromDaemon::Failure(failure),
    };
    backlog.note_dropped();
    let rest: Vec<u8> = backlog.bytes.take().into();
    stream
        .write_all(&rest)
        .await
        .map_err(|_| ControlError::Broken)?;
    match send(&mut stream, &last).await {
        Err(e @ ControlError::TooLong) => send(&mut stream, &FromDaemon::Failure(e.into())).await,
        sent => sent,
    }
}

/// Drives the request on and sends its updates as fast as the client takes them, until there is
/// an answer. A client that does not read pauses its request, so that memory stays bounded; one
/// that closes the connection ends it.
async fn drive<F: Future<Output = Result<Reply, Failure>>>(
    stream: &mut Async<UnixStream>,
    mut handling: Pin<&mut F>,
    backlog: &Backlog,
) -> Result<F::Output, ControlError> {
    std::future::poll_fn(|cx: &mut Context<'_>| {
        loop {
            if backlog.len() < BACKLOG_BYTES_HIGH
                && let Poll::Ready(answer) = handling.as_mut().poll(cx)
            {
                return Poll::Ready(Ok(answer));
            }
            match backlog.poll_send(Pin::new(&mut *stream), cx) {
                // The request may have been paused: it gets another turn.
                Poll::Ready(Ok(sent)) if sent > 0 => continue,
                Poll::Ready(Ok(_)) | Poll::Pending => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Err(ControlError::Broken)),
            }
            return match Pin::new(&mut *stream).poll_read(cx, &mut [0; 16]) {
                Poll::Pending => Poll::Pending,
                // The end, an error, or a second request, which the protocol does not know.
                Poll::Ready(_) => Poll::Ready(Err(ControlError::Broken)),
            };
        }
    })
    .await
}

/// What waits to be sent to a client.
#[derive(Default)]
struct Backlog {
    bytes: RefCell<VecDeque<u8>>,
    dropped: Cell<u64>,
}

impl Backlog {
    fn len(&self) -> usize {
        self.bytes.borrow().len()
    }

    fn push_update(&self, update: Update) {
        if self.len() > BACKLOG_BYTES_MAX {
            self.dropped.set(self.dropped.get() + 1);
            return;
        }
        self.note_dropped();
        self.push(&update);
    }

    /// Says in the log how much of it is missing here.
    fn note_dropped(&self) {
        if let dropped @ 1.. = self.dropped.take() {
            self.push(&Update::Log {
                service: String::new(),
                stream: "stderr".into(),
                at: String::new(),
                text: format!("{dropped} lines left out: they came faster than they were read"),
            });
        }
    }

    fn push(&self, update: &Update) {
        // A line of a log that is too long for the protocol is left out.
        match line(&FromDaemon::Update(update.clone())) {
            Ok(line) => self.bytes.borrow_mut().extend(line),
            Err(e) => log::warn!("control: {e}"),
        }
    }

    /// Sends some of it; how many bytes.
    fn poll_send(
        &self,
        stream: Pin<&mut Async<UnixStream>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut bytes = self.bytes.borrow_mut();
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let sent = stream.poll_write(cx, bytes.as_slices().0);
        if let Poll::Ready(Ok(sent)) = sent {
            bytes.drain(..sent);
        }
        sent
    }
}

async fn send(stream: &mut Async<UnixStream>, message: &FromDaemon) -> Result<(), ControlError> {
    let line = line(message)?;
    stream
        .write_all(&line)
        .await
        .map_err(|_| ControlError::Broken)
}

/// Whether the peer is root, or the user whom this process belongs to.
fn may_ask(stream: &UnixStream) -> bool {
    match getsockopt(stream, sockopt::PeerCredentials) {
        Ok(peer) => peer.uid() == 0 || peer.uid() == nix::unistd::geteuid().as_raw(),
        Err(_) => false,
    }
}

fn failure(message: &str, hint: &str) -> Failure {
    Failure {
        code: exit::FAILURE,
        message: message.into(),
        hint: hint.into(),
    }
}
