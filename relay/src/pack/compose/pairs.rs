//! Keys that take a mapping or a list of `NAME=value`: environment, labels, sysctls, hosts.
//!
//! Never sorts or drops; a name that is there twice is a mistake.

use bundle::manifest::Text;

use super::field::Field;
use super::interpolate::Reader;
use crate::pack::compose::interpolate::literal;
use crate::pack::env_file;

/// A name, its value (none if only the name is there), and where that is.
pub(crate) struct Pair<'a> {
    pub(crate) name: String,
    pub(crate) value: Option<String>,
    pub(crate) field: Field<'a>,
}

/// The pairs of a mapping or of a list whose elements are cut at the first of `separators`.
pub(crate) fn pairs<'a>(field: &Field<'a>, reader: Reader, separators: &[char]) -> Vec<Pair<'a>> {
    let pairs: Vec<Pair<'a>> = if field.is_map() {
        field
            .members()
            .into_iter()
            .filter_map(|member| {
                let value = if member.value.is_null() {
                    None
                } else {
                    Some(member.value.interpolated(reader)?)
                };
                Some(Pair {
                    name: member.name.to_string(),
                    value,
                    field: member.value,
                })
            })
            .collect()
    } else {
        field
            .list()
            .into_iter()
            .filter_map(|item| {
                let text = item.interpolated(reader)?;
                let (name, value) = match text.split_once(separators) {
                    Some((name, value)) => (name.to_string(), Some(value.to_string())),
                    None => (text, None),
                };
                Some(Pair {
                    name,
                    value,
                    field: item,
                })
            })
            .collect()
    };
    for (index, pair) in pairs.iter().enumerate() {
        if pairs[..index].iter().any(|other| other.name == pair.name) {
            pair.field
                .error(format_args!("{} is there twice", pair.name));
        }
    }
    pairs
}

/// Pairs that all need a value, as texts of the manifest, sorted by name.
pub(crate) fn texts(field: &Field<'_>, separators: &[char]) -> Vec<(Text, Text)> {
    let mut out: Vec<(Text, Text)> = pairs(field, Reader::Plain, separators)
        .into_iter()
        .filter_map(|pair| {
            let value = pair.value.unwrap_or_default();
            Some((pair.field.to_text(pair.name)?, pair.field.to_text(value)?))
        })
        .collect();
    out.sort();
    out
}

/// `env_file` and `environment` of a service, the latter winning, sorted by name; values are
/// templates for the device.
pub(crate) fn environment(
    env_file: Option<&Field<'_>>,
    environment: Option<&Field<'_>>,
) -> Vec<(Text, Text)> {
    let mut out = std::collections::BTreeMap::new();
    let mut set = |field: &Field<'_>, name: String, value: Option<String>| {
        if name.is_empty() || name.contains('=') {
            field.error(format_args!(
                "{name:?} is no name of an environment variable"
            ));
            return;
        }
        let value = value.or_else(|| {
            let known = field.context().scope.env.get(&name);
            if known.is_none() {
                field.error(format_args!(
                    "{name} has no value here, and --env-file gives none"
                ));
            }
            known.map(|value| literal(value, Reader::Template))
        });
        if let (Some(value), Some(name)) = (value, field.to_text(name))
            && let Some(value) = field.to_text(value)
        {
            out.insert(name, value);
        }
    };
    for file in env_file.map(Field::one_or_many).unwrap_or_default() {
        for (name, value) in read_env_file(&file) {
            let value = value.map(|value| literal(&value, Reader::Template));
            set(&file, name, value);
        }
    }
    if let Some(field) = environment {
        for pair in pairs(field, Reader::Template, &['=']) {
            set(&pair.field, pair.name, pair.value);
        }
    }
    out.into_iter().collect()
}

fn read_env_file(field: &Field<'_>) -> Vec<(String, Option<String>)> {
    let Some(path) = field.string() else {
        return Vec::new();
    };
    let full = field.context().folder.join(&path);
    let text = match std::fs::read_to_string(&full) {
        Ok(text) => text,
        Err(error) => {
            field.error(format_args!("cannot read {path}: {error}"));
            return Vec::new();
        }
    };
    match env_file::parse(&text) {
        Ok(pairs) => pairs,
        Err(error) => {
            field.error(format_args!("{path}: {error}"));
            Vec::new()
        }
    }
}
