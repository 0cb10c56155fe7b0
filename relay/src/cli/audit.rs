//! `relay audit`

use relay_api::operator::AuditEntry;

use super::failure::Failure;
use super::remote::{ENVIRONMENT, Remote};
use super::screen::Look;
use super::table::{Column, cut, table, whole};

/// Lists who did what, and who was refused, newest first
#[derive(Debug, clap::Args)]
#[command(after_long_help = format!("\
Examples:
  relay audit
  relay audit --limit 1000 -o json | jq '.[] | select(.result != \"done\")'
  relay audit --before 4711                (the entries before that one)

{ENVIRONMENT}"))]
pub(crate) struct Args {
    /// How many entries
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,

    /// Only entries older than this one
    #[arg(long, value_name = "ID")]
    before: Option<u64>,

    #[command(flatten)]
    remote: Remote,
}

impl Args {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let (client, screen) = self.remote.open()?;
        let limit = self.limit.to_string();
        let before = self.before.map(|id| id.to_string());
        let mut query = vec![("limit", limit.as_str())];
        query.extend(before.as_deref().map(|id| ("before", id)));
        let entries: Vec<AuditEntry> = client.get(&["audit"], &query)?;
        screen.show(&entries, |look| text(&entries, look))
    }
}

const COLUMNS: [Column; 8] = [
    whole("ID"),
    whole("AT"),
    cut("WHO"),
    whole("ACTION"),
    cut("ON"),
    whole("RESULT"),
    cut("FROM"),
    cut("DETAIL"),
];

fn text(entries: &[AuditEntry], look: &Look) -> String {
    if entries.is_empty() {
        return "No entries.\n".to_string();
    }
    let rows: Vec<Vec<String>> = entries
        .iter()
        .map(|entry| {
            vec![
                entry.id.to_string(),
                look.time(&entry.at),
                entry.who.clone(),
                entry.action.clone(),
                entry.on.clone(),
                entry.result.clone(),
                entry.from.clone(),
                entry.detail.clone(),
            ]
        })
        .collect();
    table("", &COLUMNS, &rows, look.width)
}
