//! `PUT /device/v1/reports/KEY` (clauses D50 to D54).
//!
//! Never acknowledges a report before it is stored durably.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use relay_api::device::{REPORT_BYTES_MAX, Report, ReportKey, decode};

use super::super::error::ApiError;
use super::super::{Relay, now};
use super::auth;
use crate::store::ReportOutcome;

/// Takes a report in, once for each key.
pub(super) async fn put(
    State(relay): State<Arc<Relay>>,
    Path(key): Path<String>,
    request: Request,
) -> Result<StatusCode, ApiError> {
    let asked = auth::signed(&relay, request, REPORT_BYTES_MAX).await?;
    let key: ReportKey = key.parse().map_err(|_| {
        ApiError::malformed("the key of a report is 32 lower-case hexadecimal digits")
    })?;
    let report: Report = decode(&asked.body).map_err(ApiError::malformed)?;
    let stored = relay
        .store
        .put_report(&asked.device, key, &report, &asked.body, now())
        .await?;
    match stored {
        ReportOutcome::Stored | ReportOutcome::Same => Ok(StatusCode::NO_CONTENT),
        ReportOutcome::Differs => Err(ApiError::ReportDiffers),
        ReportOutcome::UnknownDevice => Err(ApiError::UnknownDevice),
    }
}
