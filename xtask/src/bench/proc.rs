//! Numbers in a process's files below `/proc`.

use std::fs;

use anyhow::{Context, Result};

/// The number behind a word in one of a process's files, as it stands there: KiB for memory.
///
/// # Errors
/// When the process has ended, or the file has no such word.
pub(super) fn field(pid: u32, file: &str, word: &str) -> Result<u64> {
    let path = format!("/proc/{pid}/{file}");
    number(&fs::read_to_string(&path).context(path)?, word)
}

/// The number behind a word that starts a line.
///
/// # Errors
/// When there is none.
pub(super) fn number(text: &str, word: &str) -> Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(word));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    number
        .and_then(|n| n.parse().ok())
        .with_context(|| format!("no {word}"))
}
