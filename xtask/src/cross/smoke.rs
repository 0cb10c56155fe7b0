//! Runs a finished binary, under emulation where the processor differs.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cross::program::Program;
use crate::cross::target::Target;
use crate::{host, shell};

/// Runs it with `--version` and `--help`; both must answer.
///
/// # Errors
/// If the emulator cannot be had, or the program does not exit with 0 or says too little.
pub(crate) fn check(program: &Program, target: &Target) -> Result<()> {
    let (name, path) = (program.name, program.dist(target));
    if let Some(emulator) = target.emulator()
        && !shell::is_installed(emulator)
    {
        host::ensure_packages()?;
    }
    for (argument, expected) in [
        ("--version", env!("CARGO_PKG_VERSION")),
        ("--help", program.help_word),
    ] {
        let mut command = match target.emulator() {
            Some(emulator) => {
                let mut command = Command::new(emulator);
                command.arg(&path);
                command
            }
            None => Command::new(&path),
        };
        let answer =
            shell::capture(command.arg(argument)).with_context(|| format!("running the {name}"))?;
        if !answer.contains(expected) {
            bail!("`{name} {argument}` does not mention {expected:?}, but says:\n{answer}");
        }
    }
    Ok(())
}
