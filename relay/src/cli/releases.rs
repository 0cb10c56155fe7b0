//! `relay releases`

use relay_api::operator::{Bundle, Release};

use super::failure::Failure;
use super::remote::{ENVIRONMENT, Remote};
use super::render;
use super::screen::Look;
use super::table::{Column, cut, table, whole};

/// Lists what was published, newest first
#[derive(Debug, clap::Args)]
#[command(after_long_help = format!("\
Examples:
  relay releases
  relay releases kiosk -o json | jq -r '.[0].version'

{ENVIRONMENT}"))]
pub(crate) struct Args {
    /// Only this app's
    #[arg(value_name = "APP")]
    app: Option<String>,

    #[command(flatten)]
    remote: Remote,
}

impl Args {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let (client, screen) = self.remote.open()?;
        let query = self.app.as_deref().map(|app| ("app", app));
        let releases: Vec<Release> = client.get(&["releases"], query.as_slice())?;
        screen.show(&releases, |look| text(&releases, self.app.as_deref(), look))
    }
}

const COLUMNS: [Column; 7] = [
    whole("RELEASE"),
    whole("SEQ"),
    whole("ARCH"),
    whole("SIZE"),
    whole("PUBLISHED"),
    cut("BY"),
    cut("FOR"),
];

fn text(releases: &[Release], app: Option<&str>, look: &Look) -> String {
    if releases.is_empty() {
        let of = app.map(|app| format!(" of {app}")).unwrap_or_default();
        return format!("No releases{of} yet: `relay publish BUNDLE` brings one.\n");
    }
    let bundles = releases.iter().flat_map(|release| &release.bundles);
    let rows: Vec<Vec<String>> = bundles
        .map(|bundle| {
            vec![
                format!("{}@{}", bundle.app, bundle.version),
                bundle.seq.to_string(),
                bundle.arch.clone(),
                render::bytes(bundle.bytes),
                look.time(&bundle.published_at),
                bundle.published_by.clone(),
                target(bundle),
            ]
        })
        .collect();
    table("", &COLUMNS, &rows, look.width)
}

/// Which devices a bundle is for, beside the architecture.
pub(super) fn target(bundle: &Bundle) -> String {
    let mut text = format!("fleet {}", bundle.fleet);
    if !bundle.classes.is_empty() {
        text += &format!(", class {}", bundle.classes.join(" or "));
    }
    match &bundle.devices[..] {
        [] => {}
        [device] => text += &format!(", device {device}"),
        devices => text += &format!(", {} devices", devices.len()),
    }
    text
}
