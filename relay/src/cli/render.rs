//! How results look: tables of `name  value` for people, JSON for programs.

use serde::Serialize;

use super::failure::Failure;
use crate::pack::Report;

/// One JSON document on standard output.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(Failure::new)?;
    println!("{text}");
    Ok(())
}

/// A size for people, to three digits.
pub(crate) fn bytes(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}

/// Lines of names and values, the values in one column.
pub(crate) fn table(rows: &[(&str, String)]) {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, value) in rows {
        println!("{name:width$}  {value}");
    }
}

/// The summary of a pack.
pub(crate) fn packed(report: &Report) {
    let percent = (report.bytes * 100)
        .checked_div(report.plain_bytes)
        .unwrap_or(100);
    table(&[
        ("bundle", report.path.display().to_string()),
        (
            "app",
            format!("{} {} (seq {})", report.app, report.version, report.seq),
        ),
        ("digest", report.digest.clone()),
        (
            "content",
            format!(
                "{}, {}, {}, {}",
                count(report.services, "service"),
                count(report.images, "image"),
                count(report.layers, "layer"),
                count(report.blobs, "blob")
            ),
        ),
        (
            "size",
            format!(
                "{} ({percent} % of {} unpacked)",
                bytes(report.bytes),
                bytes(report.plain_bytes)
            ),
        ),
        (
            "signed by",
            if report.keys.is_empty() {
                "nobody: a draft, which every device refuses".to_string()
            } else {
                report.keys.join(", ")
            },
        ),
    ]);
}

/// `1 service`, `2 services`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}
