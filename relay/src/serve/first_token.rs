//! The first operator's token: without it nobody could make another.
//!
//! Told before it is stored, so that a crash in between never makes a relay that nobody can enter:
//! the next start tells another one. Never told again.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tracing::info;

use super::error::ServeError;
use crate::domain::audit::By;
use crate::domain::token::{Kind, SECRET_BYTES, Secret};
use crate::http::{self, Relay};
use crate::store::NewToken;

/// Who uses it.
const NAME: &str = "admin";
/// How long it can be used, in seconds: a year.
const TTL_S: u64 = 365 * 86_400;

/// A token that is told, and not stored yet.
pub(super) struct FirstToken {
    secret: Secret,
    file: bool,
}

/// Makes the token if the store has never had one, and writes it into the file, if there shall be
/// one.
///
/// # Errors
/// [`ServeError`] if it cannot be told.
pub(super) async fn make(
    relay: &Relay,
    file: Option<&Path>,
) -> Result<Option<FirstToken>, ServeError> {
    if !relay.store.tokens(http::now()).await?.is_empty() {
        return Ok(None);
    }
    let secret = Secret::new(Kind::Operator, &random::<SECRET_BYTES>()?);
    if let Some(path) = file {
        write(path, secret.as_str())?;
    }
    let file = file.is_some();
    Ok(Some(FirstToken { secret, file }))
}

impl FirstToken {
    /// Prints it, unless it is in a file; then stores it.
    ///
    /// # Errors
    /// [`ServeError::Store`].
    pub(super) async fn store(self, relay: &Relay) -> Result<(), ServeError> {
        if !self.file {
            print(self.secret.as_str());
        }
        let now = http::now();
        let token = NewToken {
            name: NAME.to_string(),
            hash: self.secret.hash(),
            expires_at: now + TTL_S,
        };
        relay
            .store
            .add_first_token(token, &By::relay(), now)
            .await?;
        let days = TTL_S / 86_400;
        info!(name = NAME, days, "made the first operator's token");
        Ok(())
    }
}

fn print(secret: &str) {
    let mut out = std::io::stdout();
    let _ = writeln!(out, "admin token, shown only now: {secret}").and_then(|()| out.flush());
}

/// Writes the file whole, readable for its owner only.
fn write(path: &Path, secret: &str) -> Result<(), ServeError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new()
        .permissions(fs::Permissions::from_mode(0o600))
        .tempfile_in(folder)
        .map_err(ServeError::io(path))?;
    writeln!(file, "{secret}").map_err(ServeError::io(path))?;
    file.as_file().sync_all().map_err(ServeError::io(path))?;
    let kept = file.persist(path);
    kept.map_err(|error| ServeError::io(path)(error.error))?;
    Ok(())
}

/// Random bytes.
pub(super) fn random<const N: usize>() -> Result<[u8; N], ServeError> {
    let mut bytes = [0; N];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes)
        .map_err(|_| ServeError::Random)?;
    Ok(bytes)
}
