//! The routes: from requests to `domain` and `store`, and back.
//!
//! [`device`] is the device protocol, `operator` the operators' API, both over [`Relay`], which is
//! all that requests share. Nothing of a request outlives it here: any number of relays could serve
//! one store. Never decides what a device runs, and never opens the database itself.

mod body;
mod clock;
mod device;
mod error;
mod health;
mod limit;
mod linger;
mod operator;
mod peer;
mod range;
mod trace;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::from_fn;
use axum::middleware::from_fn_with_state;
use tokio_util::sync::CancellationToken;

pub(crate) use clock::now;
pub(crate) use peer::Peer;

use self::error::ApiError;
use self::limit::Limit;
use crate::domain::challenge::Challenges;
use crate::domain::desired::{BundleUrl, Schedule};
use crate::domain::token::{Kind, SECRET_BYTES, Secret};
use crate::domain::verified::Verified;
use crate::store::Store;
use crate::store::folder::BundleFolder;

/// What requests share.
pub(crate) struct Relay {
    /// The database.
    pub(crate) store: Arc<dyn Store>,
    /// The bundles.
    pub(crate) folder: BundleFolder,
    /// What devices sign.
    pub(crate) challenges: Challenges,
    /// What of that was verified a short time ago.
    pub(crate) verified: Verified,
    /// When devices ask.
    pub(crate) schedule: Schedule,
    /// Where devices fetch bundles.
    pub(crate) bundle_url: BundleUrl,
    /// Ends what waits, when the process shall end.
    pub(crate) stop: CancellationToken,
    /// What is limited.
    pub(crate) limits: Limits,
}

/// Bounds on what strangers can make the relay do.
pub(crate) struct Limits {
    /// Enrolments that were refused, by address.
    enrolments: Limit,
    /// Entries in the audit log about operators who were not let in, by address.
    refusals: Limit,
    /// The same, from everywhere: a flood from many addresses cannot fill the disk.
    refusals_all: Limit,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            enrolments: Limit::new(30, 10),
            refusals: Limit::new(20, 60),
            refusals_all: Limit::new(500, 10),
        }
    }
}

impl Limits {
    /// Whether a refusal of this address is remembered.
    fn remembers(&self, from: IpAddr, now: u64) -> bool {
        self.refusals.count(from, now)
            && self
                .refusals_all
                .count(IpAddr::V4(Ipv4Addr::UNSPECIFIED), now)
    }
}

/// All routes.
pub(crate) fn router(relay: Arc<Relay>) -> Router {
    let known = Router::new()
        .merge(health::routes())
        .merge(device::routes())
        .merge(operator::routes(&relay))
        .fallback(|| async { ApiError::NotFound("there is no such route".to_string()) })
        .method_not_allowed_fallback(|| async { ApiError::Method });
    known
        .layer(from_fn_with_state(
            Arc::clone(&relay),
            device::speak_protocol,
        ))
        .layer(from_fn_with_state(Arc::clone(&relay), linger::linger))
        .layer(from_fn(trace::log))
        .with_state(relay)
}

/// The address that a request comes from.
fn from(request: &Request) -> IpAddr {
    let peer = request.extensions().get::<Peer>();
    peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| {
        peer.address(request.headers())
    })
}

/// A token that nobody has had before.
///
/// # Errors
/// [`ApiError::Internal`] if the system gives no randomness.
fn secret(kind: Kind) -> Result<Secret, ApiError> {
    let mut random = [0; SECRET_BYTES];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut random)
        .map_err(|_| ApiError::internal("the system gives no randomness"))?;
    Ok(Secret::new(kind, &random))
}
