//! A relay in memory: what it answers is a test's choice, and what it was told is kept.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use bundle::{Digest, TrustStore, read_head};
use relay_api::device::{Answer, AppVariables, CheckIn, Desired, EnrollAnswer, ReportKey};

use super::super::host::{Host, Later};
use super::bench::{Agent, Bench};
use crate::api::{EnrolledView, Failure, Reply, Request, Secret};
use crate::relay::{Fetched, Range, Remote, RemoteError, Sink};

/// What goes wrong at the relay.
pub(super) type Fault = fn() -> RemoteError;

/// The relay.
pub(super) struct FakeRelay {
    host: Rc<dyn Host>,
    /// What it answers.
    pub(super) answer: RefCell<Answer>,
    /// What goes wrong with each request, until it is taken away.
    pub(super) fault: Cell<Option<Fault>>,
    /// What goes wrong with each download.
    pub(super) broken: Cell<Option<Fault>>,
    /// What it was told, with the time.
    pub(super) check_ins: RefCell<Vec<(u64, CheckIn)>>,
    /// How many downloads began at the file's start.
    pub(super) fetches: Cell<u32>,
    /// How often somebody tried to enrol.
    pub(super) tokens: RefCell<Vec<String>>,
    files: RefCell<BTreeMap<String, PathBuf>>,
    keys: PathBuf,
}

impl FakeRelay {
    /// A relay, and a way to it from this bench.
    pub(super) fn new(bench: &mut Bench) -> Rc<Self> {
        let relay = Rc::new(Self {
            host: bench.machine(),
            answer: RefCell::new(Answer {
                now: 0,
                revision: 1,
                desired: vec![],
                variables: vec![],
                interval_s: 60,
                long_poll_s: 0,
            }),
            fault: Cell::new(None),
            broken: Cell::new(None),
            check_ins: RefCell::default(),
            fetches: Cell::new(0),
            tokens: RefCell::default(),
            files: RefCell::default(),
            keys: bench.config.keys_dir.clone(),
        });
        let dialled = Rc::clone(&relay);
        bench.dial = Rc::new(move |_| Ok(Rc::new(Port(Rc::clone(&dialled)))));
        relay
    }

    /// Changes what it answers.
    pub(super) fn now(&self, change: impl FnOnce(&mut Answer)) {
        let mut answer = self.answer.borrow_mut();
        change(&mut answer);
        answer.revision += 1;
    }

    /// Wants this bundle on the device.
    pub(super) fn wants(&self, rollout: u64, seq: u64, bundle: &Path) {
        let bytes = fs::read(bundle).unwrap();
        let head = read_head(&mut &bytes[..]).unwrap();
        let trust = TrustStore::load(&self.keys).unwrap();
        let verified = bundle::verify(head, &trust).unwrap();
        let file = Digest::of(&bytes);
        let url = format!("/device/v1/bundles/{}", file.hex());
        self.files
            .borrow_mut()
            .insert(url.clone(), bundle.to_path_buf());
        let desired = Desired {
            app: "shop".parse().unwrap(),
            rollout,
            bundle: verified.digest(),
            seq,
            file,
            file_bytes: bytes.len() as u64,
            url,
        };
        self.now(|answer| answer.desired = vec![desired]);
    }

    /// Gives the app `shop` these values.
    pub(super) fn gives(&self, values: &[(&str, &str)]) {
        let values = values.iter();
        let values = values.map(|(name, value)| (name.parse().unwrap(), (*value).to_owned()));
        let of_app = AppVariables {
            app: "shop".parse().unwrap(),
            values: values.collect(),
        };
        self.now(|answer| answer.variables = vec![of_app]);
    }

    /// How often it was asked.
    pub(super) fn asked(&self) -> usize {
        self.check_ins.borrow().len()
    }

    /// What it was told last.
    pub(super) fn last(&self) -> CheckIn {
        self.check_ins.borrow().last().unwrap().1.clone()
    }

    /// Enrols the device of this agent.
    pub(super) fn enroll(agent: &Agent) -> Result<EnrolledView, Failure> {
        let request = Request::Enroll {
            url: "https://relay.example".into(),
            token: Secret("cet_1".into()),
            ca: None,
        };
        match agent.ask(request)? {
            Reply::Enrolled(view) => Ok(view),
            other => panic!("{other:?}"),
        }
    }
}

struct Port(Rc<FakeRelay>);

impl Port {
    fn meets(&self) -> Result<(), RemoteError> {
        self.0.fault.get().map_or(Ok(()), |fault| Err(fault()))
    }
}

impl Remote for Port {
    fn enroll(&self, token: String) -> Later<Result<EnrollAnswer, RemoteError>> {
        self.0.tokens.borrow_mut().push(token);
        let met = self.meets().map(|()| EnrollAnswer {
            device: "test-1".parse().unwrap(),
            labels: vec![("site".parse().unwrap(), "harbour".parse().unwrap())],
        });
        Box::pin(async move { met })
    }

    fn check_in(&self, check_in: CheckIn) -> Later<Result<Answer, RemoteError>> {
        let relay = Rc::clone(&self.0);
        let (seen, wait_s) = (check_in.seen, check_in.wait_s);
        let now_ms = relay.host.now_ms();
        relay.check_ins.borrow_mut().push((now_ms, check_in));
        let met = self.meets();
        Box::pin(async move {
            met?;
            for _ in 0..wait_s {
                if relay.answer.borrow().revision != seen {
                    break;
                }
                relay.host.sleep(1_000).await;
            }
            let answer = relay.answer.borrow().clone();
            Ok(answer)
        })
    }

    fn report(&self, _: ReportKey, _: Vec<u8>) -> Later<Result<(), RemoteError>> {
        let met = self.meets();
        Box::pin(async move { met })
    }

    fn fetch(&self, range: Range, mut sink: Sink) -> Later<Result<Fetched, RemoteError>> {
        if range.from == 0 {
            self.0.fetches.set(self.0.fetches.get() + 1);
        }
        let path = self.0.files.borrow().get(&range.url).cloned();
        let fault = self.0.fault.get().or(self.0.broken.get());
        let host = Rc::clone(&self.0.host);
        Box::pin(async move {
            // A download takes a while.
            host.sleep(500).await;
            if let Some(fault) = fault {
                return Err(fault());
            }
            let bytes = fs::read(path.unwrap()).unwrap();
            let to = bytes.len().min(usize::try_from(range.to).unwrap());
            let from = usize::try_from(range.from).unwrap().min(to);
            sink(&bytes[from..to]).map_err(RemoteError::Sink)?;
            Ok(Fetched {
                etag: Some(format!("\"{}\"", Digest::of(&bytes).hex())),
                file_bytes: Some(bytes.len() as u64),
            })
        })
    }
}
