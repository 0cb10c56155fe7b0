//! What operators send: JSON bodies, queries, ids in paths.
//!
//! Never repeats a value of a body in an error: it may be a secret, and errors are kept in the
//! audit log.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request};
use axum::http::StatusCode;
use bundle::{AppName, DeviceId};
use serde::de::DeserializeOwned;

use super::super::body;
use super::ApiError;
use crate::domain::limits::VARIABLES_BYTES_MAX;

/// Most bytes of a JSON body: all values of a device, escaped.
const JSON_BYTES_MAX: usize = 2 * VARIABLES_BYTES_MAX;

/// The query of a route.
pub(super) type Queried<T> = Result<Query<T>, QueryRejection>;

/// The query, if it makes sense.
///
/// # Errors
/// [`ApiError::Malformed`].
pub(super) fn query<T>(query: Queried<T>) -> Result<T, ApiError> {
    query
        .map(|Query(query)| query)
        .map_err(|error| ApiError::malformed(error.body_text()))
}

/// The JSON body.
///
/// # Errors
/// [`ApiError::Malformed`] with the place, [`ApiError::TooLarge`], [`ApiError::Slow`].
pub(super) async fn json<T: DeserializeOwned>(request: Request) -> Result<T, ApiError> {
    let (parts, body) = request.into_parts();
    let bytes = body::read(&parts.headers, body, JSON_BYTES_MAX).await?;
    serde_json::from_slice(&bytes).map_err(|error| {
        ApiError::Malformed(format!(
            "the body is not the JSON that this route takes (line {}, column {})",
            error.line(),
            error.column()
        ))
    })
}

/// The id of a device in a path. One that no device can have is unknown.
///
/// # Errors
/// [`ApiError::NotFound`].
pub(super) fn device(text: &str) -> Result<DeviceId, ApiError> {
    DeviceId::new(text).map_err(|_| unknown_device(text))
}

/// There is no such device.
pub(super) fn unknown_device(id: &str) -> ApiError {
    ApiError::NotFound(format!("there is no device {id:?}"))
}

/// A number in a path.
///
/// # Errors
/// [`ApiError::NotFound`].
pub(super) fn number(text: &str, what: &str) -> Result<u64, ApiError> {
    text.parse().map_err(|_| unknown(what, text))
}

/// There is no such thing.
pub(super) fn unknown(what: &str, id: impl std::fmt::Display) -> ApiError {
    let id = id.to_string();
    ApiError::NotFound(format!("there is no {what} {}", id.escape_debug()))
}

/// The answer to a `DELETE`, by whether there was such a thing.
///
/// # Errors
/// [`ApiError::NotFound`].
pub(super) fn gone(
    was_there: bool,
    what: &str,
    id: impl std::fmt::Display,
) -> Result<StatusCode, ApiError> {
    was_there
        .then_some(StatusCode::NO_CONTENT)
        .ok_or_else(|| unknown(what, id))
}

/// The name of an app.
///
/// # Errors
/// [`ApiError::Malformed`].
pub(super) fn app(text: &str) -> Result<AppName, ApiError> {
    AppName::new(text).map_err(|error| ApiError::Malformed(format!("the app {text:?} is {error}")))
}
