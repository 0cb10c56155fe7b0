//! What the store holds in memory, so that a check-in that says nothing new asks no disk: devices as
//! they last checked in, with what was meant for them; and when they were seen.
//!
//! Changed by the writer only, in the order of its transactions, after each is durable; so an entry
//! is never older than what a caller has been told.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bundle::{DeviceId, Digest};

use crate::domain::desired::Meant;

/// A device as it last checked in.
#[derive(Clone)]
pub(super) struct Cached {
    /// Its row.
    pub(super) no: i64,
    /// Its public key.
    pub(super) public_key: [u8; 32],
    /// SHA-256 over what it said.
    pub(super) said: Digest,
    /// What was meant for it then.
    pub(super) meant: Arc<Meant>,
}

/// What a transaction changes here.
pub(super) enum CacheChange {
    /// The device is as this says.
    Put(DeviceId, Cached),
    /// Something about the device has changed.
    Forget(DeviceId),
}

/// See the module.
pub(super) struct Cache {
    revision: AtomicU64,
    devices: Mutex<HashMap<DeviceId, (u64, Cached)>>,
    /// When devices were seen that is not written yet, by row.
    seen: Mutex<HashMap<i64, u64>>,
}

impl Cache {
    /// Empty, at this revision.
    pub(super) fn new(revision: u64) -> Self {
        Self {
            revision: AtomicU64::new(revision),
            devices: Mutex::default(),
            seen: Mutex::default(),
        }
    }

    /// The device, if what is meant for it is still so.
    pub(super) fn current(&self, id: &DeviceId) -> Option<Cached> {
        let revision = self.revision.load(Ordering::Acquire);
        match lock(&self.devices).get(id) {
            Some((of, cached)) if *of == revision => Some(cached.clone()),
            _ => None,
        }
    }

    /// The public key of the device.
    pub(super) fn public_key(&self, id: &DeviceId) -> Option<[u8; 32]> {
        let devices = lock(&self.devices);
        devices.get(id).map(|(_, cached)| cached.public_key)
    }

    /// The device was seen.
    pub(super) fn see(&self, no: i64, now: u64) {
        lock(&self.seen).insert(no, now);
    }

    /// When the device was seen, if that is not written yet.
    pub(super) fn seen(&self, no: i64) -> Option<u64> {
        lock(&self.seen).get(&no).copied()
    }

    pub(super) fn has_seen(&self) -> bool {
        !lock(&self.seen).is_empty()
    }

    /// What is to be written of it, if it is time.
    pub(super) fn take_seen(&self, due: bool) -> Vec<(i64, u64)> {
        if !due {
            return Vec::new();
        }
        lock(&self.seen).drain().collect()
    }

    /// It could not be written.
    pub(super) fn give_back(&self, seen: Vec<(i64, u64)>) {
        let mut newer = lock(&self.seen);
        for (no, at) in seen {
            newer.entry(no).or_insert(at);
        }
    }

    /// A transaction is durable. What it has put is of the revision before its own change, if it
    /// made one: then the devices come again.
    pub(super) fn apply(&self, changes: impl Iterator<Item = CacheChange>) {
        let revision = self.revision.load(Ordering::Acquire);
        let mut devices = lock(&self.devices);
        for change in changes {
            match change {
                CacheChange::Put(id, cached) => devices.insert(id, (revision, cached)),
                CacheChange::Forget(id) => devices.remove(&id),
            };
        }
    }

    pub(super) fn set_revision(&self, revision: u64) {
        self.revision.store(revision, Ordering::Release);
    }
}

/// The maps are whole after each statement, so a panic elsewhere harms none.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
