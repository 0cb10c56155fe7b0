//! What a device tells people and scripts: logs, history, containers, and its own fitness.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::bench::{Bench, changed, eventually, exit, script};

/// The lines of `agent logs --json`, as service, stream and text.
fn lines(output: &str) -> Result<Vec<(String, String, String)>> {
    let line = |line: &str| -> Result<_> {
        let line: Value =
            serde_json::from_str(line).with_context(|| format!("no JSON: {line:?}"))?;
        let text = |key: &str| line[key].as_str().unwrap_or("?").to_owned();
        Ok((text("service"), text("stream"), text("text")))
    };
    output.lines().map(line).collect()
}

#[test]
fn logs_have_both_streams_and_never_reach_the_terminal_raw() -> Result<()> {
    let bench = Bench::new()?;
    let hostile = r"printf 'one\n'; sleep 1; echo two >&2; sleep 1; printf '\033[2J\033]0;title\007red\rover\n'; exec sleep 100000";
    bench.install(1, &script("always", hostile))?;
    let logs = |arguments: &[&str]| bench.agent.run(&[&["logs"], arguments].concat());
    let all = eventually("three lines", || {
        let all = lines(&logs(&["--json"])?.ok()?.stdout)?;
        Ok((all.len() >= 3).then_some(all))
    })?;
    let of_main =
        |stream: &str, text: &str| ("main".to_owned(), stream.to_owned(), text.to_owned());
    assert_eq!(
        all[..2],
        [of_main("stdout", "one"), of_main("stderr", "two")]
    );
    assert_eq!(
        all[2],
        of_main("stdout", "\u{1b}[2J\u{1b}]0;title\u{7}red\rover"),
        "scripts get what was written"
    );

    let shown = logs(&[])?.ok()?.stdout;
    let control = |c: char| c.is_control() && c != '\n';
    assert!(!shown.contains(control), "{shown:?}");
    assert!(
        shown.contains("title") && shown.contains("over"),
        "{shown:?}"
    );
    assert_eq!(shown.lines().count(), 3);

    assert_eq!(
        lines(&logs(&["app/main", "--tail", "1", "--json"])?.ok()?.stdout)?.len(),
        1
    );
    assert_eq!(logs(&["--since", "2099-01-01T00:00:00Z"])?.ok()?.stdout, "");
    logs(&["app/other"])?.code(exit::FAILURE)?;
    logs(&["other"])?.code(exit::FAILURE)?;
    Ok(())
}

/// Follows the log from the line with this number on to the next one.
fn follows(bench: &Bench, number: u32) -> Result<()> {
    let arguments = ["logs", "app/main", "--follow", "--tail", "1"];
    let mut follow = bench.agent.spawn(&arguments)?;
    follow.wait_for_text(&format!("line {number}"))?;
    bench.exec("main", &["touch", "/tmp/go"])?;
    let seen = follow.wait_for_text(&format!("line {}", number + 1))?;
    assert_eq!(seen.matches("line").count(), 2, "{seen}");
    follow.interrupt()?;
    follow.finish()?.ok()?;
    Ok(())
}

#[test]
fn logs_are_followed_until_ctrl_c() -> Result<()> {
    let bench = Bench::new()?;
    let waits = "n=0; while true; do n=$$((n + 1)); echo line $$n; until rm /tmp/go 2>/dev/null; do sleep 0.1; done; done";
    bench.install(1, &script("always", waits))?;
    follows(&bench, 1)?;
    let daemon = bench.agent.start()?;
    follows(&bench, 2)?;
    assert_eq!(daemon.stop()?, 0);
    Ok(())
}

#[test]
fn history_and_ps_tell_what_happened_and_what_is_there() -> Result<()> {
    let bench = Bench::new()?;
    let runs = script("always", "exec sleep 100000");
    let v1 = bench.install(1, &runs)?;
    let v2 = bench.pack(2, &script("no", "exit 3"))?;
    bench.agent.apply(&v2)?.code(exit::ROLLED_BACK)?;
    let v3 = bench.pack(3, &runs)?;
    let flipped = changed(&v3, "flipped.bin", |bytes| {
        *bytes.last_mut().expect("bytes") ^= 1
    })?;
    bench.agent.apply(&flipped)?.code(exit::REFUSED)?;
    bench.agent.apply(&v1)?.code(exit::ALREADY_CURRENT)?;
    bench.agent.apply(&v3)?.ok()?;
    bench.agent.apply(&v1)?.code(exit::REFUSED)?;
    bench.agent.run(&["rollback"])?.ok()?;

    let history = bench.agent.run(&["history", "--json"])?.json()?;
    let short: Vec<Value> = history
        .as_array()
        .context("a list")?
        .iter()
        .map(|entry| json!([entry["version"], entry["result"], entry["generation"]]))
        .collect();
    let expected = json!([
        ["1.0", "committed", 4],
        ["1.0", "refused", null],
        ["3.0", "committed", 3],
        ["3.0", "refused", null],
        ["2.0", "rolled_back", 2],
        ["1.0", "committed", 1],
    ]);
    assert_eq!(json!(short), expected);
    assert_eq!(history[4]["cause"], "main exited with code 3");
    let text = bench.agent.run(&["history", "app"])?.ok()?.stdout;
    assert!(text.contains("main exited with code 3"), "{text}");

    let listed = bench.agent.run(&["ps", "--json"])?.json()?;
    let one = &listed[0];
    let main = bench.container("main")?;
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
    let image = test_images::info(&test_images::tiny(test_images::Version::V1)?)?.image_id;
    assert_eq!(
        json!([
            one["app"],
            one["service"],
            one["name"],
            one["id"],
            one["state"],
            one["healthy"],
            one["restarts"],
            one["exit_code"],
            one["image_id"]
        ]),
        json!([
            "app", "main", main.name, main.id, "running", null, 0, null, image
        ])
    );
    assert!(bench.agent.run(&["ps"])?.ok()?.stdout.contains("main"));
    Ok(())
}

/// The results of `agent doctor`, by name.
fn doctor(bench: &Bench, code: i32) -> Result<Vec<(String, String)>> {
    let outcome = bench.agent.run(&["doctor", "--json"])?.code(code)?;
    let checks: Value = serde_json::from_str(&outcome.stdout)?;
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    let checks = checks.as_array().context("a list")?;
    for check in checks {
        anyhow::ensure!(!text(&check["found"]).is_empty(), "{check}");
        let unwell = check["result"] == "failed";
        anyhow::ensure!(
            !unwell || text(&check["hint"]).len() > 10,
            "no hint: {check}"
        );
    }
    Ok(checks
        .iter()
        .map(|check| (text(&check["name"]), text(&check["result"])))
        .collect())
}

#[test]
fn doctor_finds_what_is_wrong() -> Result<()> {
    let mut bench = Bench::new()?;
    bench.install(1, &script("always", "exec sleep 100000"))?;
    let failed = |checks: &[(String, String)]| -> Vec<String> {
        checks
            .iter()
            .filter(|(_, result)| result == "failed")
            .map(|(name, _)| name.clone())
            .collect()
    };
    let healthy = doctor(&bench, 0)?;
    assert_eq!(failed(&healthy), [""; 0]);
    for name in ["state", "apps", "keys", "runtime"] {
        assert!(
            healthy.contains(&(name.to_owned(), "ok".to_owned())),
            "{name}: {healthy:?}"
        );
    }
    let aside = bench.agent.keys_dir().with_extension("aside");
    std::fs::rename(bench.agent.keys_dir(), &aside)?;
    assert_eq!(failed(&doctor(&bench, exit::FAILURE)?), ["apps", "keys"]);
    std::fs::rename(&aside, bench.agent.keys_dir())?;
    bench.podman.stop()?;
    assert_eq!(failed(&doctor(&bench, exit::FAILURE)?), ["runtime"]);
    bench.podman.start_again()?;
    for slot in ["state.a", "state.b"] {
        std::fs::write(bench.agent.state_dir().join(slot), vec![7; 4096])?;
    }
    assert!(failed(&doctor(&bench, exit::FAILURE)?).contains(&"state".to_owned()));

    // The next agent rebuilds it from what is stored and what runs.
    let before = bench.containers()?;
    let daemon = bench.agent.start()?;
    eventually("the state to be rebuilt", || {
        Ok((bench.agent.status()?["apps"][0]["version"] == "1.0").then_some(()))
    })?;
    assert_eq!(bench.containers()?, before);
    assert_eq!(failed(&doctor(&bench, 0)?), [""; 0]);
    bench.install(2, &script("always", "exec sleep 9999"))?;
    assert_eq!(daemon.stop()?, 0);
    Ok(())
}
