//! `cargo xtask size`: the size of each target's agent, freshly built.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::cross::program::AGENT;
use crate::cross::{self, budget};
use crate::{Command, Usage};

pub(crate) const COMMAND: Command = Command {
    name: "size",
    summary: "the size of each target's agent",
    help: "\
Usage: cargo xtask size [--json]

Builds the agent for all targets (as `cargo xtask cross` does; nothing to do if it is current) and
prints the size of each in bytes. Does not fail on the size budget; `cross` does.

Options:
  --json   prints {\"<triple>\": bytes, …} and nothing else on stdout
",
    run,
};

fn run(mut args: lexopt::Parser) -> Result<()> {
    let mut json = false;
    while let Some(arg) = args.next().map_err(Usage::from)? {
        match arg {
            lexopt::Arg::Long("json") => json = true,
            other => return Err(Usage::from(other.unexpected()).into()),
        }
    }
    let agents: Vec<_> = AGENT.targets().into_iter().map(|t| (&AGENT, t)).collect();
    let built = cross::build_and_check(&agents)?;
    if json {
        let sizes: BTreeMap<&str, u64> = built
            .iter()
            .map(|built| (built.target.triple, built.bytes))
            .collect();
        println!("{}", serde_json::to_string(&sizes)?);
    } else {
        let budget = budget::read()?;
        for built in &built {
            println!("{}", budget.row(built));
        }
    }
    Ok(())
}
