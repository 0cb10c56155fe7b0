//! Why the store cannot do what it is asked.
//!
//! Never holds what an operator could have done differently: those are outcomes.

use std::fmt;
use std::io;
use std::sync::Arc;

/// Why the database did not work. Nothing was changed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub(crate) enum StoreError {
    /// The disk has no room. Reading goes on; writing works again when there is room.
    Full,
    /// Another process holds the database for longer than the store waits.
    Busy,
    /// The store was closed.
    Closed,
    /// The database holds something that this program did not write: what, and where.
    Corrupt(&'static str),
    /// The database was made by a newer relay, or changed by hand.
    Migration(Arc<sqlx::migrate::MigrateError>),
    /// Something else that the database says.
    Database(Arc<sqlx::Error>),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str(
                "the disk of the relay's data folder is full: make room, then try again",
            ),
            Self::Busy => f.write_str(
                "the database is in use by another process: let one relay serve a data folder",
            ),
            Self::Closed => f.write_str("the relay is shutting down"),
            Self::Corrupt(what) => write!(
                f,
                "the database is damaged ({what}): restore it from a backup"
            ),
            Self::Migration(error) => write!(
                f,
                "the database does not fit this relay ({error}): use the newest relay that has \
                 served this data folder"
            ),
            Self::Database(error) => write!(f, "the database failed: {error}"),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Migration(error) => Some(error.as_ref()),
            Self::Database(error) => Some(error.as_ref()),
            _ => None,
        }
    }
}

/// SQLite's primary result codes (<https://www.sqlite.org/rescode.html>); the extended ones have
/// them in their low byte.
const SQLITE_BUSY: u32 = 5;
const SQLITE_FULL: u32 = 13;

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Io(cause) if cause.kind() == io::ErrorKind::StorageFull => Self::Full,
            sqlx::Error::PoolClosed => Self::Closed,
            sqlx::Error::Database(cause) => {
                let code = cause.code().and_then(|code| code.parse::<u32>().ok());
                match code.map(|code| code & 0xff) {
                    Some(SQLITE_FULL) => Self::Full,
                    Some(SQLITE_BUSY) => Self::Busy,
                    _ => Self::Database(Arc::new(error)),
                }
            }
            _ => Self::Database(Arc::new(error)),
        }
    }
}

impl From<sqlx::migrate::MigrateError> for StoreError {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        Self::Migration(Arc::new(error))
    }
}
