//! Which layer wins, and what a wrong setting says.

use super::*;
use crate::api::Failure;

/// A folder with an `agent.toml` and a `conf.d`.
fn folder(agent: &str, fragments: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("agent.toml"), agent).unwrap();
    std::fs::create_dir(folder.path().join("conf.d")).unwrap();
    for (name, text) in fragments {
        std::fs::write(folder.path().join("conf.d").join(name), text).unwrap();
    }
    folder
}

fn load_with(
    folder: &tempfile::TempDir,
    environment: &[(&str, &str)],
    flags: &[(&str, &str)],
) -> Result<Config, ConfigError> {
    let flags: Vec<_> = flags
        .iter()
        .map(|(key, value)| {
            (
                Key::find_flag(&Key::flag_of(key)).unwrap(),
                (*value).to_owned(),
            )
        })
        .collect();
    load(&Layers {
        file: Some(folder.path().join("agent.toml")),
        flags: &flags,
        environment: &|name| {
            environment
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, value)| (*value).into())
        },
    })
}

fn message(agent: &str) -> (String, String) {
    let folder = folder(agent, &[]);
    let failure = Failure::from(load_with(&folder, &[], &[]).unwrap_err());
    assert_eq!(failure.code, crate::exit::USAGE);
    (
        failure.message.replace(folder.path().to_str().unwrap(), ""),
        failure.hint,
    )
}

#[test]
fn the_command_line_beats_the_environment_which_beats_the_files() {
    let folder = folder("fleet = 'a'\n", &[]);
    let fleet = |environment: &[_], flags: &[_]| {
        load_with(&folder, environment, flags)
            .unwrap()
            .fleet
            .to_string()
    };
    assert_eq!(fleet(&[], &[]), "a");
    assert_eq!(fleet(&[("CORACLE_FLEET", "b")], &[]), "b");
    assert_eq!(
        fleet(&[("CORACLE_FLEET", "")], &[]),
        "a",
        "empty counts as not set"
    );
    assert_eq!(fleet(&[("CORACLE_FLEET", "b")], &[("fleet", "c")]), "c");
    assert_eq!(fleet(&[], &[("fleet", "c"), ("fleet", "d")]), "d");
}

#[test]
fn every_key_works_in_a_file_the_environment_and_on_the_command_line() {
    let value = |key: &Key| match key.name {
        "runtime" => "podman:///run/p.sock",
        "relay" | "proxy" => "https://relay.example",
        "log_level" => "debug",
        "labels" => "site=a",
        "rate_max" | "byte_budget_month" => "5M",
        "time_zone" => "Europe/Rome",
        name if name.ends_with("dir") || name.ends_with("file") || name.ends_with("socket") => "/x",
        "relay_ca" => "/x",
        _ => "other",
    };
    for key in &KEYS {
        let empty = folder("", &[]);
        let filled = folder(&format!("{} = '{}'\n", key.name, value(key)), &[]);
        let by_file = load_with(&filled, &[], &[]).unwrap();
        let by_flag = load_with(&empty, &[], &[(key.name, value(key))]).unwrap();
        let by_variable = load_with(&empty, &[(&key.variable(), value(key))], &[]).unwrap();
        assert!(by_file != Config::default(), "{}", key.name);
        assert!(by_file == by_flag && by_file == by_variable, "{}", key.name);
    }
}

#[test]
fn fragments_come_by_name_and_tables_merge_entry_by_entry() {
    let folder = folder(
        "fleet = 'a'\n[labels]\nsite = 'a'\nroom = 1\n[variables.kiosk]\nTITLE = 'x'\nCOUNT = 3\n",
        &[
            ("20.toml", "fleet = 'c'\n[variables.kiosk]\nTITLE = 'z'\n"),
            (
                "10.toml",
                "fleet = 'b'\nlabels = { room = 2 }\n[variables.till]\nON = true\n",
            ),
            ("30.txt", "not a fragment"),
        ],
    );
    let config = load_with(&folder, &[], &[("labels", "floor=3,site=b")]).unwrap();
    assert_eq!(config.fleet.as_str(), "c");
    let labels: Vec<_> = config
        .labels
        .iter()
        .map(|(k, v)| format!("{k}={v}"))
        .collect();
    assert_eq!(labels, ["floor=3", "room=2", "site=b"]);
    assert_eq!(config.variables["kiosk"]["TITLE"], "z");
    assert_eq!(config.variables["kiosk"]["COUNT"], "3");
    assert_eq!(config.variables["till"]["ON"], "true");
    assert!(
        !format!("{config:?}").contains("TITLE"),
        "variables stay out of the log"
    );
}

#[test]
fn what_is_wrong_is_said_with_file_and_key() {
    for (agent, wanted, hint) in [
        (
            "stat_dir = '/x'",
            "unknown key `stat_dir` in /agent.toml",
            "Did you mean `state_dir`?",
        ),
        (
            "[variable.kiosk]\nA = 1",
            "unknown key `variable` in /agent.toml",
            "Did you mean `variables`?",
        ),
        ("zzz = 1", "unknown key `zzz` in /agent.toml", ""),
        (
            "state_dir = 'x'",
            "`state_dir` in /agent.toml does not fit: it must be a path that begins with `/`",
            "",
        ),
        (
            "fleet = ['a']",
            "`fleet` in /agent.toml does not fit: it must be a text in quotes, or a whole number",
            "",
        ),
        (
            "[variables.kiosk]\nRATIO = 1.10",
            "`variables.kiosk.RATIO` in /agent.toml does not fit: it must be a text in quotes of \
             at most 4096 bytes",
            "",
        ),
        (
            "[variables.kiosk]\n1A = 'x'",
            "`variables.kiosk.1A` in /agent.toml does not fit: it must be 1 to 64 letters, digits \
             and '_', not beginning with a digit",
            "",
        ),
        (
            "runtime = 'docker'",
            "`runtime` in /agent.toml does not fit: it must be podman:///path.sock or \
             containerd:///path.sock",
            "",
        ),
    ] {
        assert_eq!(message(agent), (wanted.into(), hint.into()), "{agent}");
    }
    let (syntax, _) = message("fleet = \n");
    assert!(
        syntax.starts_with("/agent.toml is not valid TOML: "),
        "{syntax}"
    );
    assert!(syntax.contains("line 1"), "{syntax}");

    let folder = folder("", &[]);
    let error = load_with(&folder, &[("CORACLE_STATE_DIR", "x")], &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "CORACLE_STATE_DIR does not fit: it must be a path that begins with `/`"
    );
    let error = load_with(&folder, &[], &[("log_level", "loud")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "--log-level does not fit: it must be one of error, warn, info, debug, trace, off"
    );
}

#[test]
fn a_file_that_was_named_must_exist() {
    let layers = |environment| Layers {
        file: None,
        flags: &[],
        environment,
    };
    let missing = |name: &str| (name == FILE_VARIABLE).then(|| "/nonexistent/agent.toml".into());
    assert!(matches!(
        load(&layers(&missing)),
        Err(ConfigError::Read { .. })
    ));
}
