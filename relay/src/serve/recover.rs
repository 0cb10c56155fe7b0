//! A new operator's token for a relay that nobody can enter any more, made beside its data folder.
//!
//! Whoever can write there owns the relay anyway. Never makes a data folder, and never touches one
//! that a relay serves: the lock says so.

use std::path::Path;

use relay_api::operator::Token;

use super::error::ServeError;
use super::first_token::random;
use super::open::{DATABASE, Lock};
use crate::domain::audit::By;
use crate::domain::token::{Kind, SECRET_BYTES, Secret};
use crate::http;
use crate::store::sqlite::SqliteStore;
use crate::store::{NewToken, Store as _};

/// Adds an operator's token called `name` to the relay whose data lies in `data`, and gives it with
/// its secret. The audit log has it as the relay's own doing. A crash in the middle leaves at most
/// a token that nobody knows.
///
/// # Errors
/// [`ServeError`]; no token was added.
pub(crate) fn recover(data: &Path, name: String, ttl_s: u64) -> Result<Token, ServeError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ServeError::Runtime)?;
    runtime.block_on(add(data, name, ttl_s))
}

async fn add(data: &Path, name: String, ttl_s: u64) -> Result<Token, ServeError> {
    let database = data.join(DATABASE);
    if !database.is_file() {
        return Err(ServeError::NoRelay(data.to_path_buf()));
    }
    let _lock = Lock::take(data)?;
    let store = SqliteStore::open(&database).await?;
    let secret = Secret::new(Kind::Operator, &random::<SECRET_BYTES>()?);
    let now = http::now();
    let token = NewToken {
        name,
        hash: secret.hash(),
        expires_at: now.saturating_add(ttl_s),
    };
    let added = store.add_token(token, &By::data_folder(), now).await;
    // Also where it was refused: the files beside the database go with the last who has it open,
    // and those of another user would keep the relay from starting.
    store.close().await;
    Ok(Token {
        token: Some(secret.as_str().to_string()),
        ..added?
    })
}
