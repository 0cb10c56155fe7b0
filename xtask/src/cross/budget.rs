//! The size budget: how large each target's agent may be, from `cross/budget.toml`.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, bail};

use crate::cross::Built;
use crate::shell;

/// Bytes that each triple may take.
#[derive(Debug)]
pub(crate) struct Budget(BTreeMap<String, u64>);

/// Reads the budget.
///
/// # Errors
/// If the file is missing or not a table of triples and bytes.
pub(crate) fn read() -> Result<Budget> {
    let path = shell::root().join("cross/budget.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    parse(&text).with_context(|| format!("in {}", path.display()))
}

fn parse(text: &str) -> Result<Budget> {
    Ok(Budget(basic_toml::from_str(text)?))
}

impl Budget {
    fn of(&self, triple: &str) -> Result<u64> {
        self.0
            .get(triple)
            .copied()
            .with_context(|| format!("no size budget for {triple}"))
    }

    /// One line for a person: triple, size, budget.
    pub(crate) fn row(&self, built: &Built) -> String {
        let triple = built.target.triple;
        let bytes = built.bytes;
        match self.of(triple) {
            Ok(most) => format!(
                "{triple:32} {bytes:>9} bytes of {most:>9}, {:>3} %",
                bytes * 100 / most.max(1)
            ),
            Err(_) => format!("{triple:32} {bytes:>9} bytes, no budget"),
        }
    }

    /// Holds a binary against its budget.
    ///
    /// # Errors
    /// If it is larger, or has no budget.
    pub(crate) fn check(&self, built: &Built) -> Result<()> {
        let most = self.of(built.target.triple)?;
        if built.bytes > most {
            bail!(
                "{} is over its size budget by {} bytes; make it smaller, or say in cross/budget.toml why it may grow",
                built.target.triple,
                built.bytes - most
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cross::target::TARGETS;

    #[test]
    fn one_byte_over_is_refused() {
        let target = TARGETS[0];
        let budget = parse(&format!("{} = 1000\n", target.triple)).unwrap();
        assert!(
            budget
                .check(&Built {
                    target,
                    bytes: 1000
                })
                .is_ok()
        );
        assert!(
            budget
                .check(&Built {
                    target,
                    bytes: 1001
                })
                .is_err()
        );
    }

    #[test]
    fn every_target_has_a_budget_of_at_most_two_and_a_half_mebibytes() {
        let budget = read().unwrap();
        for target in TARGETS {
            let most = budget.of(target.triple).unwrap();
            assert!(most <= 5 * 512 * 1024, "{}: {most}", target.triple);
        }
        assert!(budget.of("m68k-unknown-linux-gnu").is_err());
    }
}
