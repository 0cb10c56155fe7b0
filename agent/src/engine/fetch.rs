//! Fetches a bundle by ranges into a spool file: the head, then the blobs that are asked for.
//!
//! Whatever breaks, what has come stays, and the next attempt goes on at the next byte. Never asks
//! for a byte twice, but for a piece that was wrong and, once, the head of a file that changed;
//! never takes more bytes than were asked; and trusts no byte before it was verified.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use agent_core::fetch::{self as spans, Lack, Span};
use agent_core::retry::full_jitter;
use bundle::manifest::BlobId;
use bundle::{PREAMBLE_BYTES, Refused, TrustError, TrustStore, VerifiedBundle};
use relay_api::device::Desired;
use smol::future::or;

use super::host::{Host, blocking};
use super::intake::{Finished, Stop, Writer, lacking};
use super::trouble::no_space;
use crate::relay::{Range, RemoteError, SharedRemote};
use crate::state::vfs::SharedFile;

/// Bytes of the first request: the head of an app with a few services. If it is shorter, what
/// comes behind it is the beginning of the payload, and kept.
const HEAD_FIRST_BYTES: u64 = 4096;
/// A connection that breaks is opened again at once if so much came through it; else it is left to
/// the next attempt.
const WORTH_BYTES: u64 = 64 << 10;
/// The longest pause before that, in milliseconds.
const PAUSE_MS_MAX: u64 = 5_000;

/// Why a bundle was not fetched.
#[derive(Debug)]
pub(crate) enum FetchError {
    /// The server did not give it.
    Remote(RemoteError),
    /// The server has a file of another length under that name.
    OtherFile,
    /// What came is not what was signed, twice.
    Refused(Refused),
    /// There are no keys to verify it with.
    Trust(TrustError),
    /// The spool file cannot be read or written.
    Spool(io::Error),
    /// A newer bundle took its place meanwhile.
    Superseded,
}

impl FetchError {
    /// Whether space was lacking.
    pub(crate) fn is_no_space(&self) -> bool {
        match self {
            Self::Spool(error) | Self::Remote(RemoteError::Sink(error)) => no_space(error),
            _ => false,
        }
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Remote(error) => write!(f, "{error}"),
            Self::OtherFile => f.write_str("the server has another file under its name"),
            Self::Refused(refused) => write!(f, "{refused}"),
            Self::Trust(error) => write!(f, "{error}"),
            Self::Spool(error) => write!(f, "what came cannot be kept: {error}"),
            Self::Superseded => f.write_str("a newer bundle took its place"),
        }
    }
}

impl std::error::Error for FetchError {}

impl From<RemoteError> for FetchError {
    fn from(error: RemoteError) -> Self {
        Self::Remote(error)
    }
}

impl From<Refused> for FetchError {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

/// Whom a fetch keeps informed.
pub(crate) struct Watch<'a> {
    /// Told how many bytes are still lacking.
    pub(crate) progress: &'a dyn Fn(u64),
    /// Asked before each request whether the bundle is still wanted.
    pub(crate) wanted: &'a dyn Fn() -> bool,
}

/// One attempt to fetch a bundle.
pub(crate) struct Fetch<'a> {
    host: &'a dyn Host,
    remote: &'a SharedRemote,
    desired: &'a Desired,
    file: Arc<dyn SharedFile>,
    /// What the file's `ETag` must be.
    etag: Option<String>,
    /// The file has changed once in this attempt.
    changed: bool,
}

impl<'a> Fetch<'a> {
    /// An attempt to fetch `desired` into `file`, which may have parts of it. With `changed`, a
    /// file that changes at the server ends it.
    ///
    /// # Errors
    /// [`FetchError::Spool`].
    pub(crate) fn new(
        host: &'a dyn Host,
        remote: &'a SharedRemote,
        desired: &'a Desired,
        file: Arc<dyn SharedFile>,
        changed: bool,
    ) -> Result<Self, FetchError> {
        let begun = file.len().map_err(FetchError::Spool)? > 0;
        // The relay's own is known; what another server's was is not, after a restart.
        let own = begun && desired.url.starts_with('/');
        Ok(Self {
            etag: own.then(|| format!("\"{}\"", desired.file.hex())),
            host,
            remote,
            desired,
            file,
            changed,
        })
    }

    /// The head, verified. Fetched as far as it is not there; a wrong one is fetched again, once.
    ///
    /// # Errors
    /// [`FetchError`].
    pub(crate) async fn head(&mut self, trust: &TrustStore) -> Result<VerifiedBundle, FetchError> {
        match self.try_head(trust).await {
            Err(FetchError::Refused(refused)) => {
                log::warn!("app={} phase=fetching cause={refused}", self.desired.app);
                self.file.set_len(0).map_err(FetchError::Spool)?;
                self.try_head(trust).await
            }
            other => other,
        }
    }

    async fn try_head(&mut self, trust: &TrustStore) -> Result<VerifiedBundle, FetchError> {
        let whole = loop {
            let from = self.file.len().map_err(FetchError::Spool)?;
            let to = if from < PREAMBLE_BYTES as u64 {
                HEAD_FIRST_BYTES.min(self.desired.file_bytes)
            } else {
                bundle::head_bytes(&self.read(PREAMBLE_BYTES)?)?
            };
            if to > self.desired.file_bytes || to < PREAMBLE_BYTES as u64 {
                return Err(Refused::Truncated.into());
            }
            if from >= to {
                break to;
            }
            let span = Span { from, to };
            let (told, _) = smol::channel::bounded(1);
            let writer = Writer::unjudged(Arc::clone(&self.file), span, told);
            let (result, finished) = self.receive(writer, span).await?;
            judge(&finished.stop)?;
            result?;
            complete(&finished)?;
        };
        // At most 1 MiB, as was checked.
        Ok(bundle::verify(self.read(whole as usize)?, trust)?)
    }

    fn read(&self, bytes: usize) -> Result<Vec<u8>, FetchError> {
        let mut start = vec![0; bytes];
        let read = self.file.read_exact_at(&mut start, 0);
        read.map_err(FetchError::Spool)?;
        Ok(start)
    }

    /// What of these blobs is lacking.
    ///
    /// # Errors
    /// [`FetchError::Spool`].
    pub(crate) async fn lacking(
        &self,
        bundle: &VerifiedBundle,
        blobs: &[BlobId],
    ) -> Result<Vec<Lack>, FetchError> {
        let pieces = spans::pieces(bundle.manifest(), bundle.payload_offset(), blobs);
        let file = Arc::clone(&self.file);
        let found = blocking(self.host, move || lacking(&*file, &pieces)).await;
        found.and_then(|found| found).map_err(FetchError::Spool)
    }

    /// Fetches what is lacking, as [`Fetch::lacking`] found it.
    ///
    /// # Errors
    /// [`FetchError`]; what has come is kept.
    pub(crate) async fn pieces(
        &mut self,
        bundle: &VerifiedBundle,
        mut lacks: Vec<Lack>,
        watch: &Watch<'_>,
    ) -> Result<(), FetchError> {
        let (mut wrong, mut since_break, mut breaks) = (BTreeSet::new(), 0u64, 0u32);
        while let Some(span) = spans::first_span(&lacks) {
            if !(watch.wanted)() {
                return Err(FetchError::Superseded);
            }
            let left = Cell::new(spans::lacking_bytes(&lacks));
            (watch.progress)(left.get());
            let (told, heard) = smol::channel::unbounded();
            let writer = Writer::new(Arc::clone(&self.file), lacks, span, told);
            let (result, finished) = {
                let receive = self.receive(writer, span);
                let listen = async {
                    while let Ok(bytes) = heard.recv().await {
                        left.set(left.get().saturating_sub(bytes));
                        (watch.progress)(left.get());
                    }
                    std::future::pending().await
                };
                or(receive, listen).await?
            };
            let result = result.and_then(|()| complete(&finished));
            lacks = finished.lacks;
            since_break = since_break.saturating_add(finished.taken);
            match &finished.stop {
                Some(Stop::Wrong(piece)) if wrong.insert(piece.span.from) => {
                    log::warn!(
                        "app={} phase=fetching cause=a piece at byte {} was wrong, and is fetched again",
                        self.desired.app,
                        piece.span.from
                    );
                    continue;
                }
                Some(Stop::Wrong(piece)) => return Err(wrong_piece(bundle, piece.span).into()),
                stop => judge(stop)?,
            }
            match result {
                Ok(()) => {}
                Err(FetchError::Remote(RemoteError::Changed)) if !self.changed => {
                    self.changed = true;
                    self.etag = None;
                    if !self.has_head(bundle).await? {
                        return Err(RemoteError::Changed.into());
                    }
                }
                Err(FetchError::Remote(RemoteError::Unreachable(why)))
                    if since_break >= WORTH_BYTES =>
                {
                    log::warn!("app={} phase=fetching cause={why}", self.desired.app);
                    since_break = 0;
                    let wait = full_jitter(breaks, 1_000, PAUSE_MS_MAX, self.host.random());
                    breaks = breaks.saturating_add(1);
                    self.host.sleep(wait).await;
                }
                Err(error) => return Err(error),
            }
        }
        (watch.progress)(0);
        Ok(())
    }

    /// Whether the file at the server begins with this head: its pieces are the same then, whatever
    /// it is called.
    async fn has_head(&mut self, bundle: &VerifiedBundle) -> Result<bool, FetchError> {
        let to = bundle.payload_offset();
        let came = Arc::new(Mutex::new(Vec::new()));
        let sink = {
            let came = Arc::clone(&came);
            Box::new(move |bytes: &[u8]| {
                let mut came = lock(&came);
                if (came.len() + bytes.len()) as u64 > to {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                came.extend_from_slice(bytes);
                Ok(())
            })
        };
        self.request(Span { from: 0, to }, sink).await?;
        Ok(lock(&came).as_slice() == bundle.head())
    }

    /// Sends a request, and takes in what comes.
    async fn receive(
        &mut self,
        writer: Writer,
        span: Span,
    ) -> Result<(Result<(), FetchError>, Finished), FetchError> {
        let shared = Closing(Arc::new(Mutex::new(writer)));
        let writer = Arc::clone(&shared.0);
        let sink = Box::new(move |bytes: &[u8]| lock(&writer).take(bytes));
        let result = self.request(span, sink).await;
        let writer = Arc::clone(&shared.0);
        let finished = blocking(self.host, move || lock(&writer).finish()).await;
        let finished = finished.and_then(|finished| finished);
        Ok((result, finished.map_err(FetchError::Spool)?))
    }

    async fn request(&mut self, span: Span, sink: crate::relay::Sink) -> Result<(), FetchError> {
        let range = Range {
            url: self.desired.url.clone(),
            from: span.from,
            to: span.to,
            etag: self.etag.clone(),
        };
        let fetched = self.remote.fetch(range, sink).await?;
        let other = |bytes| bytes != self.desired.file_bytes;
        if fetched.file_bytes.is_some_and(other) {
            return Err(FetchError::OtherFile);
        }
        match (&self.etag, fetched.etag) {
            (Some(before), Some(now)) if *before != now => Err(RemoteError::Changed.into()),
            (None, now) => {
                self.etag = now;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// The head at the beginning of a spool file, unverified; none if it is not there whole.
pub(crate) fn whole_head(file: &dyn SharedFile) -> Option<Vec<u8>> {
    let mut start = vec![0; PREAMBLE_BYTES];
    file.read_exact_at(&mut start, 0).ok()?;
    let bytes = bundle::head_bytes(&start).ok()?;
    let mut head = vec![0; usize::try_from(bytes).ok()?];
    file.read_exact_at(&mut head, 0).ok()?;
    Some(head)
}

/// Ends a writer when nobody waits for it: the thread that feeds it may go on for a while.
struct Closing(Arc<Mutex<Writer>>);

impl Drop for Closing {
    fn drop(&mut self) {
        lock(&self.0).close();
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why this side cut a request short, as an error.
fn judge(stop: &Option<Stop>) -> Result<(), FetchError> {
    match stop {
        None | Some(Stop::Wrong(_) | Stop::Unwanted) => Ok(()),
        Some(Stop::Surplus) => Err(RemoteError::Garbage("more bytes than were asked").into()),
        Some(Stop::Disk(error)) => {
            let again = error
                .raw_os_error()
                .map_or_else(|| error.kind().into(), io::Error::from_raw_os_error);
            Err(FetchError::Spool(again))
        }
    }
}

/// A server that ends well before everything came has not ended well.
fn complete(finished: &Finished) -> Result<(), FetchError> {
    if finished.whole {
        return Ok(());
    }
    let words = "the answer ended too early".to_owned();
    Err(RemoteError::Unreachable(words).into())
}

/// The refusal of a piece that was wrong twice.
fn wrong_piece(bundle: &VerifiedBundle, span: Span) -> Refused {
    let at = span.from.saturating_sub(bundle.payload_offset());
    let blobs = &bundle.manifest().blobs;
    let blob = blobs.iter().rev().find(|blob| blob.offset <= at);
    let offset = blob.map_or(0, |blob| blob.offset);
    Refused::Piece {
        offset,
        piece: (at - offset) / u64::from(bundle::limits::PIECE_BYTES),
    }
}
