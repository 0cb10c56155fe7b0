//! What ties this device to its relay, while the agent runs: the durable record, the way there,
//! and how the last attempt went.
//!
//! Never speaks to the relay: [`super::check_in`] does. Writes only what has changed.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use bundle::{AppName, Digest, Manifest};
use relay_api::device::{AppVariables, Desired};
use smol::Task;

use super::facts::Known;
use super::ports::Dial;
use super::{Engine, Host, failure};
use crate::api::{Failure, RelayView};
use crate::relay::{Address, DeviceKey, RemoteError, Roots, SharedRemote, Way};
use crate::state::vfs::Vfs;
use crate::state::{LinkFile, LinkRecord};
use crate::time::to_rfc3339;

/// What is said of a relay that is configured and nothing more.
pub(super) const NOT_ENROLLED: &str =
    "this device is not enrolled there: `agent enroll URL --token T`";

/// The tie to a relay.
pub(crate) struct Link {
    file: LinkFile,
    dial: Dial,
    record: RefCell<Option<LinkRecord>>,
    damaged: Cell<bool>,
    /// The way to the relay, once it was made.
    remote: RefCell<Option<SharedRemote>>,
    /// When it last answered, since the agent started: seconds since 1970-01-01 UTC.
    pub(super) contact: Cell<Option<u64>>,
    /// Why it could not be spoken to at the last attempt.
    pub(super) trouble: RefCell<Option<String>>,
    /// How often in a row it could not.
    pub(super) failures: Cell<u32>,
    /// How long it lets the next check-in wait, in seconds.
    pub(super) hold_s: Cell<u16>,
    /// Whether the device has just been enrolled.
    pub(super) fresh: Cell<bool>,
    /// The bundles that it named last.
    pub(super) desired: RefCell<Vec<Desired>>,
    /// The attempts under way, by app.
    pub(super) attempts: RefCell<BTreeMap<AppName, (Desired, Task<()>)>>,
    /// The attempts that are to be made again, by app.
    pub(super) again: RefCell<BTreeMap<AppName, Again>>,
    /// What check-ins say of committed generations.
    pub(super) known: RefCell<BTreeMap<AppName, Known>>,
    pub(super) task: RefCell<Option<Task<()>>>,
}

/// An attempt that went wrong in a way that may pass.
#[derive(Clone, Copy, Debug)]
pub(super) struct Again {
    pub(super) rollout: u64,
    pub(super) bundle: Digest,
    /// How often it was made.
    pub(super) failures: u32,
    /// When it is due, by the clock that never goes back; none once that has been.
    pub(super) due_ms: Option<u64>,
}

impl Link {
    /// The tie that is remembered in this state folder.
    pub(super) fn open(vfs: Rc<dyn Vfs>, dir: &Path, dial: Dial) -> Self {
        let file = LinkFile::new(vfs, dir.join("relay.jsonl"));
        let (record, damaged) = match file.read() {
            Ok(record) => (record, false),
            Err(_) => {
                log::error!(
                    "relay.jsonl is damaged: what runs goes on, but this device belongs to no \
                     relay until it is enrolled again"
                );
                (None, true)
            }
        };
        Self {
            file,
            dial,
            record: RefCell::new(record),
            damaged: Cell::new(damaged),
            remote: RefCell::default(),
            contact: Cell::default(),
            trouble: RefCell::default(),
            failures: Cell::default(),
            hold_s: Cell::default(),
            fresh: Cell::default(),
            desired: RefCell::default(),
            attempts: RefCell::default(),
            again: RefCell::default(),
            known: RefCell::default(),
            task: RefCell::default(),
        }
    }

    /// Whether what was remembered cannot be read.
    pub(super) fn is_damaged(&self) -> bool {
        self.damaged.get()
    }

    /// Whether the device belongs to a relay.
    pub(super) fn is_there(&self) -> bool {
        self.record.borrow().is_some()
    }

    /// What is remembered; none if the device belongs to no relay.
    pub(super) fn record(&self) -> Option<LinkRecord> {
        self.record.borrow().clone()
    }

    /// Looks at what is remembered.
    pub(super) fn look<T>(&self, look: impl FnOnce(&LinkRecord) -> T) -> Option<T> {
        self.record.borrow().as_ref().map(look)
    }

    /// Changes what is remembered, durably; writes nothing if nothing changes.
    ///
    /// # Errors
    /// What writing gives; nothing has changed then.
    pub(super) fn change(&self, change: impl FnOnce(&mut LinkRecord)) -> io::Result<()> {
        let Some(before) = self.record() else {
            return Ok(());
        };
        let mut next = before.clone();
        change(&mut next);
        if next == before {
            return Ok(());
        }
        self.put(next)
    }

    fn put(&self, mut next: LinkRecord) -> io::Result<()> {
        next.last_contact = self.contact.get().or(next.last_contact);
        self.file.write(&next)?;
        self.damaged.set(false);
        *self.record.borrow_mut() = Some(next);
        Ok(())
    }

    /// The device is known to the relay at the end of this way, from now on.
    ///
    /// # Errors
    /// What writing gives; it belongs to whichever relay it did before.
    pub(super) fn join(
        &self,
        url: String,
        ca: Option<String>,
        remote: SharedRemote,
    ) -> io::Result<()> {
        let before = self.record().filter(|before| before.url == url);
        // Another relay's rollouts and values mean nothing here.
        let before = before.unwrap_or_default();
        self.put(LinkRecord {
            url,
            ca,
            revision: 0,
            wait: None,
            ..before
        })?;
        self.desired.take();
        self.again.take();
        self.attempts.take();
        *self.remote.borrow_mut() = Some(remote);
        self.trouble.take();
        self.failures.set(0);
        self.hold_s.set(0);
        self.fresh.set(true);
        Ok(())
    }

    /// The relay's values of the variables that a bundle has; it may give others already that
    /// only the next version has.
    pub(super) fn values(&self, manifest: &Manifest) -> BTreeMap<String, String> {
        let has = |name: &str| {
            let mut schema = manifest.variables.iter();
            schema.any(|variable| variable.name.as_str() == name)
        };
        let of_app = |record: &LinkRecord| {
            let given = values_of(&record.variables, &manifest.app);
            let mut given: BTreeMap<String, String> = given
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            given.retain(|name, _| has(name));
            given
        };
        self.look(of_app).unwrap_or_default()
    }
}

/// The values that are given for an app.
pub(super) fn values_of<'a>(
    all: &'a [AppVariables],
    app: &AppName,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let of_app = all.iter().filter(move |given| given.app == *app);
    of_app.flat_map(|given| {
        let values = given.values.iter();
        values.map(|(name, value)| (name.as_str(), value.as_str()))
    })
}

impl Engine {
    /// Whether this device belongs to a relay.
    pub(crate) fn is_enrolled(&self) -> bool {
        #[cfg(test)]
        if self.enrolled.get() {
            return true;
        }
        self.link.is_there()
    }

    /// The rollout that brought, or brings, this bundle to an app; none if nobody but people did.
    pub(crate) fn rollout_of(&self, app: &AppName, bundle: &Digest) -> Option<u64> {
        let find = |record: &LinkRecord| {
            let mut newest_first = record.rollouts.iter().rev();
            newest_first
                .find(|known| known.app == *app && known.bundle == *bundle)
                .map(|known| known.rollout)
        };
        self.link.look(find).flatten()
    }

    /// Whether a relay is configured that this device does not belong to: an address alone is no
    /// enrolment.
    pub(super) fn lacks_enrolment(&self) -> bool {
        self.config.relay.is_some() && !self.is_enrolled()
    }

    /// The relay, for `status`.
    pub(super) fn relay_view(&self) -> RelayView {
        let record = self.link.record();
        let url = self.config.relay.clone();
        let stored = record.as_ref().map(|record| record.url.clone());
        let contact = self.link.contact.get();
        let contact = contact.or(record.and_then(|record| record.last_contact));
        let not_enrolled = self.lacks_enrolment().then(|| NOT_ENROLLED.to_owned());
        RelayView {
            url: url.or(stored),
            last_contact: contact.map(to_rfc3339),
            reports_waiting: u32::try_from(self.reports.count()).unwrap_or(u32::MAX),
            error: self.link.trouble.borrow().clone().or(not_enrolled),
        }
    }

    /// The way to this device's relay.
    ///
    /// # Errors
    /// [`RemoteError`]: the address, the key or the authorities cannot be used.
    pub(super) fn remote(self: &Rc<Self>) -> Result<SharedRemote, RemoteError> {
        if let Some(remote) = &*self.link.remote.borrow() {
            return Ok(Rc::clone(remote));
        }
        let unusable = |words: &str| RemoteError::Unreachable(words.to_owned());
        let record = self.link.record();
        let record = record.ok_or_else(|| unusable("this device is not enrolled"))?;
        let url = self.config.relay.as_deref().unwrap_or(&record.url);
        let address = Address::parse(url)
            .map_err(|rule| RemoteError::Unreachable(format!("its address must be {rule}")))?;
        let key = DeviceKey::open(&*self.vfs, &self.config.state_dir);
        let key = key.map_err(|e| RemoteError::Unreachable(format!("device.key: {e}")))?;
        let key = key.ok_or_else(|| unusable("device.key is gone; enrol this device again"))?;
        let remote = self.dial(address, record.ca, key);
        let remote = remote.map_err(|failed| match failed {
            DialError::Remote(error) => error,
            DialError::Facts(failure) => RemoteError::Unreachable(failure.message),
        })?;
        *self.link.remote.borrow_mut() = Some(Rc::clone(&remote));
        Ok(remote)
    }

    /// Makes the way to a relay. A configured authority beats the given one.
    ///
    /// # Errors
    /// [`DialError`].
    pub(super) fn dial(
        self: &Rc<Self>,
        address: Address,
        ca: Option<String>,
        key: DeviceKey,
    ) -> Result<SharedRemote, DialError> {
        let roots = match (&self.config.relay_ca, ca) {
            (Some(path), _) => Roots::File(path.clone()),
            (None, Some(pem)) => Roots::Given(pem),
            (None, None) => Roots::System,
        };
        let engine = Rc::downgrade(self);
        let floor = move || Weak::upgrade(&engine).map_or(0, |engine| engine.clock().floor);
        let way = Way {
            address,
            roots,
            device: self.device.clone(),
            facts: self.device_facts().map_err(DialError::Facts)?,
            key: Arc::new(key),
            proxy: self.config.proxy.clone(),
            rate_max: self.config.rate_max,
            host: Rc::clone(&self.host) as Rc<dyn Host>,
            floor: Box::new(floor),
        };
        (self.link.dial)(way).map_err(DialError::Remote)
    }
}

/// Why there is no way to a relay.
pub(super) enum DialError {
    /// It cannot be used.
    Remote(RemoteError),
    /// This device cannot say what it is.
    Facts(Failure),
}

impl From<DialError> for Failure {
    fn from(error: DialError) -> Self {
        match error {
            DialError::Remote(error) => failure::enroll(&error),
            DialError::Facts(failure) => failure,
        }
    }
}
