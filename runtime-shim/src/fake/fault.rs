//! Faults: which call they hit, what they do to it, and whether they did.
//!
//! Never probabilistic: what a fault hits follows from the calls alone.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use super::world::World;
use crate::RuntimeError;

/// A kind of call: one per method of [`crate::Runtime`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // each is the method of the same name
pub enum Op {
    Info,
    HasImage,
    ImportImage,
    Images,
    RemoveImage,
    EnsureNetwork,
    Networks,
    RemoveNetwork,
    EnsureVolume,
    Volumes,
    RemoveVolume,
    Create,
    Start,
    Stop,
    Remove,
    Inspect,
    Containers,
    Wait,
    Logs,
    Events,
    Stats,
    Exec,
}

impl Op {
    /// Whether the call changes anything at the runtime.
    pub fn is_effect(self) -> bool {
        matches!(
            self,
            Self::ImportImage
                | Self::RemoveImage
                | Self::EnsureNetwork
                | Self::RemoveNetwork
                | Self::EnsureVolume
                | Self::RemoveVolume
                | Self::Create
                | Self::Start
                | Self::Stop
                | Self::Remove
        )
    }
}

/// A call that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Which method.
    pub op: Op,
    /// What it was about: the name of a container, image, network or volume; a digest; an app;
    /// or nothing.
    pub subject: String,
}

/// Something that is to go wrong: at every call, until narrowed down.
pub struct Fault {
    op: Option<Op>,
    about: Option<String>,
    nth: Option<u64>,
    after: bool,
    harm: Harm,
}

enum Harm {
    Fail(Box<dyn Fn() -> RuntimeError>),
    Hang,
    /// Only to an import: it stands still once so many bytes were read.
    Stall(u64),
}

impl Fault {
    /// Calls fail with what `error` makes.
    pub fn fail(error: impl Fn() -> RuntimeError + 'static) -> Self {
        Self::new(Harm::Fail(Box::new(error)))
    }

    /// Calls fail as if nothing answered at the socket.
    pub fn unreachable() -> Self {
        Self::fail(|| RuntimeError::Unreachable(std::io::ErrorKind::ConnectionRefused.into()))
    }

    /// Calls never come back until [`Injected::release`].
    pub fn hang() -> Self {
        Self::new(Harm::Hang)
    }

    /// Imports stand still once they have read `bytes`, until [`Injected::release`].
    pub fn stall_import(bytes: u64) -> Self {
        Self::new(Harm::Stall(bytes)).on(Op::ImportImage)
    }

    fn new(harm: Harm) -> Self {
        Self {
            op: None,
            about: None,
            nth: None,
            after: false,
            harm,
        }
    }

    /// Only calls of this kind.
    pub fn on(mut self, op: Op) -> Self {
        self.op = Some(op);
        self
    }

    /// Only calls about this subject (see [`Call::subject`]).
    pub fn about(mut self, subject: &str) -> Self {
        self.about = Some(subject.to_owned());
        self
    }

    /// Only the n-th of the calls that fit, counted from 1 and from now.
    pub fn nth(mut self, n: u64) -> Self {
        self.nth = Some(n);
        self
    }

    /// After the call had its effect: the runtime did it, but the answer is lost or late.
    pub fn after_effect(mut self) -> Self {
        self.after = true;
        self
    }

    pub(super) fn arm(self) -> Rc<Armed> {
        Rc::new(Armed {
            fault: self,
            seen: Cell::new(0),
            fired: Cell::new(0),
            released: Cell::new(false),
        })
    }
}

/// A fault or a script that is in place.
pub(super) struct Armed {
    fault: Fault,
    seen: Cell<u64>,
    fired: Cell<u64>,
    released: Cell<bool>,
}

impl Armed {
    /// Something that only counts how often it fired.
    pub(super) fn counter() -> Rc<Self> {
        Fault::hang().arm()
    }

    /// Counts a call; says whether this fault is due at it.
    pub(super) fn meets(&self, call: &Call) -> bool {
        let fits = self.fault.op.is_none_or(|op| op == call.op)
            && self.fault.about.as_ref().is_none_or(|s| *s == call.subject);
        if !fits || self.released.get() {
            return false;
        }
        self.seen.set(self.seen.get() + 1);
        self.fault.nth.is_none_or(|n| n == self.seen.get())
    }

    /// Does its harm at this point of a call: `after` its effect or before.
    pub(super) fn strike(&self, after: bool) -> Strike {
        if after != self.fault.after {
            return Strike::Pass;
        }
        match &self.fault.harm {
            Harm::Fail(error) => {
                self.fire();
                Strike::Fail(error())
            }
            Harm::Hang => {
                self.fire();
                Strike::Hang
            }
            Harm::Stall(_) => Strike::Pass,
        }
    }

    /// After how many bytes an import is to stand still.
    pub(super) fn stall_at(&self) -> Option<u64> {
        match self.fault.harm {
            Harm::Stall(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub(super) fn fire(&self) {
        self.fired.set(self.fired.get() + 1);
    }

    pub(super) fn is_released(&self) -> bool {
        self.released.get()
    }
}

pub(super) enum Strike {
    Pass,
    Fail(RuntimeError),
    Hang,
}

/// What [`super::Fake::inject`] or a script put in place. Dropping it leaves it in place.
pub struct Injected {
    armed: Rc<Armed>,
    world: Weak<RefCell<World>>,
}

impl Injected {
    pub(super) fn new(armed: Rc<Armed>, world: Weak<RefCell<World>>) -> Self {
        Self { armed, world }
    }

    /// How often it took effect. A test that injects asserts this, or it proves nothing.
    pub fn fired(&self) -> u64 {
        self.armed.fired.get()
    }

    /// Takes it away; calls that hang because of it go on.
    pub fn release(&self) {
        self.armed.released.set(true);
        if let Some(world) = self.world.upgrade() {
            world.borrow_mut().changed();
        }
    }
}
