//! A device that refuses a bundle, and what has to stay as it is then.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use e2e::Outcome;

use crate::bench::{Bench, Container, assert_explained, exit, script};

/// A device that runs version 1 of an app, and what must stay as it is.
pub(crate) struct Device {
    pub(crate) bench: Bench,
    pub(crate) v1: PathBuf,
    pub(crate) slots: [Vec<u8>; 2],
    pub(crate) containers: BTreeMap<String, Vec<Container>>,
}

/// A service that runs for ever.
pub(crate) fn service() -> String {
    script("always", "exec sleep 100000")
}

impl Device {
    pub(crate) fn new() -> Result<Self> {
        Self::on(Bench::new()?)
    }

    pub(crate) fn on(bench: Bench) -> Result<Self> {
        let v1 = bench.install(1, &service())?;
        Ok(Self {
            v1,
            slots: bench.slots()?,
            containers: bench.containers()?,
            bench,
        })
    }

    /// Applies what must be refused.
    pub(crate) fn refuses(&self, bundle: &Path, code: i32) -> Result<Outcome> {
        let outcome = self.bench.agent.apply(bundle)?;
        assert_explained(&outcome, code)?;
        let changes = differences(&self.slots, &self.bench.slots()?);
        ensure!(
            changes.is_empty(),
            "the state changed at {changes:?}: {outcome:?}"
        );
        Ok(outcome)
    }

    /// Packs for the next version with further options, which must make it refused.
    pub(crate) fn refuses_packed(&self, option: (&str, &str), said: &str) -> Result<()> {
        let bundle = self
            .bench
            .pack_as("app", 2, "services: {}\n", &self.bench.keys, &[option])?;
        let outcome = self.refuses(&bundle, exit::REFUSED)?;
        ensure!(outcome.stderr.contains(said), "no {said:?} in {outcome:?}");
        let verify = |option| {
            self.bench
                .agent
                .run(&["verify".as_ref(), bundle.as_os_str(), option])
        };
        assert_explained(&verify("--quiet".as_ref())?, exit::REFUSED)?;
        verify("--any-target".as_ref())?.ok().map(drop)
    }

    /// What ran still runs, and the next good bundle applies.
    pub(crate) fn goes_on(self, next_seq: u64) -> Result<()> {
        assert_eq!(self.bench.containers()?, self.containers);
        self.bench.install(next_seq, &service())?;
        assert_eq!(self.bench.app()?["seq"], next_seq);
        Ok(())
    }
}

/// Where two states differ: slot and offset.
fn differences(before: &[Vec<u8>; 2], after: &[Vec<u8>; 2]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for slot in 0..2 {
        let (before, after) = (&before[slot], &after[slot]);
        let longest = before.len().max(after.len());
        let differs = |at: &usize| before.get(*at) != after.get(*at);
        found.extend((0..longest).filter(differs).map(|at| (slot, at)));
    }
    found
}
