//! `agent plan`: what would change.

use super::quantity::bytes;
use super::table::{Cell, plain, table};
use super::{Style, Tone};
use crate::api::PlanView;
use relay_api::escape::text;

/// What would change, and what it would cost.
pub(super) fn plan(plan: &PlanView, style: Style) -> String {
    let from = match &plan.from {
        Some(from) => format!("{} to {}", text(from), text(&plan.to)),
        None => format!("{}, the first", text(&plan.to)),
    };
    let mut out = format!("{}: {from}\n\n", text(&plan.app));
    let rows: Vec<Vec<Cell>> = plan
        .services
        .iter()
        .map(|service| {
            let tone = match service.action.as_str() {
                "keep" => Tone::Good,
                "remove" => Tone::Bad,
                "replace" => Tone::Warning,
                _ => Tone::Plain,
            };
            vec![plain(&service.name), (plain(&service.action).0, tone)]
        })
        .collect();
    if !rows.is_empty() {
        out += &table("", &["SERVICE", "ACTION"], &rows, style);
        out.push('\n');
    }
    let stopped: Vec<&str> = plan
        .services
        .iter()
        .filter(|service| matches!(service.action.as_str(), "replace" | "remove"))
        .map(|service| service.name.as_str())
        .collect();
    let downtime = match stopped.as_slice() {
        [] => "none: nothing that runs is stopped".to_owned(),
        names => format!("while these are replaced or removed: {}", names.join(", ")),
    };
    let read = format!("{} of {}", bytes(plan.fetch_bytes), bytes(plan.full_bytes));
    let rows = vec![
        vec![plain("to read"), plain(&read)],
        vec![plain("disk, at most"), plain(&bytes(plan.peak_disk_bytes))],
        vec![plain("downtime"), plain(&downtime)],
    ];
    out += &table("", &[], &rows, style);
    if !plan.blocked_by.is_empty() {
        out.push('\n');
    }
    for reason in &plan.blocked_by {
        out += &format!("{} {}\n", style.paint(Tone::Bad, "blocked:"), text(reason));
    }
    out
}
