//! Staying with a rollout until it ends: a bar on a terminal, a line at each change elsewhere.
//!
//! A relay that does not answer for a while, as during its own upgrade, is waited for.

use std::io::IsTerminal as _;
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use relay_api::escape;
use relay_api::operator::{Rollout, RolloutDetail};

use super::text::{self, Sum};
use crate::cli::failure::Failure;
use crate::cli::screen::Screen;
use crate::client::{Client, ClientError};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(2);
/// How many looks in a row may go unanswered: about two minutes.
const UNANSWERED_MAX: u32 = 60;

/// Watches a rollout until it ends, and prints how it did.
///
/// # Errors
/// A rollout that did not succeed is an error too.
pub(super) fn until_over(id: u64, client: &Client, screen: &Screen) -> Result<(), Failure> {
    let live = Live::new(screen);
    let path = ["rollouts", &id.to_string()];
    let (mut unanswered, mut shown) = (0, String::new());
    let detail = loop {
        match client.get::<RolloutDetail>(&path, &[]) {
            Ok(detail) => {
                unanswered = 0;
                let now = line(&detail.rollout);
                if now != shown {
                    live.show(&detail.rollout, &now);
                    shown = now;
                }
                if is_over(&detail.rollout) {
                    break detail;
                }
            }
            Err(error) if error.may_pass() && unanswered < UNANSWERED_MAX => {
                unanswered += 1;
                live.unanswered(&error, unanswered);
            }
            Err(error) => return Err(error.into()),
        }
        thread::sleep(LOOK);
    };
    drop(live);
    screen.show(&detail, |look| text::detail(&detail, look))?;
    verdict(&detail.rollout)
}

fn is_over(rollout: &Rollout) -> bool {
    !matches!(rollout.state.as_str(), "running" | "paused")
}

fn verdict(rollout: &Rollout) -> Result<(), Failure> {
    if rollout.state == "succeeded" {
        return Ok(());
    }
    let failure = Failure::new(format_args!(
        "rollout {} has {}: {}",
        rollout.id,
        match rollout.state.as_str() {
            "reverted" => "been reverted",
            _ => "failed",
        },
        text::progress(rollout)
    ));
    Err(failure.hint("`relay devices show ID` has the exit codes and logs of a device"))
}

fn line(rollout: &Rollout) -> String {
    let line = format!(
        "{}@{} {}: {}",
        rollout.app,
        rollout.version,
        rollout.state,
        text::progress(rollout)
    );
    escape::text(&line).into_owned()
}

/// What is seen while it goes on.
struct Live {
    bar: ProgressBar,
    lines: bool,
}

impl Live {
    fn new(screen: &Screen) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = if terminal && !screen.quiet() {
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
        } else {
            ProgressBar::hidden()
        };
        if let Ok(style) = ProgressStyle::with_template("[{bar:24}] {wide_msg} {elapsed}") {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.enable_steady_tick(Duration::from_millis(500));
        Self {
            bar,
            lines: !terminal && !screen.quiet(),
        }
    }

    fn show(&self, rollout: &Rollout, line: &str) {
        if self.lines {
            eprintln!("{line}");
        }
        let sum = Sum::of(&rollout.stages);
        self.bar.set_length(sum.targets);
        self.bar.set_position(sum.healthy + sum.failed);
        self.bar.set_message(line.to_string());
    }

    fn unanswered(&self, error: &ClientError, times: u32) {
        if self.lines && times == 1 {
            eprintln!("{error}; still trying");
        }
        self.bar.set_message(format!("{error}; still trying"));
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_success_is_one() {
        for (state, over, good) in [
            ("running", false, false),
            ("paused", false, false),
            ("succeeded", true, true),
            ("failed", true, false),
            ("reverted", true, false),
            ("of a later kind", true, false),
        ] {
            let rollout = Rollout {
                id: 1,
                app: "a".into(),
                version: "1".into(),
                to: "all".into(),
                state: state.into(),
                cause: None,
                started_at: String::new(),
                started_by: String::new(),
                ended_at: None,
                stages: Vec::new(),
            };
            assert_eq!(is_over(&rollout), over, "{state}");
            assert_eq!(verdict(&rollout).is_ok(), good, "{state}");
        }
    }
}
