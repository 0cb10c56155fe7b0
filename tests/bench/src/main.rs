//! `relay-bench`: a fleet of devices in one process, to load a relay with.
//!
//! `cargo xtask bench relay` starts the servers and this; each command here prints one line of
//! JSON. The server's own CPU time and memory are read from `/proc`, so it runs on the same
//! machine. Never speaks to anything but loopback: what it does to a server is an attack elsewhere.

#![forbid(unsafe_code)]

mod certificate;
mod check_in;
mod device;
mod enroll;
mod get;
mod handshake;
mod http;
mod load;
mod options;
mod peer;
mod proc;
#[cfg(test)]
mod tests;
mod verify;
mod waiting;

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::options::Options;

const HELP: &str = "\
Usage: relay-bench COMMAND [OPTIONS]

Commands, each of which prints one line of JSON:
  certificate DIR   a CA and a server certificate for 127.0.0.1 (ECDSA P-256) in DIR
  enroll            makes the devices known to the relay
  check-in          authenticated check-ins of unchanged devices, kept-alive connections
  get PATH          GET of a path, kept-alive connections
  handshake         fresh TLS handshakes
  wait              devices in a long poll: what each costs the server
  verify            Ed25519 verifications alone, on one core of this machine

Options:
  --address A       the server, 127.0.0.1:PORT
  --ca FILE         the CA of its certificate, PEM
  --pid P           a process of the server; may be given several times
  --token-file F    enroll: an operator's token
  --devices N       how many devices there are
  --connections N   how many connections at once
  --seconds N       how long
";

fn main() -> ExitCode {
    match run() {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("relay-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<String> {
    let options = Options::parse(lexopt::Parser::from_env())?;
    let line = match options.words()[..] {
        ["certificate", folder] => {
            certificate::make(folder.as_ref())?;
            serde_json::json!({})
        }
        ["enroll"] => serde_json::to_value(enroll::run(&options)?)?,
        ["check-in"] => serde_json::to_value(check_in::run(&options)?)?,
        ["get", path] => serde_json::to_value(get::run(&options, path)?)?,
        ["handshake"] => serde_json::to_value(handshake::run(&options)?)?,
        ["wait"] => serde_json::to_value(waiting::run(&options)?)?,
        ["verify"] => serde_json::to_value(verify::run(&options)?)?,
        _ => bail!("no such command\n\n{HELP}"),
    };
    Ok(line.to_string())
}
