//! `cargo xtask bench`: figures that README and docs quote, measured on the real thing.
//!
//! Prints; never judges. A time depends on the machine, so none is a test's business.

mod idle;
mod proc;
mod relay;

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;

use crate::{Command, Usage};

pub(crate) const COMMAND: Command = Command {
    name: "bench",
    summary: "figures: the agent while idle, the relay under load",
    help: "\
Usage: cargo xtask bench idle [--seconds N] [--json]
       cargo xtask bench relay [--seconds N] [--devices N] [--relay PATH] [--json]

idle: the agent as it ships (static, for this machine) supervises the demo's three containers on a
podman of its own, enrolled at a relay of its own, which it asks once a minute; after version 1 has
come over HTTPS and settled, what it takes: PSS and RSS (smaps_rollup), the peak RSS so far (with the
update), bytes that it wrote and times that it woke within N seconds (60), and beside it the PSS of
podman's own service. Needs root.

relay: the relay as it ships (static, for this machine) on loopback, with devices that are enrolled
through the front door: signed check-ins over TLS, beside a no-op of the same relay and beside
nginx; devices that wait for news; fresh TLS handshakes beside nginx; its size, and its memory at
rest. Three rounds of N seconds (5) for each load. docs/performance.md says what it means.

Options:
  --seconds N   how long to watch, or to load
  --devices N   relay: how many devices there are (2000)
  --relay PATH  relay: measure this binary instead of building the one that ships
  --json        prints one JSON object and nothing else on stdout
",
    run,
};

/// What the command line says.
#[derive(Default)]
struct Options {
    seconds: Option<u64>,
    devices: Option<usize>,
    relay: Option<PathBuf>,
    json: bool,
}

fn run(mut args: lexopt::Parser) -> Result<()> {
    let (mut options, mut name) = (Options::default(), None);
    while let Some(arg) = args.next().map_err(Usage::from)? {
        match arg {
            lexopt::Arg::Long("json") => options.json = true,
            lexopt::Arg::Long("seconds") => options.seconds = Some(number(&mut args, "--seconds")?),
            lexopt::Arg::Long("devices") => options.devices = Some(number(&mut args, "--devices")?),
            lexopt::Arg::Long("relay") => {
                options.relay = Some(args.value().map_err(Usage::from)?.into());
            }
            lexopt::Arg::Value(value) if name.is_none() => name = Some(value),
            other => return Err(Usage::from(other.unexpected()).into()),
        }
    }
    match name.as_ref().and_then(|name: &OsString| name.to_str()) {
        Some("idle") if options.devices.is_some() || options.relay.is_some() => {
            Err(Usage("idle takes neither --devices nor --relay".to_owned()).into())
        }
        Some("idle") => idle::run(options.seconds.unwrap_or(60), options.json),
        Some("relay") => relay::run(&options),
        _ => Err(Usage("which one? There are: idle, relay".to_owned()).into()),
    }
}

fn number<T: std::str::FromStr>(args: &mut lexopt::Parser, name: &str) -> Result<T, Usage> {
    let value = args.value().map_err(Usage::from)?;
    let parsed = value.to_string_lossy().parse();
    parsed.map_err(|_| Usage(format!("{name} takes a number")))
}
