//! The top-level `x-coracle`: variables and policy.
//!
//! Never fills a variable: that is the device's and the relay's.

use std::collections::BTreeSet;

use bundle::VariableName;
use bundle::manifest::{Policy, SwitchMode, Text, Variable, VariableKind};

use super::field::Field;
use super::map::{Map, Member};
use super::refusals::Place;
use super::yaml::{Entry, Node, Value};

/// The names under `x-coracle.variables`, wanted before anything is interpolated.
pub(crate) fn declared_names(root: &Node) -> BTreeSet<String> {
    entries(root)
        .iter()
        .filter(|entry| entry.key == "x-coracle")
        .flat_map(|entry| entries(&entry.value))
        .filter(|entry| entry.key == "variables")
        .flat_map(|entry| entries(&entry.value))
        .map(|entry| entry.key.clone())
        .collect()
}

fn entries(node: &Node) -> &[Entry] {
    match &node.value {
        Value::Map(entries) => entries,
        _ => &[],
    }
}

/// `variables`, sorted by name.
pub(crate) fn variables(map: &mut Map<'_>) -> Vec<Variable> {
    let mut out: Vec<Variable> = map
        .take("variables")
        .map(|field| field.members())
        .unwrap_or_default()
        .iter()
        .filter_map(variable)
        .collect();
    out.sort_by(|a, b| a.name.cmp(&b.name));
    out
}

fn variable(member: &Member<'_>) -> Option<Variable> {
    let name: VariableName = member.name()?;
    let value = &member.value;
    if !value.is_map() {
        // The short form: a name and its default; nothing means that a value is required.
        let default = if value.is_null() {
            None
        } else {
            Some(value.text()?)
        };
        let variable = Variable {
            name,
            kind: VariableKind::Text { pattern: None },
            default,
            secret: false,
            description: Text::default(),
        };
        return checked(value, variable);
    }
    let mut map = value.map();
    let kind = kind(&mut map);
    let variable = Variable {
        name,
        default: map.take("default").and_then(|field| field.text()),
        secret: map
            .take("secret")
            .and_then(|field| field.bool())
            .unwrap_or(false),
        description: map
            .take("description")
            .and_then(|field| field.text())
            .unwrap_or_default(),
        kind: kind?,
    };
    map.finish(Place::Other);
    checked(value, variable)
}

/// `variable`, if its default fits its own kind.
fn checked(field: &Field<'_>, variable: Variable) -> Option<Variable> {
    if let Some(default) = &variable.default {
        field.check(bundle::values::check(&variable, default))?;
    }
    Some(variable)
}

fn kind(map: &mut Map<'_>) -> Option<VariableKind> {
    let kind = map.take("type");
    let pattern = map.take("pattern");
    let (min, max) = (map.take("min"), map.take("max"));
    let choices = map.take("choices");
    let name = kind
        .as_ref()
        .map_or(Some("text".to_string()), |field| field.string())?;
    let only = |field: &Option<Field<'_>>, of: &str| {
        if let Some(field) = field
            && name != of
        {
            field.error(format_args!("only variables of type {of} have it"));
        }
    };
    only(&pattern, "text");
    only(&min, "integer");
    only(&max, "integer");
    only(&choices, "choice");
    match name.as_str() {
        "text" => Some(VariableKind::Text {
            pattern: pattern.and_then(|field| field.text()),
        }),
        "integer" => {
            let bound = |field: Option<Field<'_>>, default| {
                field.map_or(Some(default), |field| field.number(i64::MIN..=i64::MAX))
            };
            let (min, max) = (bound(min, i64::MIN)?, bound(max, i64::MAX)?);
            if min > max {
                map.error("min is above max");
            }
            Some(VariableKind::Integer { min, max })
        }
        "boolean" => Some(VariableKind::Boolean),
        "choice" => {
            let choices = choices.map(|field| field.texts()).unwrap_or_default();
            if choices.is_empty() {
                map.error("choices: is required");
            }
            Some(VariableKind::Choice(choices))
        }
        other => {
            kind?.error(format_args!(
                "expected text, integer, boolean or choice, not {other:?}"
            ));
            None
        }
    }
}

/// `trial`, `switch`, `fetch_rate_max` and `restore_on_rollback`.
pub(crate) fn policy(map: &mut Map<'_>) -> Policy {
    let mut policy = Policy::default();
    if let Some(field) = map.take("trial") {
        trial(&field, &mut policy);
    }
    if let Some(field) = map.take("switch") {
        match field.string().as_deref() {
            Some("stop-first") => policy.switch = SwitchMode::StopFirst,
            Some("start-first") => policy.switch = SwitchMode::StartFirst,
            Some(other) => field.error(format_args!(
                "expected stop-first or start-first, not {other:?}"
            )),
            None => {}
        }
    }
    if let Some(field) = map.take("fetch_rate_max") {
        // "2m" and "2m/s" are the same: bytes a second.
        if let Some(text) = field.string() {
            let bytes = super::units::bytes(text.strip_suffix("/s").unwrap_or(&text));
            match bytes {
                Some(bytes) if bytes >= 1024 => policy.fetch_bytes_per_s_max = Some(bytes),
                _ => field.error(format_args!(
                    "expected bytes a second from 1k, such as 256k or 2m, not {text:?}"
                )),
            }
        }
    }
    if let Some(field) = map.take("restore_on_rollback") {
        policy.restore_on_rollback = field.list().iter().filter_map(Field::parse).collect();
    }
    policy
}

/// `30s`, or a mapping of `duration`, `healthy_within` and `restarts_max`.
fn trial(field: &Field<'_>, policy: &mut Policy) {
    let seconds = |field: &Field<'_>| field.duration_s(bundle::limits::TRIAL_S_MAX);
    let mut healthy_within = None;
    if field.is_map() {
        let mut map = field.map();
        if let Some(s) = map.take("duration").and_then(|field| seconds(&field)) {
            policy.trial_s = s;
        }
        healthy_within = map.take("healthy_within").and_then(|field| {
            let s = seconds(&field)?;
            if s < policy.trial_s {
                field.error("must not be shorter than the trial's duration");
            }
            Some(s)
        });
        if let Some(max) = map
            .take("restarts_max")
            .and_then(|field| field.number(0..=u8::MAX))
        {
            policy.restarts_max = max;
        }
        map.finish(Place::Other);
    } else if let Some(s) = seconds(field) {
        policy.trial_s = s;
    }
    policy.healthy_within_s = healthy_within
        .unwrap_or(policy.trial_s.saturating_mul(2))
        .min(bundle::limits::TRIAL_S_MAX);
}
