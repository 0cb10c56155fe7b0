//! Replaces `${NAME}` by the values of variables, in environment and templated files.
//!
//! One pass: what a value holds is never looked at again, so a value cannot name another.

use alloc::string::{String, ToString};
use core::fmt;

use crate::values::Values;

/// Why a template cannot be rendered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TemplateError {
    /// `${NAME}` of a variable that the app does not declare.
    Undeclared(String),
    /// A `${` without its `}`, counted in bytes from the start.
    Unclosed(usize),
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Undeclared(name) => {
                let name = name.escape_debug();
                write!(
                    f,
                    "${{{name}}} is not a declared variable: declare it, or write $${{{name}}} for the text itself"
                )
            }
            Self::Unclosed(at) => {
                write!(
                    f,
                    "the ${{ at byte {at} has no }}: close it, or write $${{ for the text itself"
                )
            }
        }
    }
}

impl core::error::Error for TemplateError {}

/// A part of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part<'a> {
    Text(&'a str),
    Name(&'a str),
}

/// The parts of a template: `${NAME}` is a name, `$$` the text `$`, any other `$` itself.
fn parts(text: &str) -> impl Iterator<Item = Result<Part<'_>, TemplateError>> {
    let mut rest = text;
    core::iter::from_fn(move || {
        let at = text.len() - rest.len();
        if rest.is_empty() {
            return None;
        }
        if let Some(after) = rest.strip_prefix("$$") {
            rest = after;
            return Some(Ok(Part::Text("$")));
        }
        if let Some(after) = rest.strip_prefix("${") {
            let Some((name, after)) = after.split_once('}') else {
                rest = "";
                return Some(Err(TemplateError::Unclosed(at)));
            };
            rest = after;
            return Some(Ok(Part::Name(name)));
        }
        // A `$` at the start is a lone one here: it belongs to the text after it.
        let end = rest
            .char_indices()
            .skip(1)
            .find(|(_, c)| *c == '$')
            .map_or(rest.len(), |(i, _)| i);
        let (plain, after) = rest.split_at(end);
        rest = after;
        Some(Ok(Part::Text(plain)))
    })
}

/// The text with each `${NAME}` replaced by the variable's value and each `$$` by `$`; a `$`
/// before anything else stays.
///
/// # Errors
/// [`TemplateError`]: a name without a value, or a `${` without its `}`.
///
/// ```
/// use bundle::{template, values::Values};
/// let none = Values::default();
/// assert_eq!(template::render("costs $5, or $${PRICE}", &none).as_deref(), Ok("costs $5, or ${PRICE}"));
/// assert!(template::render("${PRICE}", &none).is_err());
/// ```
pub fn render(text: &str, values: &Values) -> Result<String, TemplateError> {
    let mut out = String::with_capacity(text.len());
    for part in parts(text) {
        match part? {
            Part::Text(plain) => out.push_str(plain),
            Part::Name(name) => out.push_str(
                values
                    .get(name)
                    .ok_or_else(|| TemplateError::Undeclared(name.to_string()))?,
            ),
        }
    }
    Ok(out)
}

/// Checks that each `${NAME}` in the text is declared, without any values.
///
/// # Errors
/// As [`render`].
pub fn check(text: &str, is_declared: impl Fn(&str) -> bool) -> Result<(), TemplateError> {
    for part in parts(text) {
        match part? {
            Part::Name(name) if !is_declared(name) => {
                return Err(TemplateError::Undeclared(name.to_string()));
            }
            _ => {}
        }
    }
    Ok(())
}
