//! A relay in memory that takes reports, and a device that has it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use relay_api::device::{
    Answer, CheckIn, EnrollAnswer, Event, Evidence, Report, ReportKey, Updated, decode,
};
use runtime_shim::Stream;

use super::super::Later;
use super::bench::{Agent, Bench, Recipe};
use crate::api::{Reply, Request};
use crate::relay::{Fetched, Range, Remote, RemoteError, SharedRemote, Sink};

/// How the relay takes the next reports.
#[derive(Clone, Copy, Default)]
pub(super) enum Mood {
    /// As a relay does: stored once, 409 for another body.
    #[default]
    Good,
    /// It stores the report, and its answer is lost.
    AnswerLost,
    /// Nobody answers.
    Away,
    /// It asks for patience.
    Busy,
    /// It refuses with this status and word.
    Refuses(u16, &'static str),
}

/// A relay in memory.
#[derive(Default)]
pub(super) struct Relay {
    pub(super) mood: Cell<Mood>,
    pub(super) stored: RefCell<BTreeMap<ReportKey, Vec<u8>>>,
    /// In the order in which they came.
    order: RefCell<Vec<ReportKey>>,
    /// Every attempt, stored or not.
    pub(super) attempts: RefCell<Vec<(ReportKey, Vec<u8>)>>,
}

fn refused(status: u16, code: &str) -> RemoteError {
    RemoteError::Refused {
        status,
        code: code.to_owned(),
        message: String::new(),
        hint: String::new(),
    }
}

impl Relay {
    fn take(&self, key: ReportKey, body: Vec<u8>) -> Result<(), RemoteError> {
        self.attempts.borrow_mut().push((key, body.clone()));
        match self.mood.get() {
            Mood::Away => return Err(RemoteError::Unreachable("no route".to_owned())),
            Mood::Busy => return Err(RemoteError::Busy { retry_after_s: 30 }),
            Mood::Refuses(status, code) => return Err(refused(status, code)),
            Mood::Good | Mood::AnswerLost => {}
        }
        let mut stored = self.stored.borrow_mut();
        match stored.get(&key) {
            Some(known) if *known != body => return Err(refused(409, "report_differs")),
            Some(_) => {}
            None => {
                stored.insert(key, body);
                self.order.borrow_mut().push(key);
            }
        }
        match self.mood.get() {
            Mood::AnswerLost => Err(RemoteError::Unreachable("reset".to_owned())),
            _ => Ok(()),
        }
    }

    /// What it has, in the order in which it came.
    pub(super) fn reports(&self) -> Vec<Report> {
        let (stored, order) = (self.stored.borrow(), self.order.borrow());
        order
            .iter()
            .map(|key| decode(&stored[key]).unwrap())
            .collect()
    }

    pub(super) fn updates(&self) -> Vec<Updated> {
        let updated = |report: Report| match report.event {
            Event::Updated(updated) => Some(updated),
            _ => None,
        };
        self.reports().into_iter().filter_map(updated).collect()
    }

    pub(super) fn events(&self) -> Vec<Event> {
        let events = self.reports().into_iter().map(|report| report.event);
        events
            .filter(|event| !matches!(event, Event::Updated(_)))
            .collect()
    }
}

/// The port; the relay itself is shared with the test.
struct Port(Rc<Relay>);

impl Remote for Port {
    fn enroll(&self, _: String) -> Later<Result<EnrollAnswer, RemoteError>> {
        Box::pin(async { Err(RemoteError::Garbage("not asked for")) })
    }
    fn check_in(&self, _: CheckIn) -> Later<Result<Answer, RemoteError>> {
        Box::pin(async { Err(RemoteError::Garbage("not asked for")) })
    }
    fn report(&self, key: ReportKey, report: Vec<u8>) -> Later<Result<(), RemoteError>> {
        let taken = self.0.take(key, report);
        Box::pin(async move { taken })
    }
    fn fetch(&self, _: Range, _: Sink) -> Later<Result<Fetched, RemoteError>> {
        Box::pin(async { Err(RemoteError::Garbage("not asked for")) })
    }
}

pub(super) fn deliver(agent: &Agent, relay: &Rc<Relay>) -> Result<(), RemoteError> {
    let (engine, port) = (Rc::clone(&agent.engine), Port(Rc::clone(relay)));
    let remote: SharedRemote = Rc::new(port);
    agent.run(async move { engine.deliver_reports(&remote).await })
}

pub(super) fn waiting(agent: &Agent) -> u32 {
    match agent.ask(Request::Status) {
        Ok(Reply::Status(status)) => status.relay.reports_waiting,
        other => panic!("{other:?}"),
    }
}

/// A device that is enrolled, with version 1 committed and told.
pub(super) fn enrolled() -> (Bench, Agent, Rc<Relay>) {
    let bench = Bench::new();
    bench.enrolled.set(true);
    let agent = bench.daemon();
    agent.apply(&Recipe::new(1).build(&bench)).unwrap();
    let relay = Rc::new(Relay::default());
    deliver(&agent, &relay).unwrap();
    (bench, agent, relay)
}

/// Version 2, whose `web` crashes with code 3 after it has written two lines.
pub(super) fn crashing_two(bench: &Bench) -> std::path::PathBuf {
    let web = || bench.fake.service("shop", "web").generation(2);
    web().prints(Stream::Stdout, "opening /dev/gpio");
    web().prints(Stream::Stderr, "no such device");
    web().exits_on_start(3);
    Recipe::new(2).build(bench)
}

pub(super) fn of_web(evidence: &[Evidence]) -> &Evidence {
    let web = evidence.iter().find(|e| e.service.as_str() == "web");
    web.unwrap_or_else(|| panic!("{evidence:?}"))
}
