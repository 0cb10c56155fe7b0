//! `POST /device/v1/enroll` (clauses D20 to D24).
//!
//! Never logs or keeps a token: the store gets its hash.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use relay_api::device::{ENROLL_BYTES_MAX, EnrollAnswer, EnrollRequest, TOKEN_BYTES_MAX, decode};

use super::super::error::{ApiError, TokenState};
use super::super::{Relay, from, now};
use super::{auth, message};
use crate::domain::token::SecretHash;
use crate::store::{EnrollOutcome, Enrolment};

/// Makes a device of a token. The answer goes out after the device is stored durably; a crash
/// before leaves the token unused (D24).
pub(super) async fn enroll(
    State(relay): State<Arc<Relay>>,
    request: Request,
) -> Result<Response, ApiError> {
    let failures = &relay.limits.enrolments;
    failures
        .check(from(&request), now())
        .map_err(|retry_s| ApiError::TooMany { retry_s })?;
    let claimed = auth::claimed(&relay, request, ENROLL_BYTES_MAX).await?;
    let asked: EnrollRequest = decode(&claimed.body).map_err(ApiError::malformed)?;
    if asked.device != claimed.device {
        return Err(ApiError::malformed(
            "the body names another device than Coracle-Device",
        ));
    }
    claimed.verify(&asked.public_key)?;
    let labels = if asked.token.len() > TOKEN_BYTES_MAX {
        Err(ApiError::EnrollToken(TokenState::Unknown))
    } else {
        let enrolment = Enrolment {
            token: SecretHash::of(&asked.token),
            device: asked.device.clone(),
            public_key: asked.public_key,
            facts: asked.facts,
        };
        let from = claimed.from.to_string();
        let state = |state| Err(ApiError::EnrollToken(state));
        match relay.store.enroll(enrolment, &from, now()).await? {
            EnrollOutcome::Enrolled(labels) => Ok(labels),
            EnrollOutcome::TokenUnknown => state(TokenState::Unknown),
            EnrollOutcome::TokenExpired => state(TokenState::Expired),
            EnrollOutcome::TokenRevoked => state(TokenState::Revoked),
            EnrollOutcome::TokenUsed => state(TokenState::Used),
            EnrollOutcome::DeviceExists => Err(ApiError::DeviceExists(asked.device.to_string())),
        }
    };
    let labels = labels.inspect_err(|_| {
        failures.count(claimed.from, now());
    })?;
    Ok(message(&EnrollAnswer {
        device: asked.device,
        labels: labels.into_iter().collect(),
    }))
}
