//! The operator's command line: one file per command.
//!
//! Results go to standard output, everything else to standard error. Exit codes: 0 done,
//! 1 failure, 2 usage; of commands that talk to a relay also 3 to 6, see `failure`.

mod audit;
mod bundle;
mod completion;
mod devices;
mod failure;
mod key;
mod login;
mod man;
mod pack;
mod password;
mod publish;
mod releases;
mod remote;
mod render;
mod rollout;
mod screen;
mod serve;
mod table;
mod time;
mod token;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// Packs and signs Coracle bundles, and brings them to devices
#[derive(Debug, Parser)]
#[command(
    name = "relay",
    version,
    arg_required_else_help = true,
    after_long_help = "\
Examples:
  Make a release key, and pack a Compose file with its images into a signed bundle:
    relay key new --out release
    relay pack compose.yaml --app kiosk --version 1.4.2 --seq 42 --arch arm64 \\
        --image web=oci-archive:web.tar --key release.key -o kiosk-1.4.2.bin

  See what is in it, and check it as a device does:
    relay bundle inspect kiosk-1.4.2.bin
    relay bundle verify --pub release.pub kiosk-1.4.2.bin

  Bring it to devices, and see what they run:
    relay login https://relay.example.com
    relay publish kiosk-1.4.2.bin
    relay rollout start kiosk@1.4.2 --to site=harbour --wait
    relay devices"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Pack(Box<pack::Args>),
    #[command(subcommand)]
    Bundle(bundle::Command),
    #[command(subcommand)]
    Key(key::Command),
    Serve(Box<serve::Args>),
    Login(login::Login),
    Logout(login::Logout),
    #[command(name = "whoami")]
    WhoAmI(login::WhoAmI),
    Publish(publish::Args),
    Releases(releases::Args),
    Devices(devices::Args),
    Rollout(rollout::Args),
    Token(token::Args),
    Audit(audit::Args),
    Completion(completion::Args),
    Man(man::Args),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no failures; clap knows which is which (2 for usage).
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let done = match cli.command {
        Command::Pack(args) => args.run(),
        Command::Bundle(command) => command.run(),
        Command::Key(command) => command.run(),
        Command::Serve(args) => args.run(),
        Command::Login(args) => args.run(),
        Command::Logout(args) => args.run(),
        Command::WhoAmI(args) => args.run(),
        Command::Publish(args) => args.run(),
        Command::Releases(args) => args.run(),
        Command::Devices(args) => args.run(),
        Command::Rollout(args) => args.run(),
        Command::Token(args) => args.run(),
        Command::Audit(args) => args.run(),
        Command::Completion(args) => args.run(&mut Cli::command()),
        Command::Man(args) => args.run(Cli::command()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
