//! Opening the data folder: the database, the bundles, and what requests share.
//!
//! ```text
//! relay.db            the database; relay.db-wal and relay.db-shm belong to it
//! bundles/, incoming/ see `store::folder`
//! lock                held by the relay that serves the folder
//! ```
//!
//! Never removes anything but what an earlier run left half-done.

use std::fs::{self, File};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;

use bundle::TrustStore;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use tokio_util::sync::CancellationToken;

use super::error::ServeError;
use super::first_token::random;
use super::settings::Settings;
use crate::domain::challenge::Challenges;
use crate::domain::desired::{BundleUrl, Schedule};
use crate::domain::verified::Verified;
use crate::http::Relay;
use crate::store::Store;
use crate::store::folder::BundleFolder;
use crate::store::sqlite::SqliteStore;

/// The database's file in the data folder.
pub(super) const DATABASE: &str = "relay.db";

/// Opens, or makes, the data folder.
///
/// # Errors
/// [`ServeError`]; a start after the cause was mended finds everything as it was.
pub(super) async fn open(
    settings: &Settings,
    stop: CancellationToken,
) -> Result<(Relay, Lock), ServeError> {
    let data = &settings.data;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(data)
        .map_err(ServeError::io(data))?;
    let trust = settings.keys.as_deref().map(TrustStore::load);
    let trust = trust.transpose().map_err(ServeError::Keys)?;
    // Before anything is opened, and so before anything half-done is removed.
    let lock = Lock::take(data)?;
    let database = data.join(DATABASE);
    own(&database)?;
    let store = SqliteStore::open(&database).await?;
    let folder = BundleFolder::open(data, trust, settings.bundle_bytes_max)?;
    let key = store.secret("challenges", random()?).await?;
    let relay = Relay {
        store: Arc::new(store),
        folder,
        challenges: Challenges::new(&key),
        verified: Verified::default(),
        schedule: Schedule {
            interval_s: settings.interval_s,
            long_poll_s: settings.long_poll_s,
        },
        bundle_url: settings
            .bundle_url
            .as_deref()
            .map_or_else(BundleUrl::relay, BundleUrl::elsewhere),
        stop,
        limits: crate::http::Limits::default(),
    };
    Ok((relay, lock))
}

/// Makes the database's file, if it is missing, for the relay's user only: values of variables and
/// the secret behind challenges are in it. SQLite gives the files beside it the same mode.
fn own(database: &Path) -> Result<(), ServeError> {
    let mut options = File::options();
    options.write(true).create(true).truncate(false).mode(0o600);
    options
        .open(database)
        .map(drop)
        .map_err(ServeError::io(database))
}

/// One relay at a time serves a data folder. The lock is the kernel's, and goes with the process
/// however that ends.
pub(super) struct Lock(#[expect(dead_code, reason = "held, not read")] File);

impl Lock {
    /// # Errors
    /// [`ServeError::InUse`] while another process has it.
    pub(super) fn take(data: &Path) -> Result<Self, ServeError> {
        let path = data.join("lock");
        let mut options = File::options();
        options.write(true).create(true).truncate(false);
        let file = options.open(&path).map_err(ServeError::io(&path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self(file)),
            Err(Errno::WOULDBLOCK) => Err(ServeError::InUse(data.to_path_buf())),
            Err(errno) => Err(ServeError::io(&path)(errno.into())),
        }
    }
}
