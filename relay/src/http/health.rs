//! For whatever watches the process: `/healthz`, it is up; `/readyz`, it can do its work.
//!
//! Never needs a token, and never says why it is not ready: the log does.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::get;

use super::Relay;
use super::error::ApiError;

/// Bytes that must have room for the relay to be ready.
const PROBE_BYTES: usize = 4096;

/// The process is up.
pub(super) const PATH_UP: &str = "/healthz";
/// It can do its work.
pub(super) const PATH_READY: &str = "/readyz";

pub(super) fn routes() -> Router<Arc<Relay>> {
    Router::new()
        .route(PATH_UP, get(|| async { "ok\n" }))
        .route(PATH_READY, get(ready))
}

/// Whether the database answers, and the folder of bundles can be written.
async fn ready(State(relay): State<Arc<Relay>>) -> Result<&'static str, ApiError> {
    if relay.stop.is_cancelled() {
        return Err(ApiError::Busy);
    }
    relay.store.ready().await?;
    // The folder can be written, and the disk has room for something.
    let probe = relay.folder.receive().await?;
    probe.write(vec![0; PROBE_BYTES]).await?;
    Ok("ready\n")
}
