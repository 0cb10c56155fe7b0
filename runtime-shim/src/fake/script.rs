//! Scripts: how the containers of a service behave.
//!
//! The newest script that fits decides; scripts never expire by themselves.

use std::net::IpAddr;
use std::rc::Rc;

use super::Fake;
use super::fault::{Armed, Injected};
use crate::{ExecOutput, ExitStatus, Stats, Stream, labels};

/// A script being written: for all containers of a service, until narrowed down to a generation.
pub struct ServiceScript {
    fake: Fake,
    app: String,
    service: String,
    generation: Option<String>,
}

/// A script in place.
pub(super) struct Script {
    app: String,
    service: String,
    generation: Option<String>,
    pub(super) acts: Act,
    pub(super) armed: Rc<Armed>,
}

pub(super) enum Act {
    ExitOnStart(ExitStatus),
    IgnoreStopSignal,
    /// None: it never ends.
    Exec(Option<ExecOutput>),
    Addresses(Vec<IpAddr>),
    Print(Stream, String),
    Stats(Stats),
}

impl Script {
    /// Whether it is about a container with these labels.
    pub(super) fn fits(&self, labels: &std::collections::BTreeMap<String, String>) -> bool {
        let label = |key| labels.get(key).map(String::as_str);
        !self.armed.is_released()
            && label(labels::APP) == Some(&self.app)
            && label(labels::SERVICE) == Some(&self.service)
            && (self.generation.is_none()
                || label(labels::GENERATION) == self.generation.as_deref())
    }
}

impl ServiceScript {
    pub(super) fn new(fake: Fake, app: &str, service: &str) -> Self {
        Self {
            fake,
            app: app.to_owned(),
            service: service.to_owned(),
            generation: None,
        }
    }

    /// Only containers with this `coracle.generation`.
    pub fn generation(mut self, generation: u64) -> Self {
        self.generation = Some(generation.to_string());
        self
    }

    /// Each start is followed by an exit with `code` at once.
    pub fn exits_on_start(self, code: i32) -> Injected {
        self.exits_on_start_with(ExitStatus {
            code,
            oom_killed: false,
        })
    }

    /// As [`ServiceScript::exits_on_start`], with the whole exit status.
    pub fn exits_on_start_with(self, status: ExitStatus) -> Injected {
        self.put(Act::ExitOnStart(status))
    }

    /// A stop ends it by SIGKILL (code 137) rather than with code 0.
    pub fn ignores_stop_signal(self) -> Injected {
        self.put(Act::IgnoreStopSignal)
    }

    /// Commands run in it give this.
    pub fn exec(self, code: i32, output: &str) -> Injected {
        self.put(Act::Exec(Some(ExecOutput {
            code,
            output: output.as_bytes().to_vec(),
        })))
    }

    /// Commands run in it do not end: the call is told [`crate::RuntimeError::TimedOut`], at once.
    pub fn exec_times_out(self) -> Injected {
        self.put(Act::Exec(None))
    }

    /// Its addresses while it runs; otherwise one of 10.89.0.0/16 on bridge networks.
    pub fn addresses(self, addresses: Vec<IpAddr>) -> Injected {
        self.put(Act::Addresses(addresses))
    }

    /// Each start writes this line; several such scripts write in their order.
    pub fn prints(self, stream: Stream, text: &str) -> Injected {
        self.put(Act::Print(stream, text.to_owned()))
    }

    /// What it is said to use.
    pub fn stats(self, stats: Stats) -> Injected {
        self.put(Act::Stats(stats))
    }

    fn put(self, acts: Act) -> Injected {
        let armed = Armed::counter();
        self.fake.world.borrow_mut().scripts.push(Script {
            app: self.app,
            service: self.service,
            generation: self.generation,
            acts,
            armed: Rc::clone(&armed),
        });
        Injected::new(armed, Rc::downgrade(&self.fake.world))
    }
}
