//! Selectors from text: a word list, then a requirement at a time.
//!
//! Never guesses: whatever does not fit is an error that says where, and what would fit.

use std::collections::BTreeSet;
use std::fmt;

use bundle::{Label, NameError};

use super::{Requirement, Selector, Test};
use crate::domain::limits::{REQUIREMENTS_MAX, SELECTOR_BYTES_MAX};

/// The selector that is every device.
pub(super) const ALL: &str = "all";

/// Why a text is no selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SelectorError {
    /// It is empty.
    Empty,
    /// It has more than [`SELECTOR_BYTES_MAX`] bytes or [`REQUIREMENTS_MAX`] requirements.
    TooLong,
    /// Something does not fit.
    Unexpected {
        /// Where: characters before it, and one.
        at: usize,
        /// What is there; empty at the end.
        found: String,
        /// What would fit.
        expected: &'static str,
    },
    /// A name or value breaks the grammar of labels.
    Label {
        /// Where: characters before it, and one.
        at: usize,
        /// What is there.
        found: String,
        /// The grammar.
        error: NameError,
    },
    /// `all` is every device, so nothing can be added to it.
    AllAndMore,
}

impl fmt::Display for SelectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str(
                "the selector is empty: write all for every device, id=ID for one, or NAME=VALUE",
            ),
            Self::TooLong => write!(
                f,
                "the selector is too long: at most {} KiB and {REQUIREMENTS_MAX} requirements",
                SELECTOR_BYTES_MAX >> 10
            ),
            Self::Unexpected {
                at,
                found,
                expected,
            } if found.is_empty() => {
                write!(
                    f,
                    "the selector ends at character {at}, where {expected} should follow"
                )
            }
            Self::Unexpected {
                at,
                found,
                expected,
            } => write!(
                f,
                "the selector has {found:?} at character {at}, where {expected} should be"
            ),
            Self::Label { at, found, error } => {
                write!(f, "the selector has {found:?} at character {at}: {error}")
            }
            Self::AllAndMore => f.write_str(
                "all is every device and stands alone: leave it out, or the requirements beside it",
            ),
        }
    }
}

impl std::error::Error for SelectorError {}

/// See [`super::Selector`].
pub(super) fn selector(text: &str) -> Result<Selector, SelectorError> {
    if text.len() > SELECTOR_BYTES_MAX {
        return Err(SelectorError::TooLong);
    }
    let mut words = Words::of(text);
    if words.peek().text.is_empty() {
        return Err(SelectorError::Empty);
    }
    let mut requirements = Vec::new();
    let mut all = false;
    loop {
        let requirement = requirement(&mut words)?;
        all |= requirement.label.as_str() == ALL;
        requirements.push(requirement);
        if requirements.len() > REQUIREMENTS_MAX {
            return Err(SelectorError::TooLong);
        }
        match words.next() {
            word if word.text.is_empty() => break,
            word if word.text == "," => {}
            word => {
                return Err(word.unexpected("a comma or one of =, ==, !=, in, notin"));
            }
        }
    }
    match &requirements[..] {
        [one] if all && one.test == Test::Exists => Ok(Selector::All),
        _ if all => Err(SelectorError::AllAndMore),
        _ => Ok(Selector::Where(requirements)),
    }
}

fn requirement(words: &mut Words<'_>) -> Result<Requirement, SelectorError> {
    if words.peek().text == "!" {
        words.next();
        return Ok(Requirement {
            label: label(words.next(), "the name of a label")?,
            test: Test::Missing,
        });
    }
    let label = label(words.next(), "the name of a label, or ! and one")?;
    let test = match words.peek().text {
        "=" | "==" => {
            words.next();
            Test::In(BTreeSet::from([value(words)?]))
        }
        "!=" => {
            words.next();
            Test::NotIn(BTreeSet::from([value(words)?]))
        }
        "in" => {
            words.next();
            Test::In(values(words)?)
        }
        "notin" => {
            words.next();
            Test::NotIn(values(words)?)
        }
        _ => Test::Exists,
    };
    Ok(Requirement { label, test })
}

fn value(words: &mut Words<'_>) -> Result<Label, SelectorError> {
    label(words.next(), "a value")
}

fn values(words: &mut Words<'_>) -> Result<BTreeSet<Label>, SelectorError> {
    let open = words.next();
    if open.text != "(" {
        return Err(open.unexpected("( and a list of values"));
    }
    let mut found = BTreeSet::new();
    loop {
        found.insert(value(words)?);
        match words.next() {
            word if word.text == ")" => return Ok(found),
            word if word.text == "," => {}
            word => return Err(word.unexpected("a comma or )")),
        }
    }
}

fn label(word: Word<'_>, expected: &'static str) -> Result<Label, SelectorError> {
    if word.text.is_empty() || word.text.starts_with(is_sign) {
        return Err(word.unexpected(expected));
    }
    Label::new(word.text).map_err(|error| SelectorError::Label {
        at: word.at,
        found: word.text.to_string(),
        error,
    })
}

/// A word or a sign; empty at the end.
#[derive(Clone, Copy)]
struct Word<'a> {
    /// Characters before it, and one.
    at: usize,
    text: &'a str,
}

impl Word<'_> {
    fn unexpected(self, expected: &'static str) -> SelectorError {
        SelectorError::Unexpected {
            at: self.at,
            found: self.text.to_string(),
            expected,
        }
    }
}

/// What is left of a text, word by word.
struct Words<'a> {
    at: usize,
    rest: &'a str,
}

impl<'a> Words<'a> {
    fn of(text: &'a str) -> Self {
        let mut words = Self { at: 1, rest: text };
        words.skip_space();
        words
    }

    fn peek(&self) -> Word<'a> {
        let bytes = ["==", "!="]
            .into_iter()
            .find(|sign| self.rest.starts_with(sign))
            .map_or_else(
                || match self.rest.find(|c: char| is_sign(c) || c.is_whitespace()) {
                    // A sign of one byte.
                    Some(0) => 1,
                    Some(bytes) => bytes,
                    None => self.rest.len(),
                },
                str::len,
            );
        Word {
            at: self.at,
            text: &self.rest[..bytes],
        }
    }

    fn next(&mut self) -> Word<'a> {
        let word = self.peek();
        self.skip(word.text.len());
        self.skip_space();
        word
    }

    fn skip_space(&mut self) {
        let bytes = self.rest.len() - self.rest.trim_start().len();
        self.skip(bytes);
    }

    fn skip(&mut self, bytes: usize) {
        self.at += self.rest[..bytes].chars().count();
        self.rest = &self.rest[bytes..];
    }
}

const fn is_sign(c: char) -> bool {
    matches!(c, '=' | '!' | ',' | '(' | ')')
}
