//! `cargo xtask demo`: the whole way of an update, shown to a person.

use anyhow::{Result, bail};

use crate::Command;

pub(crate) const COMMAND: Command = Command {
    name: "demo",
    summary: "shows an update, a rollback and a refusal on a real podman (not yet)",
    help: "Usage: cargo xtask demo\n\nNot yet written.\n",
    run,
};

fn run(_args: lexopt::Parser) -> Result<()> {
    bail!("not yet written")
}
