//! Log lines on standard error.
//!
//! Control characters are escaped, since messages quote bundles and runtimes. No times: journald,
//! syslog and containers add their own; systemd gets the priority in front of each line
//! (sd-daemon(3)). Never logs to a file, so nothing is written to a device's disk.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::escape;

struct StandardError {
    priorities: AtomicBool,
}

static LOGGER: StandardError = StandardError {
    priorities: AtomicBool::new(false),
};

/// Logs from now on. `to_journal` puts systemd's priorities in front.
pub(crate) fn start(level: LevelFilter, to_journal: bool) {
    LOGGER.priorities.store(to_journal, Ordering::Relaxed);
    // Only fails if it was called before, and then the logger is the same.
    let _ = log::set_logger(&LOGGER);
    log::set_max_level(level);
}

impl Log for StandardError {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let line = format_line(record, self.priorities.load(Ordering::Relaxed));
            // Standard error may be gone; there is nobody to tell.
            let _ = std::io::stderr().write_all(line.as_bytes());
        }
    }

    fn flush(&self) {}
}

fn format_line(record: &Record<'_>, priorities: bool) -> String {
    let (priority, name) = match record.level() {
        Level::Error => ("<3>", "error"),
        Level::Warn => ("<4>", "warn"),
        Level::Info => ("<6>", "info"),
        Level::Debug => ("<7>", "debug"),
        Level::Trace => ("<7>", "trace"),
    };
    let message = record.args().to_string();
    let text = escape::text(&message);
    if priorities {
        format!("{priority}{text}\n")
    } else {
        format!("{name}: {text}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_whatever_it_quotes() {
        let record = |priorities| {
            format_line(
                &Record::builder()
                    .level(Level::Warn)
                    .args(format_args!("app=kiosk cause={}", "a\nb\x1b[2J"))
                    .build(),
                priorities,
            )
        };
        assert_eq!(record(false), "warn: app=kiosk cause=a\\nb\\u{1b}[2J\n");
        assert_eq!(record(true), "<4>app=kiosk cause=a\\nb\\u{1b}[2J\n");
    }
}
