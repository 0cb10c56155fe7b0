//! `cargo xtask test`: everything that must hold, in one run on a fresh machine.
//!
//! Runs every step even after a failure, so that one run shows all that is wrong; a step that
//! cannot run here says why and is listed as not run, never as ok.

mod libtest;
mod steps;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::{Command, Usage};

pub(crate) const COMMAND: Command = Command {
    name: "test",
    summary: "everything: style, lints, tests, cross builds, size budget",
    help: "\
Usage: cargo xtask test [--runtimes all]

Runs formatting, tidy, clippy, licence checks, documentation, the bare-metal build of the core,
all unit and integration tests, and the cross builds with their checks. Installs the Debian
packages, Rust components and tools that it needs, and prints what it installs.

Ends with a table of the steps, the totals of the tests, and `test: ok` or `test: FAILED`.

Options:
  --runtimes all   a test that could not run here (no podman, say) is a failure
",
    run,
};

/// What the steps need to know and what they count.
#[derive(Debug, Default)]
struct Context {
    /// From `--runtimes all`.
    all_runtimes: bool,
    /// Filled by the step that runs the tests.
    tests: libtest::Totals,
}

/// How a step ended.
#[derive(Debug, PartialEq)]
enum Outcome {
    Ok,
    /// Ok, with something to know.
    Note(String),
    NotRun(String),
    Failed(String),
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Outcome::Ok => f.write_str("ok"),
            Outcome::Note(note) => write!(f, "ok, {note}"),
            Outcome::NotRun(why) => write!(f, "not run: {why}"),
            Outcome::Failed(why) => write!(f, "FAILED: {why}"),
        }
    }
}

fn run(mut args: lexopt::Parser) -> Result<()> {
    let mut context = Context::default();
    while let Some(arg) = args.next().map_err(Usage::from)? {
        match arg {
            lexopt::Arg::Long("runtimes") => {
                let value = args.value().map_err(Usage::from)?;
                if value != "all" {
                    return Err(Usage(format!("--runtimes takes \"all\", not {value:?}")).into());
                }
                context.all_runtimes = true;
            }
            other => return Err(Usage::from(other.unexpected()).into()),
        }
    }
    let mut rows = Vec::new();
    for (name, step) in steps::STEPS {
        eprintln!("== {name}");
        let start = Instant::now();
        let outcome = match step(&mut context) {
            Ok(outcome) => outcome,
            Err(error) => Outcome::Failed(format!("{error:#}")),
        };
        eprintln!("   {name}: {outcome}");
        rows.push((*name, outcome, start.elapsed()));
    }
    print!("\n{}\n{}\n", table(&rows), context.tests);
    let failed = rows
        .iter()
        .filter(|(_, outcome, _)| matches!(outcome, Outcome::Failed(_)));
    match failed.count() {
        0 => Ok(()),
        count => bail!("{count} of {} steps failed", rows.len()),
    }
}

/// The summary: step, seconds, result.
fn table(rows: &[(&str, Outcome, Duration)]) -> String {
    let mut text = format!("{:16} {:>7}  result\n", "step", "seconds");
    for (name, outcome, duration) in rows {
        // The whole of a long error has been shown above; here its first line is enough.
        let outcome = outcome.to_string();
        let line = outcome.lines().next().unwrap_or_default();
        text.push_str(&format!(
            "{name:16} {:>7.1}  {line}\n",
            duration.as_secs_f64()
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_what_was_not_run_and_why() {
        let rows = [
            ("format", Outcome::Ok, Duration::from_millis(1240)),
            (
                "licences",
                Outcome::NotRun("no network".into()),
                Duration::ZERO,
            ),
            (
                "tests",
                Outcome::Failed("first line\nsecond".into()),
                Duration::from_secs(61),
            ),
        ];
        assert_eq!(
            table(&rows),
            "step             seconds  result\n\
             format               1.2  ok\n\
             licences             0.0  not run: no network\n\
             tests               61.0  FAILED: first line\n"
        );
    }
}
