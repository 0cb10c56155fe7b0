//! What containers are given: files, settings of the device, volumes, ports, limits; and that
//! what is not Coracle's is never touched.

use anyhow::{Context, Result};
use e2e::http;
use serde_json::json;

use crate::bench::{Bench, DEADLINE, exit, two_services};

const CONFIGURED: &str = "services:
  main:
    image: v1
    restart: always
    user: '1000'
    read_only: true
    tmpfs: [/tmp]
    environment: {SITE: 'at ${SITE}', FIXED: 'costs $$5'}
    command: [sleep, '100000']
    configs:
      - {source: plain, target: /etc/app/plain, mode: 0400, uid: '1000', gid: '1000'}
      - {source: rendered, target: /etc/app/rendered}
  other:
    image: v1
    restart: always
    command: [sleep, '100000']
configs:
  plain: {content: 'as it is'}
  rendered:
    content: 'site=${SITE}'
    x-coracle: {template: true}
x-coracle:
  trial: 1s
  variables:
    SITE: {default: nowhere}
";

#[test]
fn files_and_settings_are_as_declared() -> Result<()> {
    let bench = Bench::new()?;
    let bundle = bench.install(1, CONFIGURED)?;
    let sh = |command: &str| bench.exec("main", &["sh", "-c", command]);
    let in_path = "cd /etc/app; stat -c '%a %u %g' plain rendered; cat plain";
    assert_eq!(sh(in_path)?, "400 1000 1000\n444 0 0\nas it is");
    assert_eq!(
        sh("cat /etc/app/rendered; echo; echo $SITE; echo $FIXED; id -u")?,
        "site=nowhere\nat nowhere\ncosts $5\n1000\n"
    );
    let write = |path: &str| sh(&format!("echo x > {path} && echo written || echo refused"));
    assert_eq!(write("/etc/app/rendered")?, "refused\n");
    assert_eq!(write("/data/x")?, "refused\n");
    assert_eq!(write("/tmp/x")?, "written\n");

    // The device's own value makes a new generation of the same bundle, and replaces only what
    // it changes.
    let (main, other) = (bench.container("main")?, bench.container("other")?);
    bench.configure("[variables.app]\nSITE = \"pier 7\"\n")?;
    bench.agent.apply(&bundle)?.ok()?;
    assert_eq!(
        sh("cat /etc/app/rendered; echo; echo $SITE")?,
        "site=pier 7\nat pier 7\n"
    );
    assert_ne!(bench.container("main")?, main);
    assert_eq!(bench.container("other")?, other);
    let app = bench.app()?;
    assert_eq!(json!([app["seq"], app["generation"]]), json!([1, 2]));
    bench.agent.apply(&bundle)?.code(exit::ALREADY_CURRENT)?;

    // Back at the default, and back again by a rollback.
    bench.configure("")?;
    bench.agent.apply(&bundle)?.ok()?;
    assert_eq!(sh("echo $SITE")?, "at nowhere\n");
    bench.agent.run(&["rollback"])?.ok()?;
    assert_eq!(sh("echo $SITE")?, "at pier 7\n");
    Ok(())
}

#[test]
fn limits_ports_and_volumes_reach_the_runtime() -> Result<()> {
    let bench = Bench::new()?;
    let compose = "services:
  main:
    image: v1
    restart: always
    cap_drop: [ALL]
    cap_add: [NET_BIND_SERVICE]
    security_opt: [no-new-privileges]
    mem_limit: 64m
    cpus: 0.5
    pids_limit: 50
    ulimits: {nofile: 512, nproc: 512}
    hostname: kiosk
    stop_signal: SIGTERM
    labels: {com.example.team: blue}
    ports: ['8080:8080', '127.0.0.1:9000:8080']
    volumes: ['data:/data', {type: tmpfs, target: /scratch, tmpfs: {size: 1m}}]
volumes: {data: }
x-coracle: {trial: 1s}
";
    bench.install(1, compose)?;
    let inspected = bench.inspect("main")?;
    let host = &inspected["HostConfig"];
    assert_eq!(host["Memory"], 64 << 20);
    assert_eq!(host["PidsLimit"], 50);
    assert_eq!(
        host["NanoCpus"]
            .as_u64()
            .or(host["CpuQuota"].as_u64())
            .map(|_| ()),
        Some(())
    );
    assert_eq!(inspected["Config"]["Hostname"], "kiosk");
    let labels = &inspected["Config"]["Labels"];
    let expected = [
        ("com.example.team", "blue"),
        ("coracle.app", "app"),
        ("coracle.service", "main"),
        ("coracle.generation", "1"),
        ("coracle.device", "device-1"),
    ];
    for (label, value) in expected {
        assert_eq!(labels[label], value, "{label}");
    }
    for label in ["coracle.bundle", "coracle.spec"] {
        assert_eq!(labels[label].as_str().map(str::len), Some(64), "{label}");
    }
    let sh = |command: &str| bench.exec("main", &["sh", "-c", command]);
    assert_eq!(
        sh("ulimit -n; hostname; grep -E 'CapBnd|NoNewPrivs' /proc/self/status | tr -d '\\t'")?,
        "512\nkiosk\nCapBnd:0000000000000400\nNoNewPrivs:1\n"
    );
    for port in [8080, 9000] {
        http::wait_for(port, "/health", DEADLINE, |answer| answer.status == 200)?;
    }

    sh("echo kept > /data/file; echo lost > /scratch/file")?;
    bench.install(2, &compose.replace("kiosk", "panel"))?;
    assert_eq!(
        sh("cat /data/file; ls /scratch; hostname")?,
        "kept\npanel\n"
    );
    Ok(())
}

#[test]
fn containers_that_others_started_are_never_touched() -> Result<()> {
    let bench = Bench::new()?;
    let podman = |arguments: &[&str]| bench.podman.podman(arguments)?.ok();
    bench
        .podman
        .load(&test_images::tiny(test_images::Version::V1)?, "mine")?;
    // One without labels, one that another device's agent would have made, and a volume.
    podman(&["volume", "create", "mine"])?;
    podman(&["network", "create", "mine"])?;
    podman(&[
        "run",
        "-d",
        "--name=mine",
        "--volume=mine:/data",
        "mine",
        "sleep",
        "100000",
    ])?;
    let labels = [
        "--label=coracle.app=app",
        "--label=coracle.service=web",
        "--label=coracle.device=device-2",
        "--label=coracle.generation=1",
    ];
    podman(
        &[
            &["run", "-d", "--name=coracle-other"],
            &labels[..],
            &["mine", "sleep", "100000"],
        ]
        .concat(),
    )?;
    podman(&["create", "--name=stopped", "mine"])?;
    let mine = || -> Result<String> {
        let names = ["mine", "coracle-other", "stopped"];
        let format = [
            "container",
            "inspect",
            "--format",
            "{{.Id}} {{.State.Status}} {{.State.Pid}} {{.RestartCount}}",
        ];
        let mut found = podman(&[&format[..], &names].concat())?.stdout;
        found += &podman(&["volume", "inspect", "mine"])?.stdout;
        found += &podman(&["network", "inspect", "mine"])?.stdout;
        found += &podman(&["image", "inspect", "--format", "{{.Id}}", "mine"])?.stdout;
        Ok(found)
    };
    let before = mine()?;
    let daemon = bench.agent.start()?;
    bench.install(1, &two_services("v1"))?;
    bench.install(2, &two_services("v2"))?;
    let broken = bench.pack(
        3,
        &two_services("v1")
            .replace("health,", "nowhere,")
            .replace("20s", "1s"),
    )?;
    bench.agent.apply(&broken)?.code(exit::ROLLED_BACK)?;
    bench.agent.run(&["rollback"])?.ok()?;
    assert_eq!(mine()?, before);
    let listed = bench.agent.run(&["ps", "--json"])?.json()?;
    let listed: Vec<_> = listed
        .as_array()
        .context("a list")?
        .iter()
        .map(|one| &one["name"])
        .collect();
    assert_eq!(listed, ["coracle-app-side-1", "coracle-app-web-4"]);
    bench.agent.run(&["remove", "app"])?.ok()?;
    assert_eq!(mine()?, before);
    assert_eq!(bench.podman.running()?, ["coracle-other", "mine"]);
    assert_eq!(daemon.stop()?, 0);
    Ok(())
}
