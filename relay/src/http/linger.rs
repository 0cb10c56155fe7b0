//! Refusals that arrive: reads what a refused request still sends, and drops it.
//!
//! A connection that is closed with unread bytes in it is reset, and the answer is lost on the way:
//! a device would take a 401 or a 413 for a broken line, and try again for ever. Never keeps what it
//! reads, and reads only so much.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::BodyExt as _;
use hyper::body::{Frame, SizeHint};

use super::Relay;

/// Most bytes that are read and dropped: more than any message of a device has, and many a bundle.
const BYTES_MAX: usize = 64 << 20;
/// How long the rest may take.
const TIME: Duration = Duration::from_secs(10);

/// A body that stays reachable after its request is gone.
#[derive(Clone)]
struct Shared(Arc<Mutex<Body>>);

impl HttpBody for Shared {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Pin::new(&mut *body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        let body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        body.size_hint()
    }
}

/// Lets a refused request finish sending before it is answered.
pub(super) async fn linger(
    State(relay): State<Arc<Relay>>,
    request: Request,
    next: Next,
) -> Response {
    // Who asks first does not send before it is told to.
    if request.headers().contains_key(header::EXPECT) || request.body().is_end_stream() {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let body = Shared(Arc::new(Mutex::new(body)));
    let rest = body.clone();
    let response = next.run(Request::from_parts(parts, Body::new(body))).await;
    if !response.status().is_success() {
        tokio::select! {
            () = drain(rest) => {}
            () = tokio::time::sleep(TIME) => {}
            () = relay.stop.cancelled() => {}
        }
    }
    response
}

async fn drain(mut rest: Shared) {
    let mut bytes = 0;
    while bytes < BYTES_MAX && !rest.is_end_stream() {
        let Some(Ok(frame)) = rest.frame().await else {
            return;
        };
        bytes += frame.data_ref().map_or(0, Bytes::len);
    }
}
