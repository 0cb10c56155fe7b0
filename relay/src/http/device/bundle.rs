//! `GET` and `HEAD` of `/device/v1/bundles/FILE` (clauses D40 and D41).
//!
//! Streams from the disk: never has more than a chunk of a file in memory.

use std::io::SeekFrom;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bundle::Digest;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use super::super::Relay;
use super::super::error::ApiError;
use super::super::range::{Conditions, Part, part};
use super::auth;

/// Bytes that are read from the disk at once.
const CHUNK_BYTES: usize = 64 << 10;
/// The file's name is its digest: it never changes (RFC 8246).
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// Gives a device a bundle file, or a part of it.
pub(super) async fn get(
    State(relay): State<Arc<Relay>>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let method = request.method().clone();
    let headers = request.headers().clone();
    auth::signed(&relay, request, 0).await?;
    let unknown = || ApiError::NotFound("no such bundle was published".to_string());
    let digest: Digest = format!("sha256:{name}").parse().map_err(|_| unknown())?;
    if !relay.store.has_file(&digest).await? {
        return Err(unknown());
    }
    let opened = relay.folder.read(&digest).await;
    let (file, bytes) = opened.map_err(ApiError::internal)?.ok_or_else(|| {
        ApiError::internal(format!("the file of the published bundle {digest} is gone"))
    })?;
    let file = File::from_std(file);
    let etag = format!("\"{}\"", digest.hex());
    let wanted = part(conditions(&headers), &etag, bytes);
    send(file, wanted, &etag, bytes, &method).await
}

fn conditions(headers: &HeaderMap) -> Conditions<'_> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    Conditions {
        range: text(header::RANGE),
        if_range: text(header::IF_RANGE),
        if_none_match: text(header::IF_NONE_MATCH),
    }
}

async fn send(
    mut file: File,
    wanted: Part,
    etag: &str,
    bytes: u64,
    method: &Method,
) -> Result<Response, ApiError> {
    let (status, first, length) = match wanted {
        Part::Whole => (StatusCode::OK, 0, bytes),
        Part::Range { first, last } => (StatusCode::PARTIAL_CONTENT, first, last - first + 1),
        Part::NotModified => (StatusCode::NOT_MODIFIED, 0, 0),
        Part::Outside => (StatusCode::RANGE_NOT_SATISFIABLE, 0, 0),
    };
    let body = if length == 0 || method == Method::HEAD {
        Body::empty()
    } else {
        let sought = file.seek(SeekFrom::Start(first)).await;
        sought.map_err(ApiError::internal)?;
        Body::from_stream(ReaderStream::with_capacity(file.take(length), CHUNK_BYTES))
    };
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    let text = |text: String| HeaderValue::try_from(text).map_err(ApiError::internal);
    headers.insert(header::ETAG, text(etag.to_string())?);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    match wanted {
        Part::Outside => {
            headers.insert(header::CONTENT_RANGE, text(format!("bytes */{bytes}"))?);
            return Ok(response);
        }
        Part::NotModified => {}
        Part::Whole => {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        Part::Range { first, last } => {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
            let range = format!("bytes {first}-{last}/{bytes}");
            headers.insert(header::CONTENT_RANGE, text(range)?);
        }
    }
    headers.insert(header::CACHE_CONTROL, FOR_EVER);
    let content_type = HeaderValue::from_static("application/octet-stream");
    headers.insert(header::CONTENT_TYPE, content_type);
    Ok(response)
}
