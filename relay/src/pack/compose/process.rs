//! How a service's process runs: its command, its privileges, how it stops and starts again.

use bundle::manifest::{Restart, Text};

use super::field::Field;

/// A list as it is, or a string split as a POSIX shell splits it.
pub(super) fn command(field: &Field<'_>) -> Vec<Text> {
    if !field.is_scalar() {
        return field.texts();
    }
    let Some(line) = field.string() else {
        return Vec::new();
    };
    match shell_words::split(&line) {
        Ok(words) => words
            .into_iter()
            .filter_map(|word| field.to_text(word))
            .collect(),
        Err(_) => {
            field.error("a quote never ends");
            Vec::new()
        }
    }
}

pub(super) fn hostname(field: &Field<'_>) -> Option<Text> {
    let name = field.string()?;
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if name.len() > 253 || !name.split('.').all(label) {
        field.error(format_args!("{name:?} is no host name (RFC 1123)"));
        return None;
    }
    field.to_text(name)
}

/// Upper case, without `CAP_`, sorted, each once.
pub(super) fn capabilities(field: &Field<'_>) -> Vec<Text> {
    let mut out: Vec<Text> = field
        .list()
        .iter()
        .filter_map(|item| {
            let upper = item.string()?.to_ascii_uppercase();
            let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') {
                item.error("expected a capability such as NET_ADMIN");
                return None;
            }
            item.to_text(name.to_string())
        })
        .collect();
    out.sort();
    out.dedup();
    out
}

pub(super) fn no_new_privileges(field: &Field<'_>) -> bool {
    let mut set = false;
    for item in field.list() {
        match item.string().as_deref() {
            Some("no-new-privileges" | "no-new-privileges:true" | "no-new-privileges=true") => {
                set = true;
            }
            Some("no-new-privileges:false" | "no-new-privileges=false") | None => {}
            Some(other) => item.error(format_args!(
                "not supported: {other}; only no-new-privileges"
            )),
        }
    }
    set
}

pub(super) fn restart(field: &Field<'_>) -> Option<Restart> {
    let text = field.string()?;
    match text.as_str() {
        "no" => Some(Restart::No),
        "always" | "unless-stopped" => Some(Restart::Always),
        "on-failure" => Some(Restart::OnFailure { max: None }),
        other => {
            let max = other
                .strip_prefix("on-failure:")
                .and_then(|max| max.parse().ok());
            if max.is_none() {
                field.error(format_args!(
                    "expected no, always, on-failure[:N] or unless-stopped, not {other:?}"
                ));
            }
            Some(Restart::OnFailure { max: Some(max?) })
        }
    }
}

/// Signals that stop programs, with their numbers on Linux.
const SIGNALS: &[(&str, &str)] = &[
    ("SIGHUP", "1"),
    ("SIGINT", "2"),
    ("SIGQUIT", "3"),
    ("SIGABRT", "6"),
    ("SIGKILL", "9"),
    ("SIGUSR1", "10"),
    ("SIGUSR2", "12"),
    ("SIGALRM", "14"),
    ("SIGTERM", "15"),
    ("SIGCONT", "18"),
    ("SIGWINCH", "28"),
    ("SIGPWR", "30"),
    ("SIGRTMIN+3", "37"),
];

pub(super) fn signal(field: &Field<'_>) -> Option<Text> {
    let text = field.string()?;
    let upper = text.to_ascii_uppercase();
    let found = SIGNALS.iter().find(|(name, number)| {
        *name == upper || name.strip_prefix("SIG") == Some(upper.as_str()) || *number == text
    });
    if found.is_none() {
        let names: Vec<&str> = SIGNALS.iter().map(|(name, _)| *name).collect();
        field.error(format_args!(
            "expected one of {}, not {text:?}",
            names.join(", ")
        ));
    }
    Text::new(found?.0)
}
