//! Passwords of secret keys: from `CORACLE_KEY_PASSWORD`, or typed without echo.
//!
//! Never from a flag, which other users of the machine could read.

use std::io::{self, IsTerminal};
use std::path::Path;

const VARIABLE: &str = "CORACLE_KEY_PASSWORD";

fn from_environment() -> Option<String> {
    std::env::var(VARIABLE).ok()
}

fn prompt(text: &str) -> io::Result<String> {
    if !io::stdin().is_terminal() {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!("{VARIABLE} is not set, and there is no terminal to ask at"),
        ));
    }
    rpassword::prompt_password(text)
}

/// The password of an existing key.
pub(crate) fn existing(key: &Path) -> io::Result<String> {
    match from_environment() {
        Some(password) => Ok(password),
        None => prompt(&format!("Password of {}: ", key.display())),
    }
}

/// The password of a new key, typed twice; empty is none.
pub(crate) fn new() -> io::Result<String> {
    if let Some(password) = from_environment() {
        return Ok(password);
    }
    let password = prompt("Password for the new key (empty for none): ")?;
    if prompt("Again: ")? == password {
        Ok(password)
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the two passwords differ",
        ))
    }
}
