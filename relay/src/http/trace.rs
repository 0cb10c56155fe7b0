//! One log line for each request: method, route, status, time, bytes, who.
//!
//! Never logs a path as it came (the route's template instead), a header, a token or a body.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::body::HttpBody as _;
use axum::extract::{MatchedPath, Request};
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;
use relay_api::device::{PATH_CHALLENGE, PATH_CHECK_IN};
use tracing::{debug, info};

use super::{Peer, health};

/// What comes all the time and says nothing new when it goes well: logged at debug. A line takes as
/// long as a tenth of a check-in.
const ROUTINE: [&str; 4] = [
    PATH_CHECK_IN,
    PATH_CHALLENGE,
    health::PATH_UP,
    health::PATH_READY,
];

/// Who asks, for the log: filled in by whatever finds it out.
#[derive(Clone, Debug, Default)]
pub(super) struct Who(Arc<OnceLock<String>>);

impl Who {
    /// Says who it is; the first word stays.
    pub(super) fn is(&self, who: impl Into<String>) {
        let _ = self.0.set(who.into());
    }
}

/// Logs each request when its answer begins.
pub(super) async fn log(mut request: Request, next: Next) -> Response {
    let start = Instant::now();
    let who = Who::default();
    request.extensions_mut().insert(who.clone());
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let from = request.extensions().get::<Peer>().copied();
    let from = from.map(|peer| peer.address(request.headers()));
    let response = next.run(request).await;
    let route = route.as_ref().map_or("-", MatchedPath::as_str);
    macro_rules! line {
        ($level:ident) => {
            $level!(
                method = ?method,
                route,
                status = response.status().as_u16(),
                ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
                bytes = bytes(&response),
                who = who.0.get().map_or("nobody", String::as_str),
                from = from.map(|from| from.to_string()).unwrap_or_default(),
                "request"
            )
        };
    }
    if response.status().is_success() && ROUTINE.contains(&route) {
        line!(debug);
    } else {
        line!(info);
    }
    response
}

/// Bytes of the answer's body, as far as they are known when it begins. A file that is streamed says
/// so in its header.
fn bytes(response: &Response) -> u64 {
    let exact = response.body().size_hint().exact();
    let header = response.headers().get(header::CONTENT_LENGTH);
    let header = header.and_then(|value| value.to_str().ok()?.parse().ok());
    exact.or(header).unwrap_or_default()
}
