//! Mappings: those with known keys, of which none may be left over, and those of named members.
//!
//! A reader asks a [`Map`] for the keys that it knows, and [`Map::finish`] reports each other key:
//! nothing that a Compose file says is ever dropped silently.

use std::fmt::Display;
use std::str::FromStr;

use super::field::{Context, Field};
use super::problem::Position;
use super::refusals;
use super::yaml::{Entry, Value};

impl<'a> Field<'a> {
    /// The keys of a mapping; a mistake is noted, and an empty one returned.
    pub(crate) fn map(&self) -> Map<'a> {
        let entries: &'a [Entry] = match self.value() {
            Value::Map(entries) => entries,
            Value::Null => &[],
            _ => {
                self.error("expected a mapping (key: value)");
                &[]
            }
        };
        Map::new(entries, self.path().to_string(), self.at(), self.context())
    }

    /// All keys of a mapping whose keys are names of the user's choice.
    pub(crate) fn members(&self) -> Vec<Member<'a>> {
        let entries: &'a [Entry] = match self.value() {
            Value::Map(entries) => entries,
            _ => {
                self.map();
                &[]
            }
        };
        entries
            .iter()
            .map(|entry| Member {
                name: entry.key.as_str(),
                at: entry.at,
                value: Self::new(&entry.value, join(self.path(), &entry.key), self.context()),
            })
            .collect()
    }
}

/// A key of the user's choice and its value.
pub(crate) struct Member<'a> {
    pub(crate) name: &'a str,
    pub(crate) at: Position,
    pub(crate) value: Field<'a>,
}

impl Member<'_> {
    /// The key as one of our names, mistakes noted at the key.
    pub(crate) fn name<T: FromStr<Err: Display>>(&self) -> Option<T> {
        match self.name.parse() {
            Ok(name) => Some(name),
            Err(error) => {
                self.value.context().problem(
                    self.at,
                    self.value.path(),
                    format_args!("{:?}: {error}", self.name),
                );
                None
            }
        }
    }
}

/// A mapping of which the keys are known.
pub(crate) struct Map<'a> {
    entries: &'a [Entry],
    asked: Vec<&'static str>,
    path: String,
    at: Position,
    cx: &'a Context<'a>,
}

impl<'a> Map<'a> {
    fn new(entries: &'a [Entry], path: String, at: Position, cx: &'a Context<'a>) -> Self {
        Self {
            entries,
            asked: Vec::new(),
            path,
            at,
            cx,
        }
    }

    /// The value of a key, if it is there and not null.
    pub(crate) fn take(&mut self, key: &'static str) -> Option<Field<'a>> {
        self.asked.push(key);
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        let field = Field::new(&entry.value, join(&self.path, key), self.cx);
        (!field.is_null()).then_some(field)
    }

    /// The value of a key that must be there.
    pub(crate) fn require(&mut self, key: &'static str) -> Option<Field<'a>> {
        let field = self.take(key);
        if field.is_none() {
            self.error(format_args!("{key}: is required"));
        }
        field
    }

    /// Notes what is wrong with the mapping as a whole.
    pub(crate) fn error(&self, message: impl Display) {
        self.cx.problem(self.at, &self.path, message);
    }

    /// Reports every key that nobody asked for; `place` says which table explains why.
    pub(crate) fn finish(self, place: refusals::Place) {
        for entry in self.entries {
            let key = entry.key.as_str();
            if self.asked.contains(&key) || key.starts_with("x-") && key != "x-coracle" {
                continue;
            }
            let message = refusals::explain(place, key, &self.asked);
            self.cx.problem(entry.at, &join(&self.path, key), message);
        }
    }
}

/// A key under those that lead to it.
fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_string()
    } else {
        format!("{path}.{key}")
    }
}
