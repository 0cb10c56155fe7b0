//! The device protocol, as `docs/device-protocol.md` specifies it; its clauses are quoted here.
//!
//! Never answers anything about one device to another.

mod auth;
mod bundle;
mod check_in;
mod enroll;
mod report;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post, put};
use relay_api::device::{
    CONTENT_TYPE, HEADER_CHALLENGE, HEADER_PROTOCOL, PATH_BUNDLES, PATH_CHALLENGE, PATH_CHECK_IN,
    PATH_ENROLL, PATH_REPORTS, PROTOCOL, encode, understands,
};
use serde::Serialize;

use super::error::ApiError;
use super::{Relay, now};

/// The routes of devices.
pub(super) fn routes() -> Router<Arc<Relay>> {
    Router::new()
        .route(PATH_CHALLENGE, get(challenge))
        .route(PATH_ENROLL, post(enroll::enroll))
        .route(PATH_CHECK_IN, post(check_in::check_in))
        .route(&format!("{PATH_REPORTS}/{{key}}"), put(report::put))
        .route(&format!("{PATH_BUNDLES}/{{file}}"), get(bundle::get))
}

/// Clauses D2 and D12: checks the version that a device speaks, and gives each answer the relay's
/// own version and a fresh challenge.
pub(super) async fn speak_protocol(
    State(relay): State<Arc<Relay>>,
    request: Request,
    next: Next,
) -> Response {
    if !request.uri().path().starts_with("/device/") {
        return next.run(request).await;
    }
    let device = auth::named(request.headers());
    let mut response = match version(request.headers()) {
        Some(version) if understands(version) => next.run(request).await,
        found => ApiError::Protocol { found }.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(HEADER_PROTOCOL, HeaderValue::from(PROTOCOL));
    // Made after the work: a challenge that lay in a long poll would be old when it comes.
    let challenge = device.map(|device| relay.challenges.make(&device, now()));
    if let Some(Ok(challenge)) = challenge.map(HeaderValue::try_from) {
        headers.insert(HEADER_CHALLENGE, challenge);
    }
    response
}

fn version(headers: &HeaderMap) -> Option<u16> {
    let text = headers.get(HEADER_PROTOCOL)?.to_str().ok()?;
    // Digits only: `+1`, which Rust would take, is no version.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// D12: the challenge itself is in a header, as always.
async fn challenge(request: Request) -> Result<StatusCode, ApiError> {
    match auth::named(request.headers()) {
        Some(_) => Ok(StatusCode::NO_CONTENT),
        None => Err(ApiError::UnknownDevice),
    }
}

/// An answer in postcard.
fn message(message: &impl Serialize) -> Response {
    let content_type = [(header::CONTENT_TYPE, CONTENT_TYPE)];
    (content_type, Body::from(encode(message))).into_response()
}
