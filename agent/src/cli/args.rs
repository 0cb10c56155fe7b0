//! From the words of a command line to what is asked. Never reads files, and never asks a clock:
//! the time for `--since 10m` is an argument.

use std::ffi::OsString;
use std::path::PathBuf;

use bundle::Utc;
use lexopt::{Arg, Parser};

use super::nearest;
use super::table::{COMMANDS, Command, Flag, GLOBAL_FLAGS};
use super::usage::UsageError;
use crate::api::{Request, Secret};
use crate::config::{KEYS, Key};

/// What a command line asks for.
pub(super) struct Invocation {
    /// What to do.
    pub(super) ask: Ask,
    /// Whether to print JSON.
    pub(super) json: bool,
    /// Whether to print results only.
    pub(super) quiet: bool,
    /// How often `--verbose` was given.
    pub(super) verbose: u8,
    /// Whether `--no-color` was given.
    pub(super) no_color: bool,
    /// `--config`.
    pub(super) config: Option<PathBuf>,
    /// Settings, in their order.
    pub(super) settings: Vec<(&'static Key, String)>,
}

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// Print the help text: of the agent, or of a command.
    Help(Option<&'static str>),
    /// Print the version.
    Version,
    /// Be the daemon.
    Run,
    /// Check a bundle, in this process.
    Verify {
        /// The bundle file, absolute.
        bundle: PathBuf,
        /// Whether bundles for other devices pass.
        any_target: bool,
    },
    /// Make this device known to a relay.
    Enroll {
        /// The relay's address.
        url: String,
        /// Where its one-time token is.
        token: Token,
    },
    /// Ask the engine.
    Request(Request),
}

/// Where a token is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// On the command line.
    Given(Secret),
    /// In this file; `-` is standard input.
    File(PathBuf),
    /// In the environment.
    Environment,
}

/// A flag of a command, as given.
type Given = (&'static str, Option<OsString>);

/// Reads the words after the program's name; `now_s` is the time, in seconds since 1970.
///
/// # Errors
/// [`UsageError`], which says what is wrong and what is nearest.
pub(super) fn parse(
    words: impl IntoIterator<Item = OsString>,
    now_s: u64,
) -> Result<Invocation, UsageError> {
    let mut parser = Parser::from_args(words);
    let mut invocation = Invocation {
        ask: Ask::Help(None),
        json: false,
        quiet: false,
        verbose: 0,
        no_color: false,
        config: None,
        settings: Vec::new(),
    };
    let (mut help, mut version) = (false, false);
    let mut command: Option<&'static Command> = None;
    let mut operand: Option<OsString> = None;
    let mut given: Vec<Given> = Vec::new();

    while let Some(arg) = parser.next()? {
        let (long, short) = match arg {
            Arg::Value(word) => {
                match command {
                    None => command = Some(find_command(word)?),
                    Some(command) if operand.is_some() || command.operand.is_empty() => {
                        return Err(UsageError::TooMany {
                            command: command.name,
                            word,
                        });
                    }
                    Some(_) => operand = Some(word),
                }
                continue;
            }
            Arg::Long(long) => (Some(long.to_owned()), None),
            Arg::Short(short) => (None, Some(short)),
        };
        let is_it = |flag: &&Flag| {
            long.as_deref().is_some_and(|long| flag.long == long)
                || short.is_some_and(|short| flag.short == Some(short))
        };
        if let Some(flag) = GLOBAL_FLAGS.iter().find(is_it) {
            match flag.long {
                "help" => help = true,
                "version" => version = true,
                "json" => invocation.json = true,
                "quiet" => invocation.quiet = true,
                "verbose" => invocation.verbose = invocation.verbose.saturating_add(1),
                "no-color" => invocation.no_color = true,
                _ => invocation.config = Some(parser.value()?.into()),
            }
        } else if let Some(key) = long.as_deref().and_then(Key::find_flag) {
            let value = parser.value()?;
            invocation.settings.push((key, text(value, &key.flag())?));
        } else if let Some(flag) = command.and_then(|c| c.flags.iter().find(is_it)) {
            let value = flag.value.map(|_| parser.value()).transpose()?;
            given.push((flag.long, value));
        } else {
            let flag = long.unwrap_or_else(|| short.map(String::from).unwrap_or_default());
            return Err(unknown_flag(flag, command));
        }
    }

    invocation.ask = match (help, version, command) {
        (true, _, command) => Ask::Help(command.map(|command| command.name)),
        (_, true, _) => Ask::Version,
        (_, _, None) => return Err(UsageError::NoCommand),
        (_, _, Some(command)) => ask(command, operand, &given, now_s)?,
    };
    Ok(invocation)
}

fn ask(
    command: &'static Command,
    operand: Option<OsString>,
    given: &[Given],
    now_s: u64,
) -> Result<Ask, UsageError> {
    if command.needs_operand() && operand.is_none() {
        return Err(UsageError::Missing {
            command: command.name,
            operand: command.operand,
        });
    }
    let switched = |name: &str| given.iter().any(|(long, _)| *long == name);
    let value = |name: &'static str| {
        let value = given.iter().rev().find(|(long, _)| *long == name);
        value
            .and_then(|(_, value)| value.clone())
            .map(|value| text(value, name))
            .transpose()
    };
    let file = |name: &str| {
        let file = given.iter().rev().find(|(long, _)| *long == name);
        file.and_then(|(_, path)| path.clone()).map(PathBuf::from)
    };
    let bundle = |operand: Option<OsString>| {
        std::path::absolute(operand.unwrap_or_default()).map_err(|_| UsageError::Value {
            what: "BUNDLE".into(),
            rule: "the path of a file",
        })
    };
    let app = |operand: Option<OsString>| operand.map(|app| text(app, "APP")).transpose();
    Ok(Ask::Request(match command.name {
        "run" => return Ok(Ask::Run),
        "verify" => {
            let any_target = switched("any-target");
            return Ok(Ask::Verify {
                bundle: bundle(operand)?,
                any_target,
            });
        }
        "apply" => Request::Apply {
            bundle: bundle(operand)?,
        },
        "plan" => Request::Plan {
            bundle: bundle(operand)?,
        },
        "status" => Request::Status,
        "ps" => Request::Ps,
        "logs" => {
            let (app, service) = match app(operand)? {
                Some(both) => match both.split_once('/') {
                    Some((app, service)) => (Some(app.to_owned()), Some(service.to_owned())),
                    None => (Some(both), None),
                },
                None => (None, None),
            };
            let tail = value("tail")?
                .map(|text| {
                    text.parse::<u32>()
                        .map_err(|_| wrong("tail", "a number of lines"))
                })
                .transpose()?;
            let since = value("since")?
                .map(|text| since(&text, now_s))
                .transpose()?;
            Request::Logs {
                app,
                service,
                tail,
                since,
                follow: switched("follow"),
            }
        }
        "history" => Request::History { app: app(operand)? },
        "rollback" => Request::Rollback { app: app(operand)? },
        "remove" => Request::Remove {
            app: app(operand)?.unwrap_or_default(),
        },
        "doctor" => Request::Doctor,
        "enroll" => {
            let token = match (value("token")?, file("token-file")) {
                (Some(_), Some(_)) => {
                    return Err(wrong("token-file", "left out where there is --token"));
                }
                (Some(token), None) => Token::Given(Secret(token)),
                (None, Some(path)) => Token::File(path),
                (None, None) => Token::Environment,
            };
            let url = text(operand.unwrap_or_default(), "URL")?;
            return Ok(Ask::Enroll { url, token });
        }
        _ => return Err(UsageError::NoCommand),
    }))
}

fn find_command(word: OsString) -> Result<&'static Command, UsageError> {
    let word = word.to_string_lossy().into_owned();
    Command::find(&word).ok_or_else(|| UsageError::UnknownCommand {
        nearest: nearest(&word, COMMANDS.iter().map(|command| command.name)),
        word,
    })
}

fn unknown_flag(flag: String, command: Option<&'static Command>) -> UsageError {
    let keys: Vec<String> = KEYS.iter().map(Key::flag).collect();
    let own = command.map_or(&[][..], |command| command.flags);
    let flags = GLOBAL_FLAGS.iter().chain(own).map(|flag| flag.long);
    UsageError::UnknownFlag {
        nearest: nearest(&flag, flags.chain(keys.iter().map(String::as_str))).map(String::from),
        flag,
        command: command.map(|command| command.name),
    }
}

/// Seconds since 1970 of a time, or of so long ago.
fn since(text: &str, now_s: u64) -> Result<u64, UsageError> {
    let ago = || {
        let unit = match text.as_bytes().last()? {
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 86_400,
            _ => return None,
        };
        let number = text[..text.len() - 1].parse::<u64>().ok()?;
        Some(now_s.saturating_sub(number.checked_mul(unit)?))
    };
    ago()
        .or_else(|| text.parse::<Utc>().ok().map(|Utc(seconds)| seconds))
        .ok_or_else(|| wrong("since", "like 10m, 2h, 7d, or 2026-11-22T05:30:00Z"))
}

fn wrong(flag: &str, rule: &'static str) -> UsageError {
    UsageError::Value {
        what: format!("--{flag}"),
        rule,
    }
}

fn text(value: OsString, flag: &str) -> Result<String, UsageError> {
    value.into_string().map_err(|_| wrong(flag, "UTF-8"))
}

#[cfg(test)]
#[path = "args_tests.rs"]
mod tests;
