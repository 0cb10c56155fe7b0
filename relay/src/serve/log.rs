//! Logs, on standard error: one line for each event, for people or as JSON.
//!
//! Never to standard output, which scripts read. Text from outside is logged with `?`, which
//! escapes control characters; JSON escapes them anyway.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::fmt;

use super::settings::{LogFormat, Settings};

/// Starts logging for the whole process; a second call changes nothing.
pub(crate) fn start(settings: &Settings) {
    let builder = fmt()
        .with_max_level(settings.log_level)
        .with_writer(io::stderr)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal());
    let _ = match settings.log_format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}
