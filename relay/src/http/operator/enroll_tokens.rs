//! `/api/v1/enroll-tokens`
//!
//! Never shows a token twice.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use relay_api::operator::{EnrollToken, NewEnrollToken as Asked};

use super::super::{Relay, now, secret};
use super::ApiError;
use super::guard::Operator;
use super::input;
use crate::domain::labels;
use crate::domain::token::{Kind, expires_at};
use crate::store::NewEnrollToken;

/// All of them, newest first.
pub(super) async fn list(
    State(relay): State<Arc<Relay>>,
) -> Result<Json<Vec<EnrollToken>>, ApiError> {
    Ok(Json(relay.store.enroll_tokens(now()).await?))
}

/// Makes one.
pub(super) async fn add(
    State(relay): State<Arc<Relay>>,
    Extension(operator): Extension<Operator>,
    request: Request,
) -> Result<(StatusCode, Json<EnrollToken>), ApiError> {
    let asked: Asked = input::json(request).await?;
    let now = now();
    let secret = secret(Kind::Enroll)?;
    let token = NewEnrollToken {
        labels: labels::parse(&asked.labels).map_err(ApiError::malformed)?,
        hash: secret.hash(),
        expires_at: expires_at(now, asked.ttl_s).map_err(ApiError::malformed)?,
    };
    let added = relay
        .store
        .add_enroll_token(token, &operator.by, now)
        .await?;
    let told = EnrollToken {
        token: Some(secret.as_str().to_string()),
        ..added
    };
    Ok((StatusCode::CREATED, Json(told)))
}

/// Revokes one.
pub(super) async fn revoke(
    State(relay): State<Arc<Relay>>,
    Path(id): Path<String>,
    Extension(operator): Extension<Operator>,
) -> Result<StatusCode, ApiError> {
    operator.on(&id);
    let number = input::number(&id, TOKEN)?;
    let revoked = relay.store.revoke_enroll_token(number, &operator.by, now());
    input::gone(revoked.await?, TOKEN, id)
}

const TOKEN: &str = "enrolment token";
