//! Lets operators in, and remembers who was not, or was refused.
//!
//! What is done remembers itself, with what it does, in the store. Never keeps a token, and never
//! lets a flood of strangers fill the disk.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use axum::extract::Request;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tracing::warn;

use super::super::error::Why;
use super::super::trace::Who;
use super::super::{Relay, from, now};
use super::{ApiError, Rule};
use crate::domain::audit::{Action, By, Entry};
use crate::domain::token::{SecretHash, State as TokenState};
use crate::store::OperatorToken;

/// Most bytes of a token that is looked up: ours have 47.
const TOKEN_BYTES_MAX: usize = 256;

/// What a route lets through.
#[derive(Clone)]
pub(super) struct Gate {
    pub(super) relay: Arc<Relay>,
    pub(super) rule: Rule,
    pub(super) action: Option<Action>,
}

/// The operator who asks, for the handlers.
#[derive(Clone, Debug)]
pub(super) struct Operator {
    /// Who, and from where.
    pub(super) by: By,
    /// The token.
    pub(super) token: OperatorToken,
    on: Subject,
}

/// On what something is done, for the audit log: handlers say it as soon as they know.
#[derive(Clone, Debug, Default)]
struct Subject(Arc<OnceLock<String>>);

impl Operator {
    /// Says on what something is done; the first word stays.
    pub(super) fn on(&self, subject: impl ToString) {
        let _ = self.on.0.set(subject.to_string());
    }
}

/// Enforces the rule of a route.
pub(super) async fn guard(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let from = from(&request);
    let token = match admit(&gate, request.headers()).await {
        Ok(token) => token,
        Err(Shut::Store(error)) => return error.into_response(),
        Err(Shut::Out(why)) => {
            remember_stranger(&gate, from, why).await;
            return ApiError::Unauthorized.into_response();
        }
    };
    let operator = Operator {
        by: By::operator(&token.name, from),
        token,
        on: Subject::default(),
    };
    if let Some(who) = request.extensions().get::<Who>() {
        who.is(&operator.by.who);
    }
    request.extensions_mut().insert(operator.clone());
    let Some(action) = gate.action else {
        return next.run(request).await;
    };
    // In a task of its own: an operator who hangs up in the middle does not stop what was begun,
    // nor that it is remembered.
    let work = tokio::spawn(async move {
        let response = next.run(request).await;
        if let Some(entry) = refusal(action, &operator, &response) {
            keep(&gate.relay, entry).await;
        }
        response
    });
    work.await
        .unwrap_or_else(|error| ApiError::internal(error).into_response())
}

/// Why somebody is not let in.
enum Shut {
    /// For this reason.
    Out(&'static str),
    /// The store cannot say.
    Store(ApiError),
}

async fn admit(gate: &Gate, headers: &HeaderMap) -> Result<OperatorToken, Shut> {
    let shown = bearer(headers).ok_or(Shut::Out("no token"))?;
    let hash = SecretHash::of(shown);
    let token = gate.relay.store.operator_token(&hash, now()).await;
    let token = token.map_err(|error| Shut::Store(error.into()))?;
    let token = token.ok_or(Shut::Out("unknown token"))?;
    match (gate.rule, token.state) {
        (Rule::Operator, TokenState::Open) => Ok(token),
        (_, TokenState::Expired) => Err(Shut::Out("expired token")),
        (_, TokenState::Revoked | TokenState::Used) => Err(Shut::Out("revoked token")),
    }
}

/// The token of `Authorization: Bearer TOKEN` (RFC 6750, section 2.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    let fits = scheme.eq_ignore_ascii_case("bearer") && token.len() <= TOKEN_BYTES_MAX;
    fits.then_some(token)
}

async fn remember_stranger(gate: &Gate, from: IpAddr, why: &str) {
    if !gate.relay.limits.remembers(from, now()) {
        return;
    }
    let on = gate.action.map_or("read", Action::as_str);
    let by = By::nobody(from);
    let entry = Entry::refused(now(), &by, Action::Authenticate, on, why);
    keep(&gate.relay, entry).await;
}

/// The entry for something that was not done.
fn refusal(action: Action, operator: &Operator, response: &Response) -> Option<Entry> {
    let status = response.status();
    if status.is_success() {
        return None;
    }
    let why = response.extensions().get::<Why>();
    let why = why.map_or_else(|| status.to_string(), |why| why.0.clone());
    let on = operator.on.0.get().map_or("", String::as_str);
    let (now, by) = (now(), &operator.by);
    Some(if status.is_server_error() {
        Entry::failed(now, by, action, on, why)
    } else {
        Entry::refused(now, by, action, on, why)
    })
}

/// The answer stands whether or not the entry can be written; the log has it then.
async fn keep(relay: &Relay, entry: Entry) {
    if let Err(error) = relay.store.audit(entry.clone()).await {
        warn!(%error, action = entry.action.as_str(), who = ?entry.by.who, "no audit entry");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bearer_tokens_count() {
        let with = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            bearer(&headers).map(ToString::to_string)
        };
        assert_eq!(with("Bearer cop_x").as_deref(), Some("cop_x"));
        assert_eq!(with("bearer  cop_x ").as_deref(), Some("cop_x"));
        for wrong in ["cop_x", "Basic cop_x", "", "Bearer"] {
            assert_eq!(with(wrong), None, "{wrong}");
        }
        assert_eq!(with(&format!("Bearer {}", "x".repeat(257))), None);
    }
}
