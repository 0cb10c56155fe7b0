//! Runs the outside tools that this crate needs and turns their failures into sentences.
//!
//! Never uses a shell.

use std::io::ErrorKind;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Runs `command` to its end and returns what it wrote to stdout.
pub(crate) fn output(command: &mut Command) -> Result<Vec<u8>> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = match command.output() {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!("{program} is not installed: `cargo xtask test` installs what the tests need")
        }
        Err(error) => return Err(error).with_context(|| format!("starting {program}")),
    };
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?} failed ({}):\n{}", output.status, stderr.trim());
    }
    Ok(output.stdout)
}

/// As [`output`], for tools that write text.
pub(crate) fn text(command: &mut Command) -> Result<String> {
    String::from_utf8(output(command)?).context("a tool wrote bytes that are not UTF-8")
}
