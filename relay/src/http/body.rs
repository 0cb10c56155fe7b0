//! Reading request bodies: bounded in bytes and in time.
//!
//! Never takes more memory than the bound, whatever the request says of its length.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::error::ApiError;

/// How long a small body may take. A device on a slow line sends 256 KiB at 70 kbit/s in this time.
const BODY: Duration = Duration::from_secs(30);

/// Refuses a body that says that it is too long, before it is read (clause D4).
pub(super) fn announced(headers: &HeaderMap, bytes_max: u64) -> Result<Option<u64>, ApiError> {
    let Some(length) = headers.get(header::CONTENT_LENGTH) else {
        return Ok(None);
    };
    let length = length.to_str().ok().and_then(|text| text.parse().ok());
    let length: u64 = length.ok_or_else(|| ApiError::malformed("Content-Length is no number"))?;
    if length > bytes_max {
        return Err(ApiError::TooLarge { bytes_max });
    }
    Ok(Some(length))
}

/// The whole body, of at most so many bytes.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
) -> Result<Bytes, ApiError> {
    let bound = u64::try_from(bytes_max).unwrap_or(u64::MAX);
    announced(headers, bound)?;
    match tokio::time::timeout(BODY, Limited::new(body, bytes_max).collect()).await {
        Err(_) => Err(ApiError::Slow),
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(ApiError::TooLarge { bytes_max: bound })
        }
        // Nobody hears this: the connection has broken.
        Ok(Err(_)) => Err(ApiError::malformed("the body broke off")),
    }
}
