//! Reading the layers of a configuration, the weakest first.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bundle::{AppName, Label, VariableName, limits};

use super::keys::{KEYS, Key, Set};
use super::value::Value;
use super::{Config, ConfigError, Origin};
use crate::cli::nearest;

/// Where the configuration is, unless it is said to be elsewhere.
pub(crate) const DEFAULT_FILE: &str = "/etc/coracle/agent.toml";
/// The environment variable that says where the configuration is.
pub(crate) const FILE_VARIABLE: &str = "CORACLE_CONFIG";
/// Most bytes of one configuration file, which is read into memory.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Most files in `conf.d`.
const FILES_MAX: usize = 256;
/// The one key that holds tables of tables, and has neither flag nor environment variable.
const VARIABLES: &str = "variables";

/// What stands above the files.
pub struct Layers<'a> {
    /// `--config`.
    pub file: Option<PathBuf>,
    /// The settings of the command line: key and value, later ones win.
    pub flags: &'a [(&'static Key, String)],
    /// The environment: a variable's value.
    pub environment: &'a dyn Fn(&str) -> Option<OsString>,
}

/// The configuration: defaults, then the file, then `conf.d/*.toml` next to it by name, then the
/// environment, then the command line. A later layer replaces single keys, and single entries of
/// the tables `labels` and `variables.APP`. An empty environment variable counts as not set.
///
/// # Errors
/// The first setting that is wrong. A configuration file that was named must exist; the default
/// one need not.
pub fn load(layers: &Layers<'_>) -> Result<Config, ConfigError> {
    let mut config = Config::default();
    let from_environment = |name: &str| (layers.environment)(name).filter(|v| !v.is_empty());
    let named = layers
        .file
        .clone()
        .or_else(|| from_environment(FILE_VARIABLE).map(PathBuf::from));
    let file = named.clone().unwrap_or_else(|| DEFAULT_FILE.into());

    match read(&file) {
        Ok(text) => apply_file(&mut config, &file, &text)?,
        Err(e) if e.kind() == io::ErrorKind::NotFound && named.is_none() => {}
        Err(source) => return Err(ConfigError::Read { path: file, source }),
    }
    for path in fragments(&file)? {
        let text = read(&path).map_err(|source| ConfigError::Read {
            path: path.clone(),
            source,
        })?;
        apply_file(&mut config, &path, &text)?;
    }
    for key in &KEYS {
        if let Some(value) = from_environment(&key.variable()) {
            let text = value.into_string().map_err(|_| ConfigError::Value {
                origin: Origin::Environment,
                key: key.name.into(),
                rule: "UTF-8",
            })?;
            apply_text(&mut config, key, &text, &Origin::Environment)?;
        }
    }
    for (key, text) in layers.flags {
        apply_text(&mut config, key, text, &Origin::Flag)?;
    }
    Ok(config)
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?
        .take(FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(text)
}

/// The files of `conf.d` next to `file`, by name.
fn fragments(file: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let folder = file.parent().unwrap_or(Path::new("")).join("conf.d");
    let unreadable = |source| ConfigError::Read {
        path: folder.clone(),
        source,
    };
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(Vec::new());
        }
        Err(source) => return Err(unreadable(source)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            paths.push(path);
        }
        if paths.len() > FILES_MAX {
            return Err(unreadable(io::Error::other("it holds more than 256 files")));
        }
    }
    paths.sort();
    Ok(paths)
}

fn apply_file(config: &mut Config, path: &Path, text: &str) -> Result<(), ConfigError> {
    let table: BTreeMap<String, Value> =
        basic_toml::from_str(text).map_err(|source| ConfigError::Syntax {
            path: path.into(),
            source,
        })?;
    let origin = Origin::File(path.into());
    for (name, value) in table {
        if name == VARIABLES {
            apply_variables(config, value, &origin)?;
            continue;
        }
        let Some(key) = KEYS.iter().find(|key| key.name == name) else {
            let known = KEYS.iter().map(|key| key.name).chain([VARIABLES]);
            let nearest = nearest(&name, known);
            return Err(ConfigError::UnknownKey {
                path: path.into(),
                key: name,
                nearest,
            });
        };
        match (value, &key.set) {
            (Value::Text(text), _) => apply_text(config, key, &text, &origin)?,
            (Value::Table(labels), Set::Labels) => {
                for (label, value) in labels {
                    let Value::Text(value) = value else {
                        return Err(unfit(&origin, &format!("labels.{label}"), "a text"));
                    };
                    apply_label(config, &label, &value, &origin)?;
                }
            }
            (_, Set::Labels) => return Err(unfit(&origin, key.name, "a table of texts")),
            _ => {
                return Err(unfit(
                    &origin,
                    key.name,
                    "a text in quotes, or a whole number",
                ));
            }
        }
    }
    Ok(())
}

fn apply_text(
    config: &mut Config,
    key: &Key,
    text: &str,
    origin: &Origin,
) -> Result<(), ConfigError> {
    match key.set {
        Set::Text(set) => set(config, text).map_err(|rule| unfit(origin, key.name, rule)),
        Set::Path(set) => {
            let path = match origin {
                Origin::Flag => std::path::absolute(text).ok(),
                _ => Some(PathBuf::from(text)).filter(|path| path.is_absolute()),
            };
            let path =
                path.ok_or_else(|| unfit(origin, key.name, "a path that begins with `/`"))?;
            set(config, path);
            Ok(())
        }
        Set::Labels => text
            .split(',')
            .filter(|pair| !pair.is_empty())
            .try_for_each(|pair| {
                let (label, value) = pair
                    .split_once('=')
                    .ok_or_else(|| unfit(origin, key.name, LABELS_RULE))?;
                apply_label(config, label, value, origin)
            }),
    }
}

const LABELS_RULE: &str = "name=value,…, each 1 to 63 letters, digits and inner '-', '_', '.'";

fn apply_label(
    config: &mut Config,
    label: &str,
    value: &str,
    origin: &Origin,
) -> Result<(), ConfigError> {
    if Label::new(label).is_err() || Label::new(value).is_err() {
        return Err(unfit(origin, "labels", LABELS_RULE));
    }
    config.labels.insert(label.into(), value.into());
    Ok(())
}

fn apply_variables(config: &mut Config, value: Value, origin: &Origin) -> Result<(), ConfigError> {
    let Value::Table(apps) = value else {
        return Err(unfit(origin, VARIABLES, "tables: [variables.APP]"));
    };
    for (app, values) in apps {
        let key = format!("{VARIABLES}.{app}");
        AppName::new(&app).map_err(|e| unfit(origin, &key, e.rule))?;
        let Value::Table(values) = values else {
            return Err(unfit(origin, &key, "a table: [variables.APP]"));
        };
        let of_app = config.variables.entry(app).or_default();
        for (name, value) in values {
            let key = format!("{key}.{name}");
            VariableName::new(&name).map_err(|e| unfit(origin, &key, e.rule))?;
            match value {
                Value::Text(text) if text.len() <= limits::VALUE_BYTES_MAX => {
                    of_app.insert(name, text);
                }
                _ => {
                    return Err(unfit(
                        origin,
                        &key,
                        "a text in quotes of at most 4096 bytes",
                    ));
                }
            }
        }
    }
    Ok(())
}

fn unfit(origin: &Origin, key: &str, rule: &'static str) -> ConfigError {
    ConfigError::Value {
        origin: origin.clone(),
        key: key.into(),
        rule,
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
