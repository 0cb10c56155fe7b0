//! `relay devices`

mod change;
mod list;
mod show;

use std::io::{self, BufRead as _, IsTerminal as _};

use bundle::DeviceId;
use relay_api::operator::{Device, DeviceDetail, LabelChange, VariableChange};
use reqwest::Method;

use change::{LabelEdit, VariableEdit};

use super::failure::Failure;
use super::remote::{ENVIRONMENT, Remote, labels};
use super::screen::Screen;
use crate::client::Client;

/// Lists devices, shows one, and changes what the relay says about it
///
/// Without a command, lists them.
#[derive(Debug, clap::Args)]
#[command(after_long_help = format!("\
Examples:
  relay devices
  relay devices -l site=harbour,role!=test
  relay devices show dev-7
  relay devices label dev-7 site=harbour beta-
  relay devices set dev-7 kiosk.GREETING='Good morning'

Selectors:
  all                every device
  id=dev-7           this device
  site=harbour       devices with this label
  site!=harbour      all others, also those without it
  site, !site        devices that have it, that do not
  site in (a,b)      one of several values
  site notin (a,b)   none of them
  Several with commas between must all hold: site=harbour,role=kiosk

{ENVIRONMENT}"))]
pub(crate) struct Args {
    #[command(flatten)]
    select: Select,

    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    remote: Remote,
}

/// Which devices
#[derive(Clone, Debug, clap::Args)]
struct Select {
    /// Only devices that this selector means
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Lists devices, as does `relay devices` alone
    List(Select),
    Show(Show),
    Label(Label),
    Set(Set),
    Remove(Remove),
}

/// Shows what a device runs, what it shall run, its variables, and what happened on it
#[derive(Debug, clap::Args)]
struct Show {
    /// The device
    #[arg(value_name = "ID")]
    id: DeviceId,

    /// How many of its last events; the relay tells at most 50
    #[arg(long, value_name = "N", default_value_t = 10)]
    events: usize,

    /// How many lines of the log of each container that failed
    #[arg(long, value_name = "N", default_value_t = 20)]
    lines: usize,
}

/// Sets and takes away labels
///
/// They win over those of the device's configuration and of its token. Taking one away takes the
/// token's away, too; one of the configuration comes back. A rollout that means the device now
/// brings it its release; one that no longer means it goes on there.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  relay devices label dev-7 site=harbour role=kiosk
  relay devices label dev-7 role-               (takes it away)")]
struct Label {
    /// The device
    #[arg(value_name = "ID")]
    id: DeviceId,

    /// NAME=VALUE sets a label, NAME- takes it away
    #[arg(value_name = "CHANGE", required = true)]
    changes: Vec<LabelEdit>,
}

/// Sets and takes away values of an app's variables on a device
///
/// The bundle's signed schema says which there are and what fits. A device's own configuration
/// wins over these values. A change makes a new generation of the app on the device.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  relay devices set dev-7 kiosk.SITE=Harbour kiosk.VOLUME=30
  relay devices set dev-7 kiosk.VOLUME-         (back to the default)")]
struct Set {
    /// The device
    #[arg(value_name = "ID")]
    id: DeviceId,

    /// APP.NAME=VALUE sets a value, APP.NAME- takes it away
    #[arg(value_name = "CHANGE", required = true)]
    changes: Vec<VariableEdit>,
}

/// Makes the relay forget a device, and refuse its key
///
/// Its containers keep running. To come back it enrols anew, with a new token.
#[derive(Debug, clap::Args)]
struct Remove {
    /// The device
    #[arg(value_name = "ID")]
    id: DeviceId,

    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

impl Args {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let screen = self.remote.screen();
        let (outer, command) = (self.select, self.command);
        let command = match command {
            None => Command::List(outer),
            Some(Command::List(inner)) => Command::List(Select {
                selector: inner.selector.or(outer.selector),
            }),
            Some(_) if outer.selector.is_some() => {
                return Err(Failure::usage("a selector is for lists of devices"));
            }
            Some(command) => command,
        };
        if let Command::Remove(Remove { id, yes: false }) = &command {
            confirm(id)?;
        }
        let client = self.remote.client()?;
        match command {
            Command::List(select) => {
                let query = select.selector.as_deref().map(|text| ("selector", text));
                let devices: Vec<Device> = client.get(&["devices"], query.as_slice())?;
                let all = query.is_none();
                screen.show(&devices, |look| list::text(&devices, all, look))
            }
            Command::Show(args) => {
                let device: DeviceDetail = client.get(&["devices", args.id.as_str()], &[])?;
                screen.show(&device, |look| {
                    show::text(&device, args.events, args.lines, look)
                })
            }
            Command::Label(args) => label(&client, &screen, args),
            Command::Set(args) => set(&client, &screen, args),
            Command::Remove(args) => {
                client.delete(&["devices", args.id.as_str()])?;
                screen.note(&format!(
                    "Removed {}. Its containers keep running; the relay answers it no more.",
                    args.id
                ));
                Ok(())
            }
        }
    }
}

fn label(client: &Client, screen: &Screen, args: Label) -> Result<(), Failure> {
    let mut change = LabelChange::default();
    for edit in args.changes {
        match edit {
            LabelEdit::Set(name, value) => {
                change.set.insert(name.into(), value.into());
            }
            LabelEdit::Remove(name) => change.remove.push(name.into()),
        }
    }
    let path = ["devices", args.id.as_str(), "labels"];
    let device: Device = client.send(Method::PATCH, &path, &change)?;
    screen.show(&device, |_| {
        let shown = match labels(&device.labels) {
            none if none.is_empty() => "no labels".to_string(),
            some => some,
        };
        format!("{}: {}\n", device.id, relay_api::escape::text(&shown))
    })
}

fn set(client: &Client, screen: &Screen, args: Set) -> Result<(), Failure> {
    let mut change = VariableChange::default();
    for edit in args.changes {
        match edit {
            VariableEdit::Set(app, name, value) => {
                let values = change.set.entry(app.into()).or_default();
                values.insert(name.into(), value);
            }
            VariableEdit::Remove(app, name) => change.remove.push((app.into(), name.into())),
        }
    }
    let path = ["devices", args.id.as_str(), "variables"];
    let device: DeviceDetail = client.send(Method::PATCH, &path, &change)?;
    screen.show(&device, |_| match show::variables("", &device) {
        none if none.is_empty() => format!("{}: no variables\n", device.device.id),
        some => some,
    })
}

fn confirm(id: &DeviceId) -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        return Err(
            Failure::usage("there is nobody to ask whether to remove it")
                .hint("say --yes in scripts"),
        );
    }
    eprint!("Remove {id}? It must enrol anew to come back. [y/N] ");
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    if matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
        Ok(())
    } else {
        Err(Failure::new("nothing was removed"))
    }
}
