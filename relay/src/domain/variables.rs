//! The values of variables that the relay gives a device.
//!
//! Never shows a value: errors name the variable and say what would fit.

use std::collections::BTreeMap;
use std::fmt;

use bundle::limits::VALUE_BYTES_MAX;
use bundle::manifest::Variable;
use bundle::values::{Misfit, check};
use bundle::{AppName, NameError, VariableName};

use super::limits::{APPS_MAX, VARIABLES_BYTES_MAX};

/// Values, by app and name.
pub(crate) type Variables = BTreeMap<AppName, BTreeMap<VariableName, String>>;

/// Why a change of variables cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum VariableError {
    /// The name of the app breaks the grammar.
    App(String, NameError),
    /// The name of the variable breaks the grammar.
    Name(String, NameError),
    /// The value has more than [`VALUE_BYTES_MAX`] bytes, or a NUL.
    Value(AppName, VariableName),
    /// No bundle of the app that fits the device declares the variable.
    Unknown(AppName, VariableName),
    /// The value does not fit the signed schema.
    Misfit(AppName, VariableName, Misfit),
    /// All values of the device together have more than [`VARIABLES_BYTES_MAX`] bytes, or are of
    /// more than [`APPS_MAX`] apps.
    TooMuch,
}

impl fmt::Display for VariableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::App(app, error) => write!(f, "{app:?} is {error}"),
            Self::Name(name, error) => write!(f, "{name:?} is {error}"),
            Self::Value(app, name) => write!(
                f,
                "the value of {app}.{name} must have at most {VALUE_BYTES_MAX} bytes and no NUL"
            ),
            Self::Unknown(app, name) => write!(
                f,
                "the newest bundle of {app} that fits the device declares no variable {name}"
            ),
            Self::Misfit(app, name, misfit) => {
                write!(f, "the value of {app}.{name} does not fit: {misfit}")
            }
            Self::TooMuch => write!(
                f,
                "a device can have at most {} KiB of values, of at most {APPS_MAX} apps",
                VARIABLES_BYTES_MAX >> 10
            ),
        }
    }
}

impl std::error::Error for VariableError {}

/// A change of the values of one device, with its names checked.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Change {
    /// Values to set.
    pub(crate) set: Variables,
    /// Values to take away.
    pub(crate) remove: Vec<(AppName, VariableName)>,
}

impl Change {
    /// From what an operator asks for.
    ///
    /// # Errors
    /// [`VariableError`]: a name or value that no app could have.
    pub(crate) fn parse(
        change: &relay_api::operator::VariableChange,
    ) -> Result<Self, VariableError> {
        let mut set = Variables::new();
        for (app, values) in &change.set {
            let app = app_name(app)?;
            let of_app = set.entry(app.clone()).or_default();
            for (name, value) in values {
                let name = variable_name(name)?;
                if value.len() > VALUE_BYTES_MAX || value.contains('\0') {
                    return Err(VariableError::Value(app, name));
                }
                of_app.insert(name, value.clone());
            }
        }
        let remove = change
            .remove
            .iter()
            .map(|(app, name)| Ok((app_name(app)?, variable_name(name)?)))
            .collect::<Result<_, _>>()?;
        Ok(Self { set, remove })
    }

    /// Whether the values to set fit the schema of their app, where one is known: `schema` gives
    /// the variables of the newest bundle that fits the device. Values of an app that nobody has
    /// published yet are kept for when somebody does.
    ///
    /// # Errors
    /// [`VariableError::Unknown`] or [`VariableError::Misfit`].
    pub(crate) fn check<'a>(
        &self,
        schema: impl Fn(&AppName) -> Option<&'a [Variable]>,
    ) -> Result<(), VariableError> {
        for (app, values) in &self.set {
            let Some(declared) = schema(app) else {
                continue;
            };
            for (name, value) in values {
                let variable = declared
                    .iter()
                    .find(|variable| variable.name == *name)
                    .ok_or_else(|| VariableError::Unknown(app.clone(), name.clone()))?;
                check(variable, value)
                    .map_err(|misfit| VariableError::Misfit(app.clone(), name.clone(), misfit))?;
            }
        }
        Ok(())
    }

    /// The values after the change.
    ///
    /// # Errors
    /// [`VariableError::TooMuch`].
    pub(crate) fn apply(&self, mut values: Variables) -> Result<Variables, VariableError> {
        for (app, name) in &self.remove {
            if let Some(of_app) = values.get_mut(app) {
                of_app.remove(name);
            }
        }
        for (app, changed) in &self.set {
            values
                .entry(app.clone())
                .or_default()
                .extend(changed.clone());
        }
        values.retain(|_, of_app| !of_app.is_empty());
        let bytes: usize = values
            .values()
            .flatten()
            .map(|(name, value)| name.as_str().len() + value.len())
            .sum();
        if bytes > VARIABLES_BYTES_MAX || values.len() > APPS_MAX {
            return Err(VariableError::TooMuch);
        }
        Ok(values)
    }

    /// What it changes, in words without values: `kiosk.SITE kiosk.PORT-`.
    pub(crate) fn summary(&self) -> String {
        let set = self
            .set
            .iter()
            .flat_map(|(app, values)| values.keys().map(move |name| format!("{app}.{name}")));
        let removed = self
            .remove
            .iter()
            .map(|(app, name)| format!("{app}.{name}-"));
        set.chain(removed).collect::<Vec<_>>().join(" ")
    }
}

fn app_name(app: &str) -> Result<AppName, VariableError> {
    AppName::new(app).map_err(|error| VariableError::App(app.to_string(), error))
}

fn variable_name(name: &str) -> Result<VariableName, VariableError> {
    VariableName::new(name).map_err(|error| VariableError::Name(name.to_string(), error))
}
