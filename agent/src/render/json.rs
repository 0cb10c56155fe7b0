//! Answers for scripts: the views as they are, two spaces of indent; lines of logs on one line
//! each. Ends with a line feed.

use serde::Serialize;

use crate::api::{Failure, Reply, VerifyView};
use relay_api::escape;

#[derive(Serialize)]
struct Done {
    done: bool,
}

#[derive(Serialize)]
struct Error<'a> {
    error: &'a Failure,
}

#[derive(Serialize)]
struct LogLine<'a> {
    service: &'a str,
    stream: &'a str,
    at: &'a str,
    text: &'a str,
}

/// The answer.
pub(crate) fn reply(reply: &Reply) -> String {
    match reply {
        Reply::Done => pretty(&Done { done: true }),
        Reply::Applied(view) => pretty(view),
        Reply::Plan(view) => pretty(view),
        Reply::Status(view) => pretty(view),
        Reply::Containers(view) => pretty(view),
        Reply::History(view) => pretty(view),
        Reply::Doctor(view) => pretty(view),
        Reply::Enrolled(view) => pretty(view),
    }
}

/// A bundle that is in order.
pub(crate) fn verified(view: &VerifyView) -> String {
    pretty(view)
}

/// `{"error": {"code", "message", "hint"}}`
pub(crate) fn failure(failure: &Failure) -> String {
    pretty(&Error { error: failure })
}

/// `{"service", "stream", "at", "text"}`
pub(crate) fn log_line(service: &str, stream: &str, at: &str, text: &str) -> String {
    finish(serde_json::to_string(&LogLine {
        service,
        stream,
        at,
        text,
    }))
}

fn pretty(value: &impl Serialize) -> String {
    finish(serde_json::to_string_pretty(value))
}

fn finish(text: serde_json::Result<String>) -> String {
    // The views hold texts, numbers and tables keyed by text: nothing that JSON cannot say.
    let mut text = text.map_or_else(|_| "null".into(), |text| escape::json(&text).into_owned());
    text.push('\n');
    text
}
