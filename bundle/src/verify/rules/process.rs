//! Clauses B40 to B44: environment, labels, user, signals, commands.

use super::{ensure, once};
use crate::Manifest;
use crate::error::{Refused, Rule};
use crate::limits::STOP_GRACE_S_MAX;
use crate::manifest::{Service, Text};
use crate::template;

const ENVIRONMENT: Rule = Rule {
    clause: "B40",
    text: "environment is sorted by name, each name once, none empty or with '='",
};
const PLACEHOLDER: Rule = Rule {
    clause: "B41",
    text: "each ${NAME} in the environment is a declared variable",
};
const LABEL: Rule = Rule {
    clause: "B42",
    text: "labels are sorted by name, each name once, none empty or beginning with 'coracle.'",
};
const STOP: Rule = Rule {
    clause: "B43",
    text: "a stop signal is given by name (SIGTERM, SIGRTMIN+3), and the grace is at most an hour",
};
const PROCESS: Rule = Rule {
    clause: "B44",
    text: "users and capabilities are well-formed, and diagnostics have a name, each once, and a \
           command",
};

pub(super) fn check_service(manifest: &Manifest, service: &Service) -> Result<(), Refused> {
    let place = || format!("service {}", service.name);
    let names = service
        .environment
        .iter()
        .all(|(name, _)| !name.is_empty() && !name.contains('='));
    ensure(names && sorted(&service.environment), ENVIRONMENT, place)?;
    for (name, value) in &service.environment {
        let declared = |wanted: &str| manifest.variables.iter().any(|v| v.name.as_str() == wanted);
        ensure(
            template::check(value, declared).is_ok(),
            PLACEHOLDER,
            || format!("service {}, environment {name:?}", service.name),
        )?;
    }
    let labels = service
        .labels
        .iter()
        .all(|(name, _)| !name.is_empty() && !name.starts_with("coracle."));
    ensure(labels && sorted(&service.labels), LABEL, place)?;
    let signal = service.stop_signal.as_deref().is_none_or(is_signal);
    ensure(
        signal && service.stop_grace_s <= STOP_GRACE_S_MAX,
        STOP,
        place,
    )?;
    let user = service.user.as_deref().is_none_or(is_user);
    let mut capabilities = service.cap_add.iter().chain(&service.cap_drop);
    ensure(
        user && capabilities.all(|c| is_capability(c)),
        PROCESS,
        place,
    )?;
    diagnostics(service)
}

fn diagnostics(service: &Service) -> Result<(), Refused> {
    for diagnostic in &service.diagnostics {
        let command = diagnostic.command.first().is_some_and(|c| !c.is_empty());
        ensure(command && is_word(&diagnostic.name), PROCESS, || {
            format!("service {}, diagnostic {:?}", service.name, diagnostic.name)
        })?;
    }
    once(
        &service.diagnostics,
        |d| &d.name,
        PROCESS,
        |name| format!("service {}, diagnostic {name:?}", service.name),
    )
}

fn sorted(pairs: &[(Text, Text)]) -> bool {
    pairs.windows(2).all(|pair| pair[0].0 < pair[1].0)
}

/// `SIG`, capital letters and digits, and for real-time signals a signed number.
fn is_signal(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("SIG") else {
        return false;
    };
    let (word, number) = match rest.find(['+', '-']) {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    !word.is_empty()
        && word.len() <= 16
        && word
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        && number
            .is_none_or(|n| (1..=2).contains(&n.len()) && n.bytes().all(|b| b.is_ascii_digit()))
}

/// `user` or `user:group`, names or numbers.
fn is_user(user: &str) -> bool {
    let sound = |part: &str| {
        !part.is_empty()
            && part.len() <= 64
            && part.chars().all(|c| c.is_ascii_graphic() && c != ':')
    };
    match user.split_once(':') {
        Some((user, group)) => sound(user) && sound(group),
        None => sound(user),
    }
}

/// A capability without `CAP_`, or `ALL`.
fn is_capability(name: &str) -> bool {
    !name.starts_with("CAP_")
        && (1..=32).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// A name that needs no quoting on a command line.
fn is_word(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && !name.starts_with('-')
}
