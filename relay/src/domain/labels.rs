//! The labels of a device: of its configuration, of its token, of its operators.
//!
//! Never normalises: a label that breaks the grammar is an error.

use std::collections::BTreeMap;
use std::fmt;

use bundle::{Label, NameError};

use super::limits::LABELS_MAX;

/// Labels, by name.
pub(crate) type Labels = BTreeMap<Label, Label>;

/// Names that mean something else in a selector, and so are never labels.
pub(crate) const RESERVED: [&str; 2] = ["all", "id"];

/// Why labels cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LabelError {
    /// The name breaks the grammar.
    Name(String, NameError),
    /// The value of this name breaks the grammar.
    Value(String, NameError),
    /// The name means something else in selectors.
    Reserved(String),
    /// There are more than [`LABELS_MAX`].
    TooMany,
}

impl fmt::Display for LabelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name, error) => write!(f, "the name {name:?} of a label is {error}"),
            Self::Value(name, error) => write!(f, "the value of the label {name} is {error}"),
            Self::Reserved(name) => write!(
                f,
                "no label can be called {name:?}, which means something else in selectors"
            ),
            Self::TooMany => write!(f, "a device can have at most {LABELS_MAX} labels"),
        }
    }
}

impl std::error::Error for LabelError {}

/// Labels from text, as an operator gives them.
///
/// # Errors
/// [`LabelError`]: the first that cannot be taken.
pub(crate) fn parse(labels: &BTreeMap<String, String>) -> Result<Labels, LabelError> {
    if labels.len() > LABELS_MAX {
        return Err(LabelError::TooMany);
    }
    labels
        .iter()
        .map(|(name, value)| {
            let error = |error| LabelError::Value(name.clone(), error);
            Ok((parse_name(name)?, Label::new(value).map_err(error)?))
        })
        .collect()
}

/// The name of a label.
///
/// # Errors
/// [`LabelError::Name`] or [`LabelError::Reserved`].
pub(crate) fn parse_name(name: &str) -> Result<Label, LabelError> {
    if RESERVED.contains(&name) {
        return Err(LabelError::Reserved(name.to_string()));
    }
    Label::new(name).map_err(|error| LabelError::Name(name.to_string(), error))
}

/// The labels that count: those of operators win over those of the token, which win over those of
/// the device's configuration. A [reserved](RESERVED) name in a configuration does not count.
pub(crate) fn effective(
    configured: &[(Label, Label)],
    token: &Labels,
    operators: &Labels,
) -> Labels {
    let mut labels: Labels = configured
        .iter()
        .filter(|(name, _)| !RESERVED.contains(&name.as_str()))
        .cloned()
        .collect();
    labels.extend(token.clone());
    labels.extend(operators.clone());
    labels
}

/// Labels as text, for views and for the database.
pub(crate) fn texts(labels: &Labels) -> BTreeMap<String, String> {
    labels
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect()
    }

    #[test]
    fn operators_win_over_the_token_and_the_token_over_the_configuration() {
        let label = |text: &str| Label::new(text).unwrap();
        let configured = [("a", "1"), ("b", "1"), ("c", "1"), ("id", "forged")]
            .map(|(name, value)| (label(name), label(value)));
        let token = parse(&text(&[("b", "2"), ("c", "2")])).unwrap();
        let operators = parse(&text(&[("c", "3")])).unwrap();
        assert_eq!(
            texts(&effective(&configured, &token, &operators)),
            text(&[("a", "1"), ("b", "2"), ("c", "3")])
        );
    }

    #[test]
    fn what_is_no_label_is_refused_with_its_reason() {
        for (name, value, said) in [
            ("", "x", "the name \"\" of a label is not a valid label"),
            ("si te", "x", "the name \"si te\""),
            (
                "site",
                "",
                "the value of the label site is not a valid label",
            ),
            ("site", "-x", "the value of the label site"),
            ("id", "x", "no label can be called \"id\""),
            ("all", "x", "no label can be called \"all\""),
        ] {
            let error = parse(&text(&[(name, value)])).unwrap_err().to_string();
            assert!(error.starts_with(said), "{name}={value}: {error}");
        }
        let many = (0..=LABELS_MAX).map(|i| (format!("l{i}"), "x".to_string()));
        assert_eq!(parse(&many.collect()), Err(LabelError::TooMany));
    }
}
