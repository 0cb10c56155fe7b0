//! A server of bundles in memory: it counts what it gives, breaks off, lies, and changes its file.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::Rc;

use bundle::{Digest, TrustStore};
use relay_api::device::{Answer, CheckIn, Desired, EnrollAnswer, ReportKey};
use smol::future::yield_now;

use super::super::Later;
use super::bench::{Agent, Bench};
use crate::api::{AppliedView, Failure, Update};
use crate::relay::{Fetched, Range, Remote, RemoteError, SharedRemote, Sink};

/// Bytes that are handed over at once.
const SLICE_BYTES: usize = 1000;

/// A file at a server.
#[derive(Default)]
pub(super) struct Server {
    /// What it has.
    pub(super) file: RefCell<Vec<u8>>,
    /// The `ETag` that it says.
    pub(super) etag: RefCell<Option<String>>,
    /// The length that it says; none: the file's.
    pub(super) says_bytes: Cell<Option<u64>>,
    /// After so many bytes the connection breaks, each time.
    pub(super) breaks_after: Cell<Option<u64>>,
    /// It breaks by being too slow.
    pub(super) slow: Cell<bool>,
    /// After so many bytes an answer ends as if it were whole, each time.
    pub(super) ends_after: Cell<Option<u64>>,
    /// The byte at this place is wrong, so many times.
    pub(super) corrupts: Cell<Option<(usize, u32)>>,
    /// Bytes come from so much further on than was asked.
    pub(super) shifts: Cell<usize>,
    /// It never stops sending.
    pub(super) endless: Cell<bool>,
    /// Before the request of this number, counted from 0, the file becomes another one.
    pub(super) becomes: RefCell<Vec<(usize, Vec<u8>, String)>>,
    /// A request stands still after so many bytes, until this is none.
    pub(super) stalls_after: Cell<Option<u64>>,
    /// What was asked.
    pub(super) asked: RefCell<Vec<Range>>,
    /// How often each byte was given.
    pub(super) given: RefCell<Vec<u32>>,
    given_bytes: Cell<u64>,
}

impl Server {
    /// A server that has this file.
    pub(super) fn with(file: &Path) -> Rc<Self> {
        let server = Rc::new(Self::default());
        server.put(file);
        server
    }

    /// Gives it another file, and forgets what it gave.
    pub(super) fn put(&self, file: &Path) {
        let bytes = std::fs::read(file).unwrap();
        self.etag.replace(Some(etag_of(&bytes)));
        self.given.replace(vec![0; bytes.len()]);
        self.file.replace(bytes);
        self.asked.borrow_mut().clear();
    }

    /// How many bytes it gave.
    pub(super) fn given_bytes(&self) -> u64 {
        self.given_bytes.get()
    }

    fn answer(&self, range: &Range) -> Result<(), RemoteError> {
        let asked = self.asked.borrow().len();
        self.asked.borrow_mut().push(range.clone());
        let mut becomes = self.becomes.borrow_mut();
        if let Some(at) = becomes.iter().position(|(at, ..)| *at == asked) {
            let (_, bytes, etag) = becomes.remove(at);
            let counted = self.given.borrow().len();
            self.given.borrow_mut().resize(counted.max(bytes.len()), 0);
            self.file.replace(bytes);
            self.etag.replace(Some(etag));
        }
        match (&range.etag, &*self.etag.borrow()) {
            (Some(wanted), Some(is)) if wanted != is => Err(RemoteError::Changed),
            (Some(_), None) => Err(RemoteError::Changed),
            _ => Ok(()),
        }
    }

    fn slice(&self, at: usize, to: usize) -> Vec<u8> {
        let (file, shift) = (self.file.borrow(), self.shifts.get());
        let mut bytes: Vec<u8> = (at + shift..to + shift)
            .map(|place| file.get(place).copied().unwrap_or(0xEE))
            .collect();
        if let Some((place, times)) = self.corrupts.get()
            && (at..to).contains(&place)
            && times > 0
        {
            bytes[place - at] ^= 0x40;
            self.corrupts.set(Some((place, times - 1)));
        }
        self.given_bytes
            .set(self.given_bytes.get() + (to - at) as u64);
        for count in self.given.borrow_mut().iter_mut().take(to).skip(at) {
            *count += 1;
        }
        bytes
    }

    async fn give(&self, range: Range, mut sink: Sink) -> Result<Fetched, RemoteError> {
        self.answer(&range)?;
        let (mut at, to) = (range.from as usize, range.to as usize);
        let mut done = 0u64;
        while at < to {
            if self.ends_after.get().is_some_and(|after| done >= after) {
                return Ok(self.fetched());
            }
            if self.breaks_after.get().is_some_and(|after| done >= after) {
                return Err(if self.slow.get() {
                    RemoteError::Slow
                } else {
                    RemoteError::Unreachable("connection reset".to_owned())
                });
            }
            while self.stalls_after.get().is_some_and(|after| done >= after) {
                yield_now().await;
            }
            let mut bytes = SLICE_BYTES.min(to - at);
            for bound in [self.breaks_after.get(), self.ends_after.get()]
                .iter()
                .flatten()
            {
                bytes = bytes.min((bound - done) as usize);
            }
            sink(&self.slice(at, at + bytes)).map_err(RemoteError::Sink)?;
            (at, done) = (at + bytes, done + bytes as u64);
            yield_now().await;
        }
        while self.endless.get() {
            sink(&[0; SLICE_BYTES]).map_err(RemoteError::Sink)?;
        }
        Ok(self.fetched())
    }

    fn fetched(&self) -> Fetched {
        Fetched {
            etag: self.etag.borrow().clone(),
            file_bytes: self
                .says_bytes
                .get()
                .or(Some(self.file.borrow().len() as u64)),
        }
    }
}

fn etag_of(bytes: &[u8]) -> String {
    format!("\"{}\"", Digest::of(bytes).hex())
}

/// The port; the server itself is shared with the test.
struct Port(Rc<Server>);

impl Remote for Port {
    fn enroll(&self, _: String) -> Later<Result<EnrollAnswer, RemoteError>> {
        Box::pin(async { Err(RemoteError::Garbage("no relay")) })
    }
    fn check_in(&self, _: CheckIn) -> Later<Result<Answer, RemoteError>> {
        Box::pin(async { Err(RemoteError::Garbage("no relay")) })
    }
    fn report(&self, _: ReportKey, _: Vec<u8>) -> Later<Result<(), RemoteError>> {
        Box::pin(async { Err(RemoteError::Garbage("no relay")) })
    }
    fn fetch(&self, range: Range, sink: Sink) -> Later<Result<Fetched, RemoteError>> {
        let server = Rc::clone(&self.0);
        Box::pin(async move { server.give(range, sink).await })
    }
}

/// What an honest relay says of a bundle that these keys verify.
pub(super) fn desired_by(keys: &Path, path: &Path) -> Desired {
    let bytes = std::fs::read(path).unwrap();
    let head = bundle::read_head(&mut &bytes[..]).unwrap();
    let bundle = bundle::verify(head, &TrustStore::load(keys).unwrap()).unwrap();
    let file = Digest::of(&bytes);
    Desired {
        app: bundle.manifest().app.clone(),
        rollout: 1,
        bundle: bundle.digest(),
        seq: bundle.manifest().seq,
        file,
        file_bytes: bytes.len() as u64,
        url: format!("/device/v1/bundles/{}", file.hex()),
    }
}

/// As [`desired_by`], by the bench's own key.
pub(super) fn desired(bench: &Bench, path: &Path) -> Desired {
    desired_by(&bench.config.keys_dir, path)
}

impl Agent {
    /// Begins what a check-in would begin.
    pub(super) fn begin_fetch(
        &self,
        server: &Rc<Server>,
        desired: &Desired,
    ) -> smol::Task<(Result<AppliedView, Failure>, Vec<Update>)> {
        let (engine, desired) = (Rc::clone(&self.engine), desired.clone());
        let remote: SharedRemote = Rc::new(Port(Rc::clone(server)));
        self.spawn(async move {
            let seen = RefCell::new(vec![]);
            let note = |update| seen.borrow_mut().push(update);
            let result = engine.apply_desired(&remote, &desired, &note).await;
            (result, seen.into_inner())
        })
    }

    /// Fetches and installs.
    pub(super) fn fetch(
        &self,
        server: &Rc<Server>,
        desired: &Desired,
    ) -> Result<AppliedView, Failure> {
        let task = self.begin_fetch(server, desired);
        let (result, _) = self.run(task);
        self.settle();
        result
    }

    /// The exit code of that.
    pub(super) fn fetch_code(&self, server: &Rc<Server>, desired: &Desired) -> u8 {
        self.fetch(server, desired)
            .map_or_else(|failure| failure.code, |_| 0)
    }
}
