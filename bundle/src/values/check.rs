//! Whether a value fits its variable, and whether a variable makes sense.

use std::fmt;

use regex_lite::{Regex, RegexBuilder};

use crate::limits::{PATTERN_BYTES_MAX, PATTERN_MEMORY_MAX, VALUE_BYTES_MAX};
use crate::manifest::{Text, Variable, VariableKind};

/// Why a value does not fit its variable.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misfit {
    /// It is longer than [`VALUE_BYTES_MAX`] bytes.
    TooLong,
    /// It holds a control character, such as a line break, where no pattern allows it.
    Control,
    /// It does not match the pattern.
    Pattern(Text),
    /// It is not a whole number within these bounds, both included.
    Integer {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
    },
    /// It is neither `true` nor `false`.
    Boolean,
    /// It is none of these.
    Choice(Vec<Text>),
    /// The variable's own pattern is not sound; verified bundles have no such.
    Schema,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "it must have at most {VALUE_BYTES_MAX} bytes"),
            Self::Control => f.write_str("it must be one line without control characters"),
            Self::Pattern(pattern) => write!(f, "it must match the pattern {pattern}"),
            Self::Integer { min, max } => {
                write!(f, "it must be a whole number from {min} to {max}")
            }
            Self::Boolean => f.write_str("it must be true or false"),
            Self::Choice(choices) => {
                f.write_str("it must be one of ")?;
                for (i, choice) in choices.iter().enumerate() {
                    write!(f, "{}{choice}", if i == 0 { "" } else { ", " })?;
                }
                Ok(())
            }
            Self::Schema => f.write_str("the pattern of the variable is not sound"),
        }
    }
}

impl std::error::Error for Misfit {}

/// Whether `value` fits `variable` (clause B62).
///
/// # Errors
/// [`Misfit`], which says what would fit and does not repeat the value.
pub fn check(variable: &Variable, value: &str) -> Result<(), Misfit> {
    if value.len() > VALUE_BYTES_MAX {
        return Err(Misfit::TooLong);
    }
    if value.contains('\0') {
        return Err(Misfit::Control);
    }
    match &variable.kind {
        VariableKind::Text { pattern: None } if value.chars().any(char::is_control) => {
            Err(Misfit::Control)
        }
        VariableKind::Text { pattern: None } => Ok(()),
        VariableKind::Text {
            pattern: Some(pattern),
        } => match compile(pattern) {
            Some(regex) if regex.is_match(value) => Ok(()),
            Some(_) => Err(Misfit::Pattern(pattern.clone())),
            None => Err(Misfit::Schema),
        },
        VariableKind::Integer { min, max } => match integer(value) {
            Some(number) if (*min..=*max).contains(&number) => Ok(()),
            _ => Err(Misfit::Integer {
                min: *min,
                max: *max,
            }),
        },
        VariableKind::Boolean if matches!(value, "true" | "false") => Ok(()),
        VariableKind::Boolean => Err(Misfit::Boolean),
        VariableKind::Choice(choices) if choices.iter().any(|choice| choice.as_str() == value) => {
            Ok(())
        }
        VariableKind::Choice(choices) => Err(Misfit::Choice(choices.clone())),
    }
}

/// Whether the kind of a variable can be fitted at all (clause B61).
pub(crate) fn is_sound(kind: &VariableKind) -> bool {
    match kind {
        VariableKind::Text { pattern } => pattern.as_ref().is_none_or(|p| compile(p).is_some()),
        VariableKind::Integer { min, max } => min <= max,
        VariableKind::Boolean => true,
        VariableKind::Choice(choices) => {
            !choices.is_empty() && (1..choices.len()).all(|i| !choices[..i].contains(&choices[i]))
        }
    }
}

/// Decimal, without a plus sign or leading zeros, so that each number has one text.
fn integer(value: &str) -> Option<i64> {
    value
        .parse::<i64>()
        .ok()
        .filter(|number| number.to_string() == value)
}

/// The pattern as a regex that must match the whole value.
fn compile(pattern: &str) -> Option<Regex> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return None;
    }
    let build = |text: &str| {
        RegexBuilder::new(text)
            .size_limit(PATTERN_MEMORY_MAX)
            .build()
            .ok()
    };
    // The pattern must be sound by itself, or `a)|(b` would escape from the group below. The
    // line break ends a comment that the pattern may hold in its verbose mode.
    build(pattern)?;
    build(&format!("^(?:{pattern})$")).or_else(|| build(&format!("^(?:{pattern}\n)$")))
}
