//! How the demo speaks: numbered steps, the command as a person would type it, its output
//! indented, and what to notice.
//!
//! Never decides whether something went well.

use std::time::Instant;

use e2e::Outcome;

/// Tells the demo's steps to a person.
pub(super) struct Teller {
    step: u32,
    steps: u32,
    start: Instant,
}

impl Teller {
    /// For a demo of so many steps.
    pub(super) fn new(steps: u32) -> Self {
        Self {
            step: 0,
            steps,
            start: Instant::now(),
        }
    }

    /// A new step with its headline.
    pub(super) fn step(&mut self, headline: &str) {
        self.step += 1;
        println!("\n── {}/{} · {headline}", self.step, self.steps);
    }

    /// A sentence.
    pub(super) fn say(&self, sentence: &str) {
        println!("   {sentence}");
    }

    /// A command as a person would type it.
    pub(super) fn command(&self, line: &str) {
        println!("   $ {line}");
    }

    /// What a command printed, progress first, and its exit code if it is not 0.
    pub(super) fn output(&self, outcome: &Outcome) {
        for line in outcome.stderr.lines().chain(outcome.stdout.lines()) {
            println!("     {line}");
        }
        if outcome.code != 0 {
            println!("     (exit code {})", outcome.code);
        }
    }

    /// The first paragraph of what a command printed.
    pub(super) fn excerpt(&self, output: &str) {
        for line in output.lines().take_while(|line| !line.is_empty()) {
            println!("     {line}");
        }
        println!("     …");
    }

    /// Something that was checked and holds.
    pub(super) fn holds(&self, what: &str) {
        println!("   ✓ {what}");
    }

    /// The end.
    pub(super) fn end(&self) {
        println!("\n   Took {} s.", self.start.elapsed().as_secs());
    }
}
