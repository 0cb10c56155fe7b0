//! `POST /device/v1/check-in` (clauses D30 to D36).
//!
//! Never holds an answer back longer than the device and the operator want, and never while the
//! relay ends.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use bundle::DeviceId;
use relay_api::device::{Answer, CHECK_IN_BYTES_MAX, CheckIn, decode};
use tokio::time::Instant;

use super::super::error::ApiError;
use super::super::{Relay, now};
use super::{auth, message};
use crate::domain::desired::{self, Meant};

/// Takes in what a device is, and tells it what it shall run.
pub(super) async fn check_in(
    State(relay): State<Arc<Relay>>,
    request: Request,
) -> Result<Response, ApiError> {
    // In a box that goes when it is done, the body with it: a device that waits shall cost little
    // memory.
    let taken = Box::pin(async {
        let asked = auth::signed(&relay, request, CHECK_IN_BYTES_MAX).await?;
        let sent: CheckIn = decode(&asked.body).map_err(ApiError::malformed)?;
        let stored = relay
            .store
            .check_in(&asked.device, &sent.facts, &sent.apps, now())
            .await?;
        let meant = stored.ok_or(ApiError::UnknownDevice)?.meant;
        Ok::<_, ApiError>((asked.device, sent.seen, sent.wait_s, meant))
    });
    let (device, seen, wait_s, meant) = taken.await?;
    let wait_s = wait_s.min(relay.schedule.long_poll_s);
    let answer = answer(&relay, &meant);
    drop(meant);
    if answer.revision != seen || wait_s == 0 {
        return Ok(message(&answer));
    }
    drop(answer);
    let wait = Duration::from_secs(wait_s.into());
    Ok(message(&hold(&relay, &device, seen, wait).await?))
}

fn answer(relay: &Relay, meant: &Meant) -> Answer {
    desired::answer(meant, relay.schedule, &relay.bundle_url, now())
}

/// Waits until the answer is another one than `seen`, or the time is over (D32).
async fn hold(
    relay: &Relay,
    device: &DeviceId,
    seen: u64,
    wait: Duration,
) -> Result<Answer, ApiError> {
    let until = Instant::now() + wait;
    let mut changes = relay.store.changes();
    tracing::debug!(%device, "waits for news");
    loop {
        // Marked as seen before it is asked, so that no change falls between the two.
        changes.borrow_and_update();
        let meant = relay.store.meant(device).await?;
        let meant = meant.ok_or(ApiError::UnknownDevice)?;
        let answer = answer(relay, &meant);
        if answer.revision != seen {
            return Ok(answer);
        }
        let woken = tokio::select! {
            changed = changes.changed() => changed.is_ok(),
            () = tokio::time::sleep_until(until) => false,
            () = relay.stop.cancelled() => false,
        };
        if !woken {
            return Ok(Answer {
                now: now(),
                ..answer
            });
        }
    }
}
