//! `/api/v1/rollouts`
//!
//! Never picks devices: the selector does, in the store.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use bundle::VersionLabel;
use relay_api::operator::{Rollout, RolloutDetail, StartRollout};

use super::super::{Relay, now};
use super::ApiError;
use super::bundles::OfApp;
use super::guard::Operator;
use super::input::{self, Queried};
use crate::store::{NewRollout, RolloutOutcome};

/// Rollouts, newest first.
pub(super) async fn list(
    State(relay): State<Arc<Relay>>,
    of: Queried<OfApp>,
) -> Result<Json<Vec<Rollout>>, ApiError> {
    let app = input::query(of)?.name()?;
    Ok(Json(relay.store.rollouts(app.as_ref()).await?))
}

/// One of them, device by device.
pub(super) async fn show(
    State(relay): State<Arc<Relay>>,
    Path(id): Path<String>,
) -> Result<Json<RolloutDetail>, ApiError> {
    let rollout = relay.store.rollout(input::number(&id, ROLLOUT)?).await?;
    rollout.map(Json).ok_or_else(|| input::unknown(ROLLOUT, id))
}

/// Starts one.
pub(super) async fn start(
    State(relay): State<Arc<Relay>>,
    Extension(operator): Extension<Operator>,
    request: Request,
) -> Result<(StatusCode, Json<Rollout>), ApiError> {
    let asked: StartRollout = input::json(request).await?;
    let (app, version) = (input::app(&asked.app)?, &asked.version);
    let version = VersionLabel::new(version)
        .map_err(|error| ApiError::Malformed(format!("the version {version:?} is {error}")))?;
    let release = format!("{app} {version}");
    operator.on(format!("{app}@{version}"));
    let rollout = NewRollout {
        app,
        version,
        to: asked.to.parse().map_err(ApiError::malformed)?,
        skip_unfit: asked.skip_unfit,
    };
    let started = relay.store.start_rollout(rollout, &operator.by, now());
    match started.await? {
        RolloutOutcome::Started(rollout) => Ok((StatusCode::CREATED, Json(*rollout))),
        RolloutOutcome::UnknownRelease => Err(ApiError::NotFound(format!(
            "no bundle of {release} was published"
        ))),
        RolloutOutcome::NoDevices => Err(ApiError::Conflict {
            code: "no_devices",
            message: format!("{:?} means no device that {release} fits", asked.to),
            hint: "see which devices it means: relay devices -l SELECTOR",
        }),
        RolloutOutcome::Unfit(devices) => Err(ApiError::Unfit(devices)),
    }
}

/// Ends one.
pub(super) async fn abort(
    State(relay): State<Arc<Relay>>,
    Path(id): Path<String>,
    Extension(operator): Extension<Operator>,
) -> Result<Json<Rollout>, ApiError> {
    operator.on(&id);
    let number = input::number(&id, ROLLOUT)?;
    let aborted = relay
        .store
        .abort_rollout(number, &operator.by, now())
        .await?;
    aborted.map(Json).ok_or_else(|| input::unknown(ROLLOUT, id))
}

const ROLLOUT: &str = "rollout";
