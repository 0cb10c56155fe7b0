//! `agent status` and `agent ps`.

use super::quantity::moment;
use super::table::{Cell, plain, table};
use super::{Style, Tone};
use crate::api::{AppView, ContainerView, LastUpdateView, ServiceView, StatusView};
use relay_api::escape::text;

/// The device and its apps.
pub(super) fn status(status: &StatusView, style: Style) -> String {
    let labels: Vec<String> = status
        .device
        .labels
        .iter()
        .map(|(k, v)| format!("{k}={v}"))
        .collect();
    let mut rows = vec![vec![plain("device"), plain(&status.device.id)]];
    if !labels.is_empty() {
        rows.push(vec![plain("labels"), plain(&labels.join(" "))]);
    }
    if let Some(url) = &status.relay.url {
        let contact = match &status.relay.last_contact {
            Some(at) => format!("{url}, last answer {}", moment(at)),
            None => format!("{url}, no answer yet"),
        };
        rows.push(vec![plain("relay"), plain(&contact)]);
        if let Some(error) = &status.relay.error {
            let error = style.paint(Tone::Warning, &text(error));
            rows.push(vec![plain(""), (error, Tone::Plain)]);
        }
    }
    if status.relay.reports_waiting > 0 {
        let waiting = format!("{} wait for the relay", status.relay.reports_waiting);
        rows.push(vec![plain("reports"), plain(&waiting)]);
    }
    let mut out = table("", &[], &rows, style);
    if status.apps.is_empty() {
        out += "\nNo apps: `agent apply BUNDLE` brings in the first.\n";
    }
    for app in &status.apps {
        out.push('\n');
        out += &self::app(app, style);
    }
    out
}

fn app(app: &AppView, style: Style) -> String {
    let version = match (&app.version, app.seq) {
        (Some(version), Some(seq)) => format!("{} (seq {seq})", text(version)),
        (Some(version), None) => text(version).into_owned(),
        _ => String::new(),
    };
    let state = style.paint(state_tone(&app.state), &text(&app.state));
    let blank = if version.is_empty() { "" } else { " " };
    let mut out = format!("{}{blank}{version}: {state}\n", text(&app.app));
    let mut rows = Vec::new();
    if let Some(last) = &app.last_update {
        rows.push(vec![plain("last update"), last_update(last)]);
    }
    if let Some(previous) = &app.previous {
        let version = format!("{} (seq {})", previous.version, previous.seq);
        rows.push(vec![plain("can return to"), plain(&version)]);
    }
    out += &table("  ", &[], &rows, style);
    if !app.services.is_empty() {
        let rows: Vec<Vec<Cell>> = app.services.iter().map(service).collect();
        out += &table(
            "  ",
            &["SERVICE", "STATE", "HEALTH", "RESTARTS", "STARTED"],
            &rows,
            style,
        );
    }
    out
}

fn last_update(last: &LastUpdateView) -> Cell {
    let mut words = format!(
        "{} {}, {}",
        last.version,
        result_words(&last.result),
        moment(&last.at)
    );
    if let Some(cause) = &last.cause {
        words += &format!(": {cause}");
    }
    (text(&words).into_owned(), result_tone(&last.result))
}

fn service(service: &ServiceView) -> Vec<Cell> {
    vec![
        plain(&service.name),
        state(&service.state),
        health(service.healthy),
        restarts(service.restarts),
        plain(
            &service
                .started_at
                .as_deref()
                .map(moment)
                .unwrap_or_default(),
        ),
    ]
}

/// The containers.
pub(super) fn containers(containers: &[ContainerView], style: Style) -> String {
    if containers.is_empty() {
        return "No containers.\n".into();
    }
    let rows: Vec<Vec<Cell>> = containers
        .iter()
        .map(|container| {
            let mut state = state(&container.state);
            if let (Some(code), "exited") = (container.exit_code, container.state.as_str()) {
                state.0 += &format!(" ({code})");
            }
            vec![
                plain(&container.name),
                plain(&container.id.chars().take(12).collect::<String>()),
                state,
                health(container.healthy),
                restarts(container.restarts),
                plain(
                    &container
                        .started_at
                        .as_deref()
                        .map(moment)
                        .unwrap_or_default(),
                ),
            ]
        })
        .collect();
    table(
        "",
        &["CONTAINER", "ID", "STATE", "HEALTH", "RESTARTS", "STARTED"],
        &rows,
        style,
    )
}

fn state(state: &str) -> Cell {
    (text(state).into_owned(), state_tone(state))
}

fn state_tone(state: &str) -> Tone {
    match state {
        "running" => Tone::Good,
        "failed" => Tone::Bad,
        "restarting" | "updating" | "trial" => Tone::Warning,
        _ => Tone::Plain,
    }
}

fn health(healthy: Option<bool>) -> Cell {
    match healthy {
        Some(true) => ("healthy".into(), Tone::Good),
        Some(false) => ("unhealthy".into(), Tone::Bad),
        None => ("-".into(), Tone::Plain),
    }
}

fn restarts(count: u32) -> Cell {
    (
        count.to_string(),
        if count == 0 {
            Tone::Plain
        } else {
            Tone::Warning
        },
    )
}

/// How an update ended, in words.
pub(super) fn result_words(result: &str) -> &str {
    match result {
        "rolled_back" => "rolled back",
        other => other,
    }
}

/// The tone of how an update ended.
pub(super) fn result_tone(result: &str) -> Tone {
    match result {
        "committed" => Tone::Good,
        "removed" => Tone::Plain,
        "rolled_back" | "refused" => Tone::Warning,
        _ => Tone::Bad,
    }
}
