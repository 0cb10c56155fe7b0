//! The size budget: how large each binary may be, from `cross/budget.toml`.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, bail};

use crate::cross::Built;
use crate::shell;

/// Bytes that each program may take: program → triple → bytes.
#[derive(Debug)]
pub(crate) struct Budget(BTreeMap<String, BTreeMap<String, u64>>);

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
    fn of(&self, program: &str, triple: &str) -> Result<u64> {
        let found = self.0.get(program).and_then(|of| of.get(triple));
        let found = found.copied();
        found.with_context(|| format!("no size budget for {program} on {triple}"))
    }

    /// One line for a person: program, triple, size, budget.
    pub(crate) fn row(&self, built: &Built) -> String {
        let (name, triple) = (built.program.name, built.target.triple);
        let bytes = built.bytes;
        match self.of(name, triple) {
            Ok(most) => format!(
                "{name:5}  {triple:32} {bytes:>9} bytes of {most:>9}, {:>3} %",
                bytes * 100 / most.max(1)
            ),
            Err(_) => format!("{name:5}  {triple:32} {bytes:>9} bytes, no budget"),
        }
    }

    /// Holds a binary against its budget.
    ///
    /// # Errors
    /// If it is larger, or has no budget.
    pub(crate) fn check(&self, built: &Built) -> Result<()> {
        let (name, triple) = (built.program.name, built.target.triple);
        let most = self.of(name, triple)?;
        if built.bytes > most {
            bail!(
                "{name} for {triple} is over its size budget by {} bytes; make it smaller, or say in cross/budget.toml why it may grow",
                built.bytes - most
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cross::{all, program};

    #[test]
    fn one_byte_over_is_refused() {
        let program = &program::AGENT;
        let target = program.targets()[0];
        let budget = parse(&format!("[agent]\n{} = 1000\n", target.triple)).unwrap();
        let check = |bytes| {
            budget.check(&Built {
                program,
                target,
                bytes,
            })
        };
        assert!(check(1000).is_ok());
        assert!(check(1001).is_err());
    }

    #[test]
    fn everything_that_ships_has_a_budget_within_the_projects_goals() {
        let budget = read().unwrap();
        for (program, target) in all() {
            let most = budget.of(program.name, target.triple).unwrap();
            let goal = if program.is_small { 5 << 19 } else { 12 << 20 };
            assert!(most <= goal, "{} {}: {most}", program.name, target.triple);
        }
        assert!(budget.of("agent", "m68k-unknown-linux-gnu").is_err());
    }
}
