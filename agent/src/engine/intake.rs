//! Bytes from the network into a spool file: each at its place, each piece hashed when it is whole
//! (clause D43).
//!
//! Runs where it may block. Made durable every 4 MiB and at the end of each request: a power cut
//! loses at most that much, and flash is written once. What is there after a cut is hashed before
//! it counts. Memory: a buffer of 64 KiB and the list of what is lacking, however large the file.

use std::io;
use std::sync::Arc;

use agent_core::fetch::{self, Held, Intake, Lack, Piece, Place, Span};
use bundle::Digest;
use sha2::{Digest as _, Sha256};
use smol::channel::Sender;

use crate::state::vfs::SharedFile;

/// How much may come before it is made durable.
const SYNC_BYTES: u64 = 4 << 20;
/// How much of a file is read at once.
const BUFFER_BYTES: usize = 64 << 10;

/// What of these pieces a file lacks: those that are there are hashed. Blocks.
///
/// # Errors
/// What reading gives.
pub(crate) fn lacking(file: &dyn SharedFile, pieces: &[Piece]) -> io::Result<Vec<Lack>> {
    let length = file.len()?;
    let mut lacks = Vec::new();
    for piece in pieces {
        let from = match fetch::held(piece, length) {
            Held::Until(from) => Some(from),
            Held::Perhaps => look(file, piece)?,
        };
        if let Some(from) = from {
            lacks.push(Lack {
                piece: *piece,
                from,
            });
        }
    }
    Ok(lacks)
}

/// Where to go on in a piece behind which the file goes on; none if it is whole.
fn look(file: &dyn SharedFile, piece: &Piece) -> io::Result<Option<u64>> {
    let (mut hasher, mut last) = (Sha256::new(), None);
    read(file, piece.span, &mut |at, bytes| {
        hasher.update(bytes);
        if let Some(place) = bytes.iter().rposition(|byte| *byte != 0) {
            last = Some(at + place as u64);
        }
    })?;
    let whole = Digest::of_hasher(hasher) == piece.digest;
    Ok((!whole).then(|| fetch::behind(piece, last)))
}

/// Reads a span through a small buffer.
fn read(file: &dyn SharedFile, span: Span, each: &mut dyn FnMut(u64, &[u8])) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut at = span.from;
    while at < span.to {
        let bytes = (span.to - at).min(BUFFER_BYTES as u64);
        let part = buffer.get_mut(..bytes as usize).unwrap_or_default();
        file.read_exact_at(part, at)?;
        each(at, part);
        at += bytes;
    }
    Ok(())
}

/// Why a request was cut short from this side.
#[derive(Debug)]
pub(crate) enum Stop {
    /// This piece has come whole and is not what was signed. It has been thrown away.
    Wrong(Piece),
    /// More came than was asked.
    Surplus,
    /// The spool file cannot be read or written.
    Disk(io::Error),
    /// Nobody waits for it any longer.
    Unwanted,
}

/// Takes the bytes of one request.
pub(crate) struct Writer {
    file: Arc<dyn SharedFile>,
    intake: Intake,
    /// The hash of the piece that begins there, as far as it has come.
    hashing: Option<(u64, Sha256)>,
    unsynced: u64,
    /// Told how many bytes of pieces came, each time that some did.
    told: Sender<u64>,
    taken: u64,
    /// Why nothing more is taken.
    stop: Option<Stop>,
    /// Whether somebody else judges what has come.
    unjudged: bool,
}

impl Writer {
    /// Takes the bytes of `span` into `file`; `lacks` and `span` as for [`Intake::new`].
    pub(crate) fn new(
        file: Arc<dyn SharedFile>,
        lacks: Vec<Lack>,
        span: Span,
        told: Sender<u64>,
    ) -> Self {
        Self {
            file,
            intake: Intake::new(lacks, span),
            hashing: None,
            unsynced: 0,
            told,
            taken: 0,
            stop: None,
            unjudged: false,
        }
    }

    /// Takes the bytes of `span` into `file`, for somebody else to judge.
    pub(crate) fn unjudged(file: Arc<dyn SharedFile>, span: Span, told: Sender<u64>) -> Self {
        let piece = Piece {
            span,
            digest: Digest::of(&[]),
        };
        let from = span.from;
        Self {
            unjudged: true,
            ..Self::new(file, vec![Lack { piece, from }], span, told)
        }
    }

    /// Takes some more bytes. Once it has failed, it takes none.
    ///
    /// # Errors
    /// Why it takes no more; what had come before is kept.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.stop.is_none()
            && let Err(stop) = self.place(bytes)
        {
            self.stop = Some(stop);
        }
        match &self.stop {
            None => Ok(()),
            Some(Stop::Disk(error)) => Err(error.kind().into()),
            Some(Stop::Wrong(_) | Stop::Surplus) => Err(io::ErrorKind::InvalidData.into()),
            Some(Stop::Unwanted) => Err(io::ErrorKind::Interrupted.into()),
        }
    }

    fn place(&mut self, mut bytes: &[u8]) -> Result<(), Stop> {
        while !bytes.is_empty() {
            match self.intake.place(bytes.len() as u64) {
                Place::Surplus => return Err(Stop::Surplus),
                Place::Skip(count) => bytes = bytes.get(count as usize..).unwrap_or_default(),
                Place::Take {
                    lack,
                    bytes: count,
                    whole,
                } => {
                    let (now, later) = bytes
                        .split_at_checked(count as usize)
                        .unwrap_or((bytes, &[]));
                    self.write(lack, now)
                        .map_err(|error| self.unwritten(lack, error))?;
                    bytes = later;
                    if whole {
                        self.judge(lack.piece)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// What could not be written is still lacking.
    fn unwritten(&mut self, lack: Lack, error: io::Error) -> Stop {
        self.intake.untaken(lack);
        Stop::Disk(error)
    }

    fn write(&mut self, lack: Lack, bytes: &[u8]) -> io::Result<()> {
        let begins = lack.piece.span.from;
        let mut hasher = match self.hashing.take() {
            Some((from, hasher)) if from == begins => hasher,
            _ => {
                // What came of it in an earlier request.
                let (mut hasher, to) = (Sha256::new(), lack.from);
                let before = Span { from: begins, to };
                read(&*self.file, before, &mut |_, part| hasher.update(part))?;
                hasher
            }
        };
        self.file.write_at(bytes, lack.from)?;
        hasher.update(bytes);
        self.hashing = Some((begins, hasher));
        let count = bytes.len() as u64;
        self.taken += count;
        self.unsynced += count;
        if self.unsynced >= SYNC_BYTES {
            self.file.sync()?;
            self.unsynced = 0;
        }
        // Nobody listens: nobody wants to know.
        let _ = self.told.try_send(count);
        Ok(())
    }

    /// A piece is whole: it is what was signed, or it goes.
    fn judge(&mut self, piece: Piece) -> Result<(), Stop> {
        let hashed = self.hashing.take();
        if self.unjudged {
            return Ok(());
        }
        if hashed.is_some_and(|(_, hasher)| Digest::of_hasher(hasher) == piece.digest) {
            return Ok(());
        }
        self.intake.again(piece);
        throw_away(&*self.file, piece.span).map_err(Stop::Disk)?;
        Err(Stop::Wrong(piece))
    }

    /// Takes nothing more, and makes what has come durable. Blocks.
    ///
    /// # Errors
    /// What syncing gives.
    pub(crate) fn finish(&mut self) -> io::Result<Finished> {
        let stop = self.stop.replace(Stop::Unwanted);
        if self.unsynced > 0 {
            self.file.sync()?;
            self.unsynced = 0;
        }
        Ok(Finished {
            lacks: self.intake.clone().into_lacks(),
            taken: self.taken,
            whole: self.intake.is_done(),
            stop,
        })
    }

    /// Nobody waits for it any longer.
    pub(crate) fn close(&mut self) {
        self.stop.get_or_insert(Stop::Unwanted);
    }
}

/// What became of a request's bytes.
pub(crate) struct Finished {
    /// What is lacking now.
    pub(crate) lacks: Vec<Lack>,
    /// Bytes that came and were needed.
    pub(crate) taken: u64,
    /// Whether everything that was asked has come.
    pub(crate) whole: bool,
    /// Why it was cut short from this side, if it was.
    pub(crate) stop: Option<Stop>,
}

/// Takes a span out of a file, so that it is not taken for half of something good later.
fn throw_away(file: &dyn SharedFile, span: Span) -> io::Result<()> {
    if file.len()? <= span.to {
        return file.set_len(span.from);
    }
    let zeros = vec![0; BUFFER_BYTES];
    let mut at = span.from;
    while at < span.to {
        let bytes = (span.to - at).min(BUFFER_BYTES as u64);
        file.write_at(zeros.get(..bytes as usize).unwrap_or_default(), at)?;
        at += bytes;
    }
    Ok(())
}
