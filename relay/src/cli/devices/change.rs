//! Changes as people write them: `NAME=VALUE` sets, `NAME-` takes away.

use std::str::FromStr;

use bundle::{AppName, Label, VariableName};

/// A change of a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LabelEdit {
    Set(Label, Label),
    Remove(Label),
}

/// A change of a variable's value.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum VariableEdit {
    Set(AppName, VariableName, String),
    Remove(AppName, VariableName),
}

impl std::fmt::Debug for VariableEdit {
    /// Without the value, which may be secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Set(app, name, _) => write!(f, "{app}.{name}=…"),
            Self::Remove(app, name) => write!(f, "{app}.{name}-"),
        }
    }
}

impl FromStr for LabelEdit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains('=') {
            let (name, value) = crate::cli::token::label(text)?;
            return Ok(Self::Set(name, value));
        }
        // No label ends in a hyphen.
        let name = text
            .strip_suffix('-')
            .ok_or("expected NAME=VALUE to set a label, or NAME- to take it away")?;
        Ok(Self::Remove(parsed(name)?))
    }
}

impl FromStr for VariableEdit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "expected APP.NAME=VALUE to set a value, or APP.NAME- to take it away";
        let (whole, value) = match text.split_once('=') {
            Some((whole, value)) => (whole, Some(value)),
            None => (text.strip_suffix('-').ok_or(expected)?, None),
        };
        let (app, name) = whole.split_once('.').ok_or(expected)?;
        let (app, name) = (parsed(app)?, parsed(name)?);
        Ok(match value {
            Some(value) => Self::Set(app, name, value.to_string()),
            None => Self::Remove(app, name),
        })
    }
}

fn parsed<T: FromStr<Err: ToString>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_changes() {
        let label = |text: &str| text.parse::<Label>().unwrap();
        assert_eq!(
            "site=harbour".parse(),
            Ok(LabelEdit::Set(label("site"), label("harbour")))
        );
        assert_eq!("site-a-".parse(), Ok(LabelEdit::Remove(label("site-a"))));
        for text in ["site", "-", "site--", "=x", "a b-", "site=x-"] {
            assert!(text.parse::<LabelEdit>().is_err(), "{text}");
        }
    }

    #[test]
    fn variable_changes() {
        let edit = |text: &str| match text.parse::<VariableEdit>() {
            Ok(VariableEdit::Set(app, name, value)) => format!("{app} {name} [{value}]"),
            Ok(VariableEdit::Remove(app, name)) => format!("{app} {name} gone"),
            Err(_) => "no".to_string(),
        };
        for (text, wanted) in [
            ("kiosk.SITE=a=b.c-", "kiosk SITE [a=b.c-]"),
            ("kiosk.SITE=", "kiosk SITE []"),
            ("my-app.SITE-", "my-app SITE gone"),
            ("kiosk.SITE", "no"),
            ("SITE=x", "no"),
            ("kiosk.SI-TE=x", "no"),
            ("Kiosk.SITE=x", "no"),
            (".SITE-", "no"),
        ] {
            assert_eq!(edit(text), wanted, "{text}");
        }
    }

    #[test]
    fn a_value_is_not_debugged() {
        let edit: VariableEdit = "kiosk.PIN=1234".parse().unwrap();
        assert_eq!(format!("{edit:?}"), "kiosk.PIN=…");
    }
}
