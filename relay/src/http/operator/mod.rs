//! The operators' API, as the table at the top of `relay_api::operator` has it.
//!
//! [`table`] is the one place that says what each route may be used for; [`mod@guard`] enforces it, and
//! remembers what was refused. Never shows a secret after it was made.

mod audit;
mod bundles;
mod devices;
mod enroll_tokens;
mod guard;
mod input;
mod rollouts;
mod tokens;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, delete, get, patch, post};

use self::guard::{Gate, guard};
use super::Relay;
use super::error::ApiError;
use crate::domain::audit::Action;

/// Who may use a route. Roles come here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// Whoever has an operator's token that holds.
    Operator,
}

/// A route and its rule.
struct Route {
    path: &'static str,
    rule: Rule,
    /// What it does, if it changes anything: each use is remembered, refused ones too.
    action: Option<Action>,
    methods: MethodRouter<Arc<Relay>>,
}

fn reads(path: &'static str, methods: MethodRouter<Arc<Relay>>) -> Route {
    Route {
        path,
        rule: Rule::Operator,
        action: None,
        methods,
    }
}

fn does(action: Action, path: &'static str, methods: MethodRouter<Arc<Relay>>) -> Route {
    Route {
        action: Some(action),
        ..reads(path, methods)
    }
}

/// Every route below `/api/`.
fn table() -> Vec<Route> {
    use Action as A;
    vec![
        reads("/api/v1/whoami", get(tokens::whoami)),
        does(A::Publish, "/api/v1/bundles", post(bundles::publish)),
        reads("/api/v1/releases", get(bundles::releases)),
        reads("/api/v1/devices", get(devices::list)),
        reads("/api/v1/devices/{id}", get(devices::show)),
        does(
            A::DeviceRemove,
            "/api/v1/devices/{id}",
            delete(devices::remove),
        ),
        does(
            A::DeviceLabel,
            "/api/v1/devices/{id}/labels",
            patch(devices::label),
        ),
        does(
            A::DeviceSet,
            "/api/v1/devices/{id}/variables",
            patch(devices::set),
        ),
        reads("/api/v1/rollouts", get(rollouts::list)),
        does(A::RolloutStart, "/api/v1/rollouts", post(rollouts::start)),
        reads("/api/v1/rollouts/{id}", get(rollouts::show)),
        does(
            A::RolloutAbort,
            "/api/v1/rollouts/{id}/abort",
            post(rollouts::abort),
        ),
        reads("/api/v1/enroll-tokens", get(enroll_tokens::list)),
        does(
            A::EnrollTokenAdd,
            "/api/v1/enroll-tokens",
            post(enroll_tokens::add),
        ),
        does(
            A::EnrollTokenRevoke,
            "/api/v1/enroll-tokens/{id}",
            delete(enroll_tokens::revoke),
        ),
        reads("/api/v1/tokens", get(tokens::list)),
        does(A::TokenAdd, "/api/v1/tokens", post(tokens::add)),
        does(
            A::TokenRevoke,
            "/api/v1/tokens/{id}",
            delete(tokens::revoke),
        ),
        reads("/api/v1/audit", get(audit::page)),
    ]
}

/// The routes of operators, each behind its rule.
pub(super) fn routes(relay: &Arc<Relay>) -> Router<Arc<Relay>> {
    let mut router = Router::new();
    for route in table() {
        let gate = Gate {
            relay: Arc::clone(relay),
            rule: route.rule,
            action: route.action,
        };
        let methods = route.methods.layer(from_fn_with_state(gate, guard));
        router = router.route(route.path, methods);
    }
    router
}
