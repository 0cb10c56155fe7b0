//! `${NAME}` in Compose files (Compose specification, "Interpolation").
//!
//! Two kinds of names: those of the pack-time environment (`--env-file`) are replaced here; those
//! declared as variables of the app stay for the device, and only where the device renders text.
//! Never reads the environment of the process: the same input gives the same bundle.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The names that `${NAME}` can mean.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    /// Values known at pack time.
    pub(crate) env: BTreeMap<String, String>,
    /// Variables of the app, whose values only the device knows.
    pub(crate) declared: BTreeSet<String>,
}

/// Who reads the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// Anybody: plain text, in which declared variables cannot stand.
    Plain,
    /// The device's template renderer: declared variables stay, each dollar sign is `$$`.
    Template,
}

/// Why a text cannot be interpolated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum InterpolateError {
    /// `$` is followed by nothing that means anything.
    Syntax,
    /// The name is known neither at pack time nor as a variable.
    Undefined(String),
    /// `${NAME:?message}` of a name without a value.
    Required { name: String, message: String },
    /// A declared variable where the device renders nothing.
    NotHere(String),
    /// A declared variable with an operator such as `:-default`.
    Operator(String),
}

impl fmt::Display for InterpolateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax => f.write_str("a lone $ means nothing here: write $$ for a dollar sign"),
            Self::Undefined(name) => write!(
                f,
                "${{{name}}} is not defined: give it with --env-file, or declare it under x-coracle.variables"
            ),
            Self::Required { name, message } => write!(f, "${{{name}}} is required: {message}"),
            Self::NotHere(name) => write!(
                f,
                "${{{name}}} is a variable of the app, and those work only in environment values and in files with template: true"
            ),
            Self::Operator(name) => write!(
                f,
                "${{{name}}} is a variable of the app: its default belongs under x-coracle.variables, not here"
            ),
        }
    }
}

impl Scope {
    /// `text` with every `$…` replaced as `reader` needs it.
    pub(crate) fn interpolate(
        &self,
        text: &str,
        reader: Reader,
    ) -> Result<String, InterpolateError> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(dollar) = rest.find('$') {
            out.push_str(&rest[..dollar]);
            let after = &rest[dollar + 1..];
            if let Some(next) = after.strip_prefix('$') {
                out.push_str(dollar_sign(reader));
                rest = next;
            } else if let Some(inner) = after.strip_prefix('{') {
                let end = closing(inner).ok_or(InterpolateError::Syntax)?;
                out.push_str(&self.braced(&inner[..end], reader)?);
                rest = &inner[end + 1..];
            } else {
                let end = name_end(after);
                if end == 0 {
                    return Err(InterpolateError::Syntax);
                }
                out.push_str(&self.braced(&after[..end], reader)?);
                rest = &after[end..];
            }
        }
        out.push_str(rest);
        Ok(out)
    }

    /// The text that stands for what was between `${` and `}`.
    fn braced(&self, inner: &str, reader: Reader) -> Result<String, InterpolateError> {
        let (name, operator) = inner.split_at(name_end(inner));
        if name.is_empty() {
            return Err(InterpolateError::Syntax);
        }
        if self.declared.contains(name) {
            return match (reader, operator) {
                (_, operator) if !operator.is_empty() => {
                    Err(InterpolateError::Operator(name.to_string()))
                }
                (Reader::Plain, _) => Err(InterpolateError::NotHere(name.to_string())),
                (Reader::Template, _) => Ok(format!("${{{name}}}")),
            };
        }
        let value = self.env.get(name).map(String::as_str);
        let (value, operator) = match operator.strip_prefix(':') {
            Some(operator) => (value.filter(|value| !value.is_empty()), operator),
            None => (value, operator),
        };
        let mut chars = operator.chars();
        let word = |chars: std::str::Chars<'_>| self.interpolate(chars.as_str(), reader);
        match (chars.next(), value) {
            (None, _) if inner.ends_with(':') => Err(InterpolateError::Syntax),
            (None | Some('-' | '?'), Some(value)) => Ok(literal(value, reader)),
            (None, None) => Err(InterpolateError::Undefined(name.to_string())),
            (Some('-'), None) => word(chars),
            (Some('?'), None) => Err(InterpolateError::Required {
                name: name.to_string(),
                message: word(chars)?,
            }),
            (Some('+'), Some(_)) => word(chars),
            (Some('+'), None) => Ok(String::new()),
            (Some(_), _) => Err(InterpolateError::Syntax),
        }
    }
}

/// A text in which nothing is replaced, as `reader` needs it.
pub(crate) fn literal(text: &str, reader: Reader) -> String {
    text.replace('$', dollar_sign(reader))
}

fn dollar_sign(reader: Reader) -> &'static str {
    match reader {
        Reader::Plain => "$",
        Reader::Template => "$$",
    }
}

/// Where the name at the beginning of `text` ends.
fn name_end(text: &str) -> usize {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(text.len())
}

/// Where the brace that closes `text` is, nested ones skipped.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (index, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(index),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> Scope {
        Scope {
            env: [("A", "one"), ("EMPTY", ""), ("COST", "$5")]
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .into(),
            declared: BTreeSet::from(["SITE".to_string()]),
        }
    }

    #[test]
    fn pack_time_names() {
        for (text, want) in [
            ("plain", "plain"),
            ("$A-${A}", "one-one"),
            ("$$A", "$A"),
            ("${NO:-x}", "x"),
            ("${NO-x}", "x"),
            ("${EMPTY:-x}", "x"),
            ("${EMPTY-x}", ""),
            ("${A:-x}", "one"),
            ("${NO:-${A}b}", "oneb"),
            ("${A:+set}${NO:+set}${EMPTY:+set}${EMPTY+set}", "setset"),
            ("${A:?no}", "one"),
            ("${COST}", "$5"),
        ] {
            assert_eq!(
                scope().interpolate(text, Reader::Plain).as_deref(),
                Ok(want),
                "{text}"
            );
        }
    }

    #[test]
    fn templates_keep_variables_and_double_dollars() {
        for (text, want) in [
            ("${SITE} $SITE", "${SITE} ${SITE}"),
            ("$$", "$$"),
            ("${COST}", "$$5"),
            ("${NO:-${SITE}}", "${SITE}"),
        ] {
            assert_eq!(
                scope().interpolate(text, Reader::Template).as_deref(),
                Ok(want),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_refused() {
        use InterpolateError::*;
        for (text, want) in [
            ("$", Syntax),
            ("a $ b", Syntax),
            ("${", Syntax),
            ("${}", Syntax),
            ("${A:}", Syntax),
            ("${A!x}", Syntax),
            ("$1", Syntax),
            ("${NO}", Undefined("NO".into())),
            (
                "${EMPTY:?give it}",
                Required {
                    name: "EMPTY".into(),
                    message: "give it".into(),
                },
            ),
            ("${SITE}", NotHere("SITE".into())),
            ("${SITE:-x}", Operator("SITE".into())),
        ] {
            assert_eq!(
                scope().interpolate(text, Reader::Plain),
                Err(want),
                "{text}"
            );
        }
    }
}
