//! What runs is kept running: crashes, one-shots, dependencies, health, and agents that come and
//! go.

use anyhow::{Context, Result};
use e2e::wait_until;

use crate::bench::{Bench, DEADLINE, exit, script, two_services};

/// Ends a container's process from outside, as the out-of-memory killer does.
fn crash(bench: &Bench, service: &str) -> Result<()> {
    let id = bench.container(service)?.id;
    bench
        .podman
        .podman(&["kill", "--signal", "KILL", &id])?
        .ok()?;
    Ok(())
}

#[test]
fn a_container_that_crashes_again_and_again_is_started_again_and_again() -> Result<()> {
    let bench = Bench::new()?;
    // Ends four times after it was made to crash, and runs then.
    let compose = script(
        "always",
        "n=$$(cat /data/left 2>/dev/null || echo 0); [ $$n -eq 0 ] && exec sleep 100000; \
         echo $$((n - 1)) > /data/left; exit 7",
    )
    .replace("    command", "    volumes: ['data:/data']\n    command")
        + "volumes: {data: }\n";
    let daemon = bench.agent.start()?;
    bench.install(1, &compose)?;
    let before = bench.container("main")?;
    bench.exec("main", &["sh", "-c", "echo 4 > /data/left"])?;
    crash(&bench, "main")?;
    let back = |main: &serde_json::Value| main["restarts"] == 5 && main["state"] == "running";
    bench.wait_for_service("main", back)?;
    assert_eq!(bench.container("main")?, before, "the same container");
    assert!(daemon.log().contains("code=7"), "{}", daemon.log());
    assert_eq!(
        bench.app()?["state"],
        "running",
        "crashes do not undo what is committed"
    );
    Ok(())
}

#[test]
fn services_start_in_the_order_of_what_they_depend_on() -> Result<()> {
    let bench = Bench::new()?;
    // Each ends with a failure if what it depends on is not ready, and none is started again.
    let compose = "services:
  last:
    image: v1
    command: [sh, -c, 'wget -q -O- http://web:8080/ready && exec sleep 100000']
    depends_on: {web: {condition: service_healthy}}
  web:
    image: v1
    command: [sh, -c, 'test -e /data/done || exit 4; mkdir /tmp/www; (sleep 1; touch /tmp/www/ready) & exec httpd -f -p 8080 -h /tmp/www']
    volumes: ['data:/data']
    depends_on: {init: {condition: service_completed_successfully}}
    x-coracle: {health: {http: 8080/ready, interval: 200ms, start_period: 30s}}
  init:
    image: v1
    command: [sh, -c, 'sleep 1; touch /data/done']
    volumes: ['data:/data']
volumes: {data: }
x-coracle: {trial: {duration: 1s, healthy_within: 60s}}
";
    bench.install(1, compose)?;
    bench.container("last")?;
    bench.container("web")?;
    assert_eq!(bench.service("init")?["state"], "exited");
    // What has done its work is left alone by a daemon too.
    let daemon = bench.agent.start()?;
    bench.wait_for_service("web", |web| web["healthy"] == true)?;
    assert_eq!(bench.service("init")?["restarts"], 0);
    assert!(!bench.containers()?["init"][0].running);
    drop(daemon);
    Ok(())
}

#[test]
fn a_dependency_that_fails_rolls_back() -> Result<()> {
    let bench = Bench::new()?;
    let compose = "services:
  main:
    image: v1
    command: [sleep, '100000']
    depends_on: {init: {condition: service_completed_successfully}}
  init:
    image: v1
    command: [sh, -c, 'exit 5']
x-coracle: {trial: 1s}
";
    bench.install(1, &two_services("v1"))?;
    let bundle = bench.pack(2, compose)?;
    bench.agent.apply(&bundle)?.code(exit::ROLLED_BACK)?;
    let mut running = bench.podman.running()?;
    running.sort();
    assert_eq!(running, ["coracle-app-side-1", "coracle-app-web-1"]);
    Ok(())
}

#[test]
fn containers_outlive_agents_and_the_next_one_takes_them_over() -> Result<()> {
    let bench = Bench::new()?;
    let daemon = bench.agent.start()?;
    bench.install(1, &two_services("v1"))?;
    let before = bench.containers()?;
    let takes_over = |times: u64| -> Result<()> {
        crash(&bench, "side")?;
        bench.wait_for_service("side", |side| {
            side["state"] == "running" && side["restarts"].as_u64() >= Some(times)
        })?;
        assert_eq!(bench.containers()?, before, "the same containers");
        Ok(())
    };
    takes_over(1)?;
    assert_eq!(daemon.stop()?, 0);
    assert_eq!(bench.containers()?, before, "after SIGTERM");

    let daemon = bench.agent.start()?;
    takes_over(1)?;
    daemon.kill()?;
    assert_eq!(bench.containers()?, before, "after SIGKILL");

    // What crashes while no agent is there comes back with the next one.
    crash(&bench, "side")?;
    let _daemon = bench.agent.start()?;
    wait_until("side to run again", DEADLINE, || {
        Ok(bench.container("side").ok())
    })?;
    takes_over(1)?;
    assert_eq!(bench.containers()?, before, "the same containers");
    Ok(())
}

#[test]
fn a_podman_that_is_killed_and_comes_back_is_used_again() -> Result<()> {
    let mut bench = Bench::new()?;
    let daemon = bench.agent.start()?;
    bench.install(1, &two_services("v1"))?;
    let before = bench.containers()?;
    bench.podman.kill()?;
    // The command line works on the same store without the service.
    crash(&bench, "side")?;
    bench.podman.start_again()?;
    bench.wait_for_service("side", |side| {
        side["state"] == "running" && side["restarts"] == 1
    })?;
    assert_eq!(bench.containers()?, before);
    let v2 = bench.pack(2, &two_services("v2"))?;
    bench.agent.apply(&v2)?.ok()?;
    assert_eq!(daemon.stop()?, 0);
    Ok(())
}

#[test]
fn health_is_checked_by_command_http_and_tcp() -> Result<()> {
    let bench = Bench::new()?;
    let compose = "services:
  exec:
    image: v1
    command: [sleep, '100000']
    healthcheck: {test: [CMD, test, '!', -e, /tmp/ill], interval: 300ms, timeout: 20s, retries: 2, start_period: 20s}
  http:
    image: v1
    command: [sh, -c, 'mkdir /tmp/www; touch /tmp/www/well; exec httpd -f -p 8080 -h /tmp/www']
    x-coracle: {health: {http: 8080/well, interval: 300ms, retries: 2, start_period: 20s}}
  tcp:
    image: v1
    command: [sh, -c, 'httpd -f -p 8080 & echo $$! > /tmp/pid; exec sleep 100000']
    x-coracle: {health: {tcp: 8080, interval: 300ms, retries: 2, start_period: 20s}}
x-coracle: {trial: {duration: 1s, healthy_within: 60s}}
";
    let _daemon = bench.agent.start()?;
    bench.install(1, compose)?;
    let break_it = [
        ("exec", "touch /tmp/ill", "rm /tmp/ill"),
        ("http", "rm /tmp/www/well", "touch /tmp/www/well"),
        ("tcp", "kill $(cat /tmp/pid)", "httpd -p 8080"),
    ];
    for (service, make_ill, heal) in break_it {
        bench.wait_for_service(service, |shown| shown["healthy"] == true)?;
        bench.exec(service, &["sh", "-c", make_ill])?;
        bench.wait_for_service(service, |shown| shown["healthy"] == false)?;
        bench.exec(service, &["sh", "-c", heal])?;
        bench.wait_for_service(service, |shown| shown["healthy"] == true)?;
    }
    Ok(())
}

#[test]
fn a_version_that_turns_unhealthy_in_its_trial_is_rolled_back() -> Result<()> {
    let bench = Bench::new()?;
    bench.install(1, &two_services("v1"))?;
    let before = bench.containers()?;
    // Well at first, and then not.
    let ill = two_services("v2")
        .replace(
            "    ports:",
            "    command: [sh, -c, 'mkdir /tmp/www; touch /tmp/www/health; (sleep 2; rm /tmp/www/health) & exec httpd -f -p 8080 -h /tmp/www']\n    ports:",
        )
        .replace("interval: 500ms, start_period: 20s", "interval: 200ms, retries: 2")
        .replace("duration: 1s", "duration: 50s");
    let v2 = bench.pack(2, &ill)?;
    let outcome = bench.agent.apply(&v2)?.code(exit::ROLLED_BACK)?;
    assert!(
        outcome.stderr.contains("the health check of web failed"),
        "{outcome:?}"
    );
    assert_eq!(bench.containers()?, before);
    assert_eq!(bench.app()?["version"], "1.0");
    Ok(())
}

#[test]
fn a_version_that_never_becomes_healthy_is_rolled_back() -> Result<()> {
    let bench = Bench::new()?;
    bench.install(1, &two_services("v1"))?;
    let before = bench.containers()?;
    let ill = two_services("v2")
        .replace("8080/health", "8080/nowhere")
        .replace("start_period: 20s", "start_period: 1s");
    let v2 = bench.pack(2, &ill)?;
    bench.agent.apply(&v2)?.code(exit::ROLLED_BACK)?;
    assert_eq!(bench.containers()?, before);
    Ok(())
}

#[test]
fn data_that_a_failed_version_has_rewritten_comes_back() -> Result<()> {
    let bench = Bench::new()?;
    let compose = |script: &str| {
        format!(
            "services:
  main:
    image: v1
    restart: always
    volumes: ['data:/data', 'other:/other']
    command: [sh, -c, {script:?}]
volumes: {{data: , other: }}
x-coracle: {{trial: 1s, restore_on_rollback: [data]}}
"
        )
    };
    let v1 = "test -e /data/schema || echo one > /data/schema; exec sleep 100000";
    bench.install(1, &compose(v1))?;
    bench.exec(
        "main",
        &[
            "sh",
            "-c",
            "mkdir /data/deep && ln -s ../schema /data/deep/link && chmod 640 /data/schema",
        ],
    )?;
    let listing = [
        "sh",
        "-c",
        "cd /data && find . | sort && stat -c '%a %u %g %Y %n' schema deep && cat deep/link",
    ];
    let before = bench.exec("main", &listing)?;
    assert!(before.ends_with("one\n"), "{before}");

    let migrates = "echo two > /data/schema; rm -r /data/deep; touch /data/new; exit 6";
    let v2 = bench.pack(2, &compose(migrates))?;
    bench.agent.apply(&v2)?.code(exit::ROLLED_BACK)?;
    assert_eq!(bench.exec("main", &listing)?, before);

    // A version that works keeps what it made of the data.
    let works = "echo three > /data/schema; exec sleep 100000";
    bench.install(3, &compose(works))?;
    assert_eq!(bench.exec("main", &["cat", "/data/schema"])?, "three\n");
    let copies = bench.agent.state_dir().join("volumes");
    let left = std::fs::read_dir(&copies)
        .map(Iterator::count)
        .unwrap_or_default();
    assert_eq!(left, 0, "the copies are gone after the commit");
    bench.service("main").context("it is there").map(drop)
}
