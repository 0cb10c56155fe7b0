//! Log lines on standard error.
//!
//! Control characters are escaped, since messages quote bundles and runtimes. No times: journald,
//! syslog and containers add their own; systemd gets the priority in front of each line
//! (sd-daemon(3)). Never logs to a file, so nothing is written to a device's disk.

use std::env;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::OnceLock;

use log::{Level, LevelFilter, Log, Metadata, Record};

use relay_api::escape;

/// What reads the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    /// systemd's journal, which wants the priority in front.
    Journal,
    /// A person, who may have a progress bar on the line.
    Terminal,
    /// Anything else.
    File,
}

struct StandardError(OnceLock<Reader>);

static LOGGER: StandardError = StandardError(OnceLock::new());

/// Logs from now on.
pub(crate) fn start(level: LevelFilter) {
    let reader = if io::stderr().is_terminal() {
        Reader::Terminal
    } else if env::var_os("JOURNAL_STREAM").is_some() {
        Reader::Journal
    } else {
        Reader::File
    };
    // Both only fail if it was called before, and then the logger is the same.
    let _ = LOGGER.0.set(reader);
    let _ = log::set_logger(&LOGGER);
    log::set_max_level(level);
}

impl Log for StandardError {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let reader = self.0.get().copied().unwrap_or(Reader::File);
            let line = format_line(record, reader);
            // Standard error may be gone; there is nobody to tell.
            let _ = io::stderr().write_all(line.as_bytes());
        }
    }

    fn flush(&self) {}
}

fn format_line(record: &Record<'_>, reader: Reader) -> String {
    let (priority, name) = match record.level() {
        Level::Error => ("<3>", "error"),
        Level::Warn => ("<4>", "warn"),
        Level::Info => ("<6>", "info"),
        Level::Debug => ("<7>", "debug"),
        Level::Trace => ("<7>", "trace"),
    };
    let message = record.args().to_string();
    let text = escape::text(&message);
    match reader {
        Reader::Journal => format!("{priority}{text}\n"),
        Reader::Terminal => format!("\r\x1b[K{name}: {text}\n"),
        Reader::File => format!("{name}: {text}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_whatever_it_quotes() {
        let record = |reader| {
            format_line(
                &Record::builder()
                    .level(Level::Warn)
                    .args(format_args!("app=kiosk cause={}", "a\nb\x1b[2J"))
                    .build(),
                reader,
            )
        };
        let text = "app=kiosk cause=a\\nb\\u{1b}[2J\n";
        assert_eq!(record(Reader::File), format!("warn: {text}"));
        assert_eq!(record(Reader::Terminal), format!("\r\x1b[Kwarn: {text}"));
        assert_eq!(record(Reader::Journal), format!("<4>{text}"));
    }
}
