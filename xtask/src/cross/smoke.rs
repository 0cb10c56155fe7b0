//! Runs a finished binary, under emulation where the processor differs.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cross::target::Target;
use crate::{host, shell};

/// Runs `agent --version` and `agent --help`; both must answer.
///
/// # Errors
/// If the emulator cannot be had, or the agent does not exit with 0 or says too little.
pub(crate) fn check(agent: &Path, target: &Target) -> Result<()> {
    if let Some(emulator) = target.emulator()
        && !shell::is_installed(emulator)
    {
        host::ensure_packages()?;
    }
    for (argument, expected) in [
        ("--version", env!("CARGO_PKG_VERSION")),
        ("--help", "apply"),
    ] {
        let mut command = match target.emulator() {
            Some(emulator) => {
                let mut command = Command::new(emulator);
                command.arg(agent);
                command
            }
            None => Command::new(agent),
        };
        let answer = shell::capture(command.arg(argument)).context("running the agent")?;
        if !answer.contains(expected) {
            bail!("`agent {argument}` does not mention {expected:?}, but says:\n{answer}");
        }
    }
    Ok(())
}
