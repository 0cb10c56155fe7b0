//! `/api/v1/devices`
//!
//! Never names the value of a variable in an error.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use relay_api::operator::{Device, DeviceDetail, LabelChange, VariableChange};
use serde::Deserialize;

use super::super::{Relay, now};
use super::ApiError;
use super::guard::Operator;
use super::input::{self, Queried, unknown_device};
use crate::domain::labels::{self, LabelError};
use crate::domain::selector::Selector;
use crate::domain::variables::Change;
use crate::store::{LabelOutcome, VariableOutcome};

/// `?selector=S`
#[derive(Deserialize)]
pub(super) struct Which {
    selector: Option<String>,
}

/// Those that the selector means, by id.
pub(super) async fn list(
    State(relay): State<Arc<Relay>>,
    which: Queried<Which>,
) -> Result<Json<Vec<Device>>, ApiError> {
    let selector = input::query(which)?.selector;
    let selector = selector.map(|text| text.parse::<Selector>());
    let selector = selector.transpose().map_err(ApiError::malformed)?;
    Ok(Json(relay.store.devices(selector.as_ref()).await?))
}

/// One of them.
pub(super) async fn show(
    State(relay): State<Arc<Relay>>,
    Path(id): Path<String>,
) -> Result<Json<DeviceDetail>, ApiError> {
    let device = relay.store.device(&input::device(&id)?).await?;
    device.map(Json).ok_or_else(|| unknown_device(&id))
}

/// Sets labels and takes some away.
pub(super) async fn label(
    State(relay): State<Arc<Relay>>,
    Path(id): Path<String>,
    Extension(operator): Extension<Operator>,
    request: Request,
) -> Result<Json<Device>, ApiError> {
    operator.on(&id);
    let device = input::device(&id)?;
    let change: LabelChange = input::json(request).await?;
    let set = labels::parse(&change.set).map_err(ApiError::malformed)?;
    let remove = change.remove.iter().map(|name| labels::parse_name(name));
    let remove: Result<_, LabelError> = remove.collect();
    let remove = remove.map_err(ApiError::malformed)?;
    let by = &operator.by;
    let done = relay.store.label_device(&device, set, remove, by, now());
    match done.await? {
        LabelOutcome::Done(device) => Ok(Json(*device)),
        LabelOutcome::TooMany => Err(ApiError::malformed(LabelError::TooMany)),
        LabelOutcome::UnknownDevice => Err(unknown_device(&id)),
    }
}

/// Sets values of variables and takes some away.
pub(super) async fn set(
    State(relay): State<Arc<Relay>>,
    Path(id): Path<String>,
    Extension(operator): Extension<Operator>,
    request: Request,
) -> Result<Json<DeviceDetail>, ApiError> {
    operator.on(&id);
    let device = input::device(&id)?;
    let change: VariableChange = input::json(request).await?;
    let change = Change::parse(&change).map_err(ApiError::malformed)?;
    let done = relay
        .store
        .set_variables(&device, change, &operator.by, now());
    match done.await? {
        VariableOutcome::Done(detail) => Ok(Json(*detail)),
        VariableOutcome::Refused(why) => Err(ApiError::malformed(why)),
        VariableOutcome::UnknownDevice => Err(unknown_device(&id)),
    }
}

/// Removes a device.
pub(super) async fn remove(
    State(relay): State<Arc<Relay>>,
    Path(id): Path<String>,
    Extension(operator): Extension<Operator>,
) -> Result<StatusCode, ApiError> {
    operator.on(&id);
    let device = input::device(&id)?;
    match relay
        .store
        .remove_device(&device, &operator.by, now())
        .await?
    {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(unknown_device(&id)),
    }
}
