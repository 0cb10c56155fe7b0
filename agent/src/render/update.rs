//! How `agent apply`, `agent rollback` and `agent enroll` end.

use crate::api::{AppliedView, EnrolledView};
use relay_api::escape::text;

/// `kiosk is removed. Its volumes stay.`
pub(crate) fn removed(app: &str) -> String {
    format!("{} is removed. Its volumes stay.\n", text(app))
}

/// `pump-7 is enrolled at https://relay.example; it checks in when the agent runs.`
pub(super) fn enrolled(enrolled: &EnrolledView) -> String {
    let mut out = format!(
        "{} is enrolled at {}; it checks in when the agent runs.\n",
        text(&enrolled.device),
        text(&enrolled.url)
    );
    if !enrolled.labels.is_empty() {
        let labels = enrolled.labels.iter();
        let labels: Vec<String> = labels
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        out += &format!("The relay labels it {}.\n", text(&labels.join(" ")));
    }
    out
}

/// `kiosk 2.0 runs now (was 1.0). mosquitto kept, nginx replaced.`
pub(super) fn applied(applied: &AppliedView) -> String {
    let runs = applied
        .services
        .iter()
        .any(|service| service.action != "remove");
    let verb = if runs {
        "runs now"
    } else {
        "is in place and runs nothing"
    };
    let was = match &applied.from {
        Some(from) => format!(" (was {})", text(from)),
        None => String::new(),
    };
    let mut out = format!(
        "{} {} {verb}{was}.",
        text(&applied.app),
        text(&applied.version)
    );
    for (index, service) in applied.services.iter().enumerate() {
        let done = match service.action.as_str() {
            "keep" => "kept",
            "create" => "created",
            "replace" => "replaced",
            "remove" => "removed",
            other => other,
        };
        out += if index == 0 { " " } else { ", " };
        out += &format!("{} {}", text(&service.name), text(done));
    }
    if !applied.services.is_empty() {
        out.push('.');
    }
    out.push('\n');
    out
}
