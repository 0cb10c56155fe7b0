//! Reading values out of the YAML tree, with every mistake noted at its place.
//!
//! Reading goes on after a mistake, so a value that could not be read is `None`, and the note is
//! what makes packing fail. Mappings are read in `map`.

use std::cell::RefCell;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::Path;
use std::str::FromStr;

use bundle::manifest::Text;

use super::interpolate::{Reader, Scope};
use super::problem::{Position, Problem};
use super::units;
use super::yaml::{Node, Value};

/// What all readers of one file share.
pub(crate) struct Context<'a> {
    /// What `${NAME}` means.
    pub(crate) scope: Scope,
    /// The folder that relative paths start from.
    pub(crate) folder: &'a Path,
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(scope: Scope, folder: &'a Path) -> Self {
        Self {
            scope,
            folder,
            problems: RefCell::default(),
            warnings: RefCell::default(),
        }
    }

    pub(crate) fn problem(&self, at: Position, path: &str, message: impl Display) {
        self.problems.borrow_mut().push(Problem {
            at,
            path: path.to_string(),
            message: message.to_string(),
        });
    }

    pub(crate) fn warn(&self, at: Position, path: &str, message: impl Display) {
        self.warnings.borrow_mut().push(Problem {
            at,
            path: path.to_string(),
            message: message.to_string(),
        });
    }

    /// Problems and warnings, in the order of the file, each once.
    pub(crate) fn into_notes(self) -> (Vec<Problem>, Vec<Problem>) {
        let sorted = |notes: RefCell<Vec<Problem>>| {
            let mut notes = notes.into_inner();
            notes.sort_by_key(|note| note.at);
            notes.dedup();
            notes
        };
        (sorted(self.problems), sorted(self.warnings))
    }
}

/// A value of the file, the keys that lead to it, and where notes about it go.
#[derive(Clone)]
pub(crate) struct Field<'a> {
    node: &'a Node,
    path: String,
    cx: &'a Context<'a>,
}

impl<'a> Field<'a> {
    pub(crate) fn new(node: &'a Node, path: String, cx: &'a Context<'a>) -> Self {
        Self { node, path, cx }
    }

    pub(crate) fn at(&self) -> Position {
        self.node.at
    }

    pub(crate) fn value(&self) -> &'a Value {
        &self.node.value
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn context(&self) -> &'a Context<'a> {
        self.cx
    }

    /// Notes what is wrong with this value.
    pub(crate) fn error(&self, message: impl Display) {
        self.cx.problem(self.at(), &self.path, message);
    }

    /// The value of a parse, its error noted here.
    pub(crate) fn check<T, E: Display>(&self, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.error(error)).ok()
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self.node.value, Value::Null)
    }

    pub(crate) fn is_scalar(&self) -> bool {
        matches!(self.node.value, Value::Scalar(_))
    }

    pub(crate) fn is_map(&self) -> bool {
        matches!(self.node.value, Value::Map(_))
    }

    /// The scalar, interpolated for `reader`.
    pub(crate) fn interpolated(&self, reader: Reader) -> Option<String> {
        match &self.node.value {
            Value::Scalar(raw) => self.check(self.cx.scope.interpolate(raw, reader)),
            _ => {
                self.error("expected a single value");
                None
            }
        }
    }

    /// The scalar as plain text.
    pub(crate) fn string(&self) -> Option<String> {
        self.interpolated(Reader::Plain)
    }

    /// The scalar as a text of the manifest.
    pub(crate) fn text(&self) -> Option<Text> {
        let string = self.string()?;
        self.to_text(string)
    }

    /// `string` as a text of the manifest, its bound noted here.
    pub(crate) fn to_text(&self, string: String) -> Option<Text> {
        let text = Text::new(string);
        if text.is_none() {
            self.error(format_args!(
                "a text here has at most {} bytes and no NUL",
                bundle::limits::TEXT_BYTES_MAX
            ));
        }
        text
    }

    /// The scalar as one of our names, or as any type that parses.
    pub(crate) fn parse<T: FromStr<Err: Display>>(&self) -> Option<T> {
        let string = self.string()?;
        match string.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.error(format_args!("{string:?}: {error}"));
                None
            }
        }
    }

    pub(crate) fn bool(&self) -> Option<bool> {
        match self.string()?.as_str() {
            "true" | "True" | "TRUE" => Some(true),
            "false" | "False" | "FALSE" => Some(false),
            other => {
                self.error(format_args!("expected true or false, not {other:?}"));
                None
            }
        }
    }

    /// A whole number within `range`.
    pub(crate) fn number<T>(&self, range: RangeInclusive<T>) -> Option<T>
    where
        T: FromStr + PartialOrd + Display,
    {
        let string = self.string()?;
        let number = string.parse().ok().filter(|number| range.contains(number));
        if number.is_none() {
            self.error(format_args!(
                "expected a whole number from {} to {}, not {string:?}",
                range.start(),
                range.end()
            ));
        }
        number
    }

    /// A duration in milliseconds, at most `ms_max`.
    pub(crate) fn duration_ms(&self, ms_max: u64) -> Option<u64> {
        let string = self.string()?;
        match units::duration_ms(&string) {
            Some(ms) if ms <= ms_max => Some(ms),
            Some(_) => {
                self.error(format_args!("{string} is longer than {} s", ms_max / 1000));
                None
            }
            None => {
                self.error(format_args!(
                    "expected a duration such as 30s or 1m30s, not {string:?}"
                ));
                None
            }
        }
    }

    /// A duration in seconds, rounded up, at most `s_max`.
    pub(crate) fn duration_s(&self, s_max: u32) -> Option<u32> {
        let ms = self.duration_ms(u64::from(s_max) * 1000)?;
        u32::try_from(ms.div_ceil(1000)).ok()
    }

    /// A byte size.
    pub(crate) fn bytes(&self) -> Option<u64> {
        let string = self.string()?;
        let bytes = units::bytes(&string);
        if bytes.is_none() {
            self.error(format_args!(
                "expected a size such as 64m or 2g, not {string:?}"
            ));
        }
        bytes
    }

    /// An absolute path without `..`.
    pub(crate) fn absolute(&self) -> Option<Text> {
        let string = self.string()?;
        self.to_absolute(string)
    }

    /// `path` as an absolute path, mistakes noted here; `//`, `.` and a last `/` go.
    pub(crate) fn to_absolute(&self, path: String) -> Option<Text> {
        if !path.starts_with('/') {
            self.error(format_args!("expected an absolute path, not {path:?}"));
            return None;
        }
        if path.split('/').any(|part| part == "..") {
            self.error(format_args!("the path {path:?} must not hold .."));
            return None;
        }
        let parts = path.split('/').filter(|part| !matches!(*part, "" | "."));
        let normal: String = parts.flat_map(|part| ["/", part]).collect();
        self.to_text(if normal.is_empty() {
            "/".to_string()
        } else {
            normal
        })
    }

    /// The elements of a list; a mistake is noted, and no element returned.
    pub(crate) fn list(&self) -> Vec<Field<'a>> {
        match &self.node.value {
            Value::Seq(items) => items
                .iter()
                .enumerate()
                .map(|(index, node)| Self::new(node, format!("{}[{index}]", self.path), self.cx))
                .collect(),
            _ => {
                self.error("expected a list");
                Vec::new()
            }
        }
    }

    /// A list of texts.
    pub(crate) fn texts(&self) -> Vec<Text> {
        self.list().iter().filter_map(Field::text).collect()
    }

    /// One text or a list of them.
    pub(crate) fn one_or_many(&self) -> Vec<Field<'a>> {
        if self.is_scalar() {
            vec![self.clone()]
        } else {
            self.list()
        }
    }
}
