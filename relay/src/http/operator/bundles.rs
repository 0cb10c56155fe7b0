//! `/api/v1/bundles` and `/api/v1/releases`
//!
//! Never has more than a chunk of a bundle in memory, and never puts one in place that is not
//! whole.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use http_body_util::BodyExt as _;
use relay_api::operator::{Published, Release};
use serde::Deserialize;

use super::super::{Relay, body, now};
use super::ApiError;
use super::guard::Operator;
use super::input::{self, Queried};
use crate::store::PublishOutcome;
use crate::store::folder::publish as publish_file;

/// How long nothing may come of a bundle that is being sent.
const SILENCE: Duration = Duration::from_secs(60);

/// Takes a bundle in. A crash, or a sender that breaks off, leaves nothing of it.
pub(super) async fn publish(
    State(relay): State<Arc<Relay>>,
    Extension(operator): Extension<Operator>,
    request: Request,
) -> Result<(StatusCode, Json<Published>), ApiError> {
    let announced = body::announced(request.headers(), relay.folder.bytes_max())?;
    let mut incoming = relay.folder.receive().await?;
    let mut body = request.into_body();
    let mut bytes = 0;
    loop {
        // An upload may take hours: it does not keep the relay from ending.
        let frame = tokio::select! {
            frame = tokio::time::timeout(SILENCE, body.frame()) => frame,
            () = relay.stop.cancelled() => return Err(ApiError::Busy),
        };
        let Some(frame) = frame.map_err(|_| ApiError::Slow)? else {
            break;
        };
        let frame = frame.map_err(|_| ApiError::malformed("the body broke off"))?;
        if let Ok(chunk) = frame.into_data() {
            bytes += u64::try_from(chunk.len()).unwrap_or(u64::MAX);
            incoming = incoming.write(chunk).await?;
        }
    }
    if announced.is_some_and(|announced| announced != bytes) {
        return Err(ApiError::malformed("the body broke off"));
    }
    let store = relay.store.as_ref();
    match publish_file(store, incoming, &operator.by, now()).await? {
        PublishOutcome::New { bundle, newest } => {
            if let Some(newest) = newest {
                tracing::warn!(
                    app = bundle.app,
                    seq = bundle.seq,
                    newest,
                    "a bundle with a higher seq is here: devices that run it do not take this one"
                );
            }
            let published = Published {
                new: true,
                bundle: *bundle,
            };
            Ok((StatusCode::CREATED, Json(published)))
        }
        PublishOutcome::Known(bundle) => {
            let published = Published {
                new: false,
                bundle: *bundle,
            };
            Ok((StatusCode::OK, Json(published)))
        }
        PublishOutcome::SeqTaken { version, digest } => Err(ApiError::Conflict {
            code: "seq_taken",
            message: format!(
                "version {version} ({digest}) has this seq already, for the same target"
            ),
            hint: "pack it again with a higher --seq: the order of an app's bundles is their seq",
        }),
    }
}

/// `?app=A`
#[derive(Deserialize)]
pub(super) struct OfApp {
    pub(super) app: Option<String>,
}

impl OfApp {
    /// The name, if one is given.
    pub(super) fn name(self) -> Result<Option<bundle::AppName>, ApiError> {
        self.app.as_deref().map(input::app).transpose()
    }
}

/// Releases, newest first.
pub(super) async fn releases(
    State(relay): State<Arc<Relay>>,
    of: Queried<OfApp>,
) -> Result<Json<Vec<Release>>, ApiError> {
    let app = input::query(of)?.name()?;
    Ok(Json(relay.store.releases(app.as_ref()).await?))
}
