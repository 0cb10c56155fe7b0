//! `relay rollout`

mod start;
mod text;
mod watch;

use relay_api::operator::{Rollout, RolloutDetail};

use super::failure::Failure;
use super::remote::{ENVIRONMENT, Remote};

/// Brings releases to devices: starts, shows, lists and aborts rollouts
#[derive(Debug, clap::Args)]
#[command(after_long_help = format!("\
Examples:
  relay rollout start kiosk@1.4.2 --to site=harbour
  relay rollout status 7 --watch
  relay rollout abort 7

{ENVIRONMENT}"))]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,

    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Start(start::Start),
    Status(Status),
    List(List),
    Abort(Abort),
}

/// Shows a rollout, device by device
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  relay rollout status 7
  relay rollout status 7 --watch && echo everywhere")]
struct Status {
    /// The rollout
    #[arg(value_name = "ID")]
    id: u64,

    /// Stay until it ends: exit code 0 if it succeeded, 1 if not
    #[arg(short, long)]
    watch: bool,
}

/// Lists rollouts, newest first
#[derive(Debug, clap::Args)]
struct List {
    /// Only this app's
    #[arg(value_name = "APP")]
    app: Option<String>,
}

/// Ends a rollout: no further device begins
///
/// Devices that run the release keep it, and one that is in the middle of its update finishes it.
#[derive(Debug, clap::Args)]
struct Abort {
    /// The rollout
    #[arg(value_name = "ID")]
    id: u64,
}

impl Args {
    pub(crate) fn run(self) -> Result<(), Failure> {
        // A file is looked at before anybody is asked.
        let command = match self.command {
            Command::Start(args) => {
                let what = args.what()?;
                let (client, screen) = self.remote.open()?;
                return args.run(what, &client, &screen);
            }
            command => command,
        };
        let (client, screen) = self.remote.open()?;
        match command {
            Command::Start(_) => Ok(()),
            Command::Status(args) if args.watch => watch::until_over(args.id, &client, &screen),
            Command::Status(args) => {
                let rollout: RolloutDetail =
                    client.get(&["rollouts", &args.id.to_string()], &[])?;
                screen.show(&rollout, |look| text::detail(&rollout, look))
            }
            Command::List(args) => {
                let query = args.app.as_deref().map(|app| ("app", app));
                let rollouts: Vec<Rollout> = client.get(&["rollouts"], query.as_slice())?;
                screen.show(&rollouts, |look| text::list(&rollouts, look))
            }
            Command::Abort(args) => {
                let rollout: Rollout = client.post(&["rollouts", &args.id.to_string(), "abort"])?;
                screen.show(&rollout, |look| text::rollout(&rollout, look))
            }
        }
    }
}
