//! Reads what `cargo test -- --show-output` prints: totals, and tests that say "not run".

use std::fmt;

/// Sums of all `test result:` lines.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) struct Totals {
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) ignored: usize,
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.ignored > 0 {
            write!(f, ", {} skipped", self.ignored)?;
        }
        Ok(())
    }
}

/// Whether a line is for the person who watches.
#[derive(Debug, PartialEq)]
pub(super) enum Show {
    Yes,
    /// Output of a test that passed.
    No,
}

/// The state of reading, line by line.
#[derive(Debug, Default)]
pub(super) struct Output {
    pub(super) totals: Totals,
    /// The lines of passing tests that begin with "not run:".
    pub(super) not_run: Vec<String>,
    is_in_successes: bool,
}

impl Output {
    /// Takes the next line.
    pub(super) fn read(&mut self, line: &str) -> Show {
        if let Some(result) = line.strip_prefix("test result: ") {
            self.is_in_successes = false;
            self.totals.passed += count(result, "passed");
            self.totals.failed += count(result, "failed");
            self.totals.ignored += count(result, "ignored");
            return Show::Yes;
        }
        match line {
            "successes:" => self.is_in_successes = true,
            "failures:" => self.is_in_successes = false,
            _ => {}
        }
        if line.starts_with("not run:") {
            self.not_run.push(line.to_owned());
            return Show::Yes;
        }
        if self.is_in_successes {
            Show::No
        } else {
            Show::Yes
        }
    }
}

/// The number before `word` in "ok. 3 passed; 0 failed; …".
fn count(result: &str, word: &str) -> usize {
    let words: Vec<&str> = result.split([' ', ';']).collect();
    let number = words
        .windows(2)
        .find(|pair| pair[1] == word)
        .map(|pair| pair[0]);
    number
        .and_then(|number| number.parse().ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "\
running 3 tests
test a ... ok
test b ... ok
test c ... FAILED

successes:

---- a stdout ----
chatter
not run: podman is not installed

successes:
    a
    b

failures:

---- c stdout ----
assertion failed

failures:
    c

test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s
test result: ok. 40 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s
";

    #[test]
    fn totals_are_summed_and_not_run_is_kept() {
        let mut output = Output::default();
        let shown: Vec<&str> = SAMPLE
            .lines()
            .filter(|line| output.read(line) == Show::Yes)
            .collect();
        assert_eq!(
            output.totals,
            Totals {
                passed: 42,
                failed: 1,
                ignored: 1
            }
        );
        assert_eq!(output.totals.to_string(), "42 passed, 1 failed, 1 skipped");
        assert_eq!(output.not_run, ["not run: podman is not installed"]);
        assert!(shown.contains(&"assertion failed"));
        assert!(shown.contains(&"not run: podman is not installed"));
        assert!(!shown.contains(&"chatter"));
    }
}
