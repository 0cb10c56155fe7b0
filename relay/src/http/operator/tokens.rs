//! `/api/v1/tokens` and `/api/v1/whoami`
//!
//! Never shows a token twice.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use bundle::Utc;
use relay_api::operator::{NewToken as Asked, Token, Whoami};

use super::super::{Relay, now, secret};
use super::ApiError;
use super::guard::Operator;
use super::input;
use crate::domain::token::{self, Kind, expires_at};
use crate::store::NewToken;

/// Who asks.
pub(super) async fn whoami(Extension(operator): Extension<Operator>) -> Json<Whoami> {
    Json(Whoami {
        name: operator.token.name,
        expires_at: Utc(operator.token.expires_at).to_string(),
        relay: env!("CARGO_PKG_VERSION").to_string(),
    })
}

/// All of them, newest first.
pub(super) async fn list(State(relay): State<Arc<Relay>>) -> Result<Json<Vec<Token>>, ApiError> {
    Ok(Json(relay.store.tokens(now()).await?))
}

/// Makes one.
pub(super) async fn add(
    State(relay): State<Arc<Relay>>,
    Extension(operator): Extension<Operator>,
    request: Request,
) -> Result<(StatusCode, Json<Token>), ApiError> {
    let asked: Asked = input::json(request).await?;
    let now = now();
    let secret = secret(Kind::Operator)?;
    let token = NewToken {
        name: token::name(asked.name).map_err(ApiError::malformed)?,
        hash: secret.hash(),
        expires_at: expires_at(now, asked.ttl_s).map_err(ApiError::malformed)?,
    };
    operator.on(&token.name);
    let added = relay.store.add_token(token, &operator.by, now).await?;
    let told = Token {
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
    let revoked = relay.store.revoke_token(number, &operator.by, now());
    input::gone(revoked.await?, TOKEN, id)
}

const TOKEN: &str = "token";
