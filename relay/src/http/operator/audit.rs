//! `/api/v1/audit`
//!
//! Never changes or leaves out an entry.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use relay_api::operator::AuditEntry;
use serde::Deserialize;

use super::super::Relay;
use super::ApiError;
use super::input::{self, Queried};

/// Entries on a page, unless the query says.
const LIMIT: u32 = 100;

/// `?before=ID&limit=N`
#[derive(Deserialize)]
pub(super) struct Page {
    before: Option<u64>,
    limit: Option<u32>,
}

/// A page, newest first.
pub(super) async fn page(
    State(relay): State<Arc<Relay>>,
    page: Queried<Page>,
) -> Result<Json<Vec<AuditEntry>>, ApiError> {
    let page = input::query(page)?;
    let limit = page.limit.unwrap_or(LIMIT);
    Ok(Json(relay.store.audit_page(page.before, limit).await?))
}
