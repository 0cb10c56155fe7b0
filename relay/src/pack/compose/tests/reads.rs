//! What is read, and as what.

use bundle::manifest::*;

use super::*;

#[test]
fn processes() {
    let web = service(
        "command: sh -c 'echo \"a b\" $$HOME'\nentrypoint: [/init, '${TAG}']\nuser: '1000:1000'\nworking_dir: /srv/\nhostname: web-1.local\nstop_signal: int\nstop_grace_period: 1m30s\nrestart: on-failure:3\ninit: true\nread_only: true\nprivileged: false\ncap_drop: [all]\ncap_add: [cap_net_admin, NET_ADMIN, CHOWN]\nsecurity_opt: ['no-new-privileges:true']\nulimits: {nofile: {soft: 1024, hard: 4096}, core: 0, memlock: -1}\nsysctls: [net.core.somaxconn=1024]\nlabels: [b=2, a]\nmem_limit: 64m\ndeploy: {replicas: 1, resources: {limits: {cpus: '0.5', memory: 64M, pids: 50}}}\ncpu_shares: 512",
    );
    assert_eq!(
        texts(web.command.as_deref().unwrap()),
        ["sh", "-c", "echo \"a b\" $HOME"]
    );
    assert_eq!(texts(web.entrypoint.as_deref().unwrap()), ["/init", "7"]);
    assert_eq!(web.working_dir.as_deref(), Some("/srv"));
    assert_eq!(web.user.as_deref(), Some("1000:1000"));
    assert_eq!(web.stop_signal.as_deref(), Some("SIGINT"));
    assert_eq!(web.stop_grace_s, 90);
    assert_eq!(web.restart, Restart::OnFailure { max: Some(3) });
    assert!(web.init && web.read_only && !web.privileged && web.no_new_privileges);
    assert_eq!(texts(&web.cap_add), ["CHOWN", "NET_ADMIN"]);
    assert_eq!(texts(&web.cap_drop), ["ALL"]);
    let limits: Vec<_> = web
        .ulimits
        .iter()
        .map(|limit| (limit.name.as_str(), limit.soft, limit.hard))
        .collect();
    assert_eq!(
        limits,
        [
            ("core", 0, 0),
            ("memlock", u64::MAX, u64::MAX),
            ("nofile", 1024, 4096)
        ]
    );
    assert_eq!(pairs(&web.sysctls), [("net.core.somaxconn", "1024")]);
    assert_eq!(pairs(&web.labels), [("a", ""), ("b", "2")]);
    assert_eq!(
        web.limits,
        Limits {
            memory_bytes: Some(64 << 20),
            cpu_milli: Some(500),
            cpu_shares: Some(512),
            pids: Some(50),
        }
    );
    // Nothing said: Compose's defaults.
    let plain = service("image: x");
    assert_eq!(plain.restart, Restart::No);
    assert_eq!(plain.stop_grace_s, 10);
    assert_eq!((plain.command, plain.entrypoint), (None, None));
    assert_eq!(service("command: []").command, Some(Vec::new()));
}

#[test]
fn environment() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("web.env"), "A=file\nB='$x'\n").unwrap();
    let text = file(
        "env_file: [web.env]\nenvironment:\n  A: here-${TAG}\n  PRICE:\n  WHERE: at ${SITE}, $$1\n  N: 1.10",
    );
    let composed = read_in(folder.path(), &text).unwrap();
    assert_eq!(
        pairs(&composed.services[0].service.environment),
        [
            ("A", "here-7"),
            ("B", "$$x"),
            ("N", "1.10"),
            ("PRICE", "$$5"),
            ("WHERE", "at ${SITE}, $$1"),
        ]
    );
}

#[test]
fn networks_and_ports() {
    let web = service(
        "ports:\n  - 8080:80\n  - 127.0.0.1:53:53/udp\n  - '[::1]:9000-9001:90-91'\n  - {target: 443, published: 8443, host_ip: 10.0.0.1, protocol: tcp, mode: host}\nextra_hosts: ['db:10.0.0.2', 'gw=host-gateway', 'six:fd00::1']\nnetworks:\n  back: {aliases: [www]}",
    );
    let ports: Vec<_> = web
        .ports
        .iter()
        .map(|port| {
            (
                port.host_ip.as_deref(),
                port.host,
                port.container,
                port.protocol,
            )
        })
        .collect();
    assert_eq!(
        ports,
        [
            (None, 8080, 80, Protocol::Tcp),
            (Some("127.0.0.1"), 53, 53, Protocol::Udp),
            (Some("::1"), 9000, 90, Protocol::Tcp),
            (Some("::1"), 9001, 91, Protocol::Tcp),
            (Some("10.0.0.1"), 8443, 443, Protocol::Tcp),
        ]
    );
    assert_eq!(
        pairs(&web.extra_hosts),
        [
            ("db", "10.0.0.2"),
            ("gw", "host-gateway"),
            ("six", "fd00::1")
        ]
    );
    let NetworkMode::Bridge(networks) = &web.network else {
        panic!()
    };
    assert_eq!(networks[0].network.as_str(), "back");
    assert_eq!(texts(&networks[0].aliases), ["www"]);

    let composed = good(
        "services:\n  a: {}\n  b: {network_mode: host}\n  c: {network_mode: none}\nnetworks: {unused: }\n",
    );
    assert_eq!(composed.networks, ["default".parse().unwrap()]);
    assert_eq!(composed.services[1].service.network, NetworkMode::Host);
    assert_eq!(composed.services[2].service.network, NetworkMode::None);
    assert!(
        good("services: {b: {network_mode: host}}")
            .networks
            .is_empty()
    );
}

#[test]
fn mounts() {
    let web = service(
        "volumes:\n  - data:/var/lib/data\n  - /dev/shm:/shm:ro\n  - {type: volume, source: data, target: /again, read_only: true}\n  - {type: bind, source: /sys, target: /host/sys}\n  - {type: tmpfs, target: /tmp, tmpfs: {size: 1m}}\ntmpfs: ['/run', '/cache:size=2m']\ndevices: [/dev/ttyUSB0, '/dev/a:/dev/b:r', {source: /dev/c, permissions: wr}]",
    );
    let volumes: Vec<_> = web
        .volumes
        .iter()
        .map(|mount| {
            (
                mount.volume.as_str(),
                mount.target.as_str(),
                mount.read_only,
            )
        })
        .collect();
    assert_eq!(
        volumes,
        [("data", "/var/lib/data", false), ("data", "/again", true)]
    );
    let binds: Vec<_> = web
        .binds
        .iter()
        .map(|mount| {
            (
                mount.source.as_str(),
                mount.target.as_str(),
                mount.read_only,
            )
        })
        .collect();
    assert_eq!(
        binds,
        [("/dev/shm", "/shm", true), ("/sys", "/host/sys", false)]
    );
    let tmpfs: Vec<_> = web
        .tmpfs
        .iter()
        .map(|mount| (mount.target.as_str(), mount.bytes_max))
        .collect();
    assert_eq!(
        tmpfs,
        [
            ("/tmp", Some(1 << 20)),
            ("/run", None),
            ("/cache", Some(2 << 20))
        ]
    );
    let devices: Vec<_> = web
        .devices
        .iter()
        .map(|device| {
            (
                device.source.as_str(),
                device.target.as_str(),
                device.permissions.as_str(),
            )
        })
        .collect();
    assert_eq!(
        devices,
        [
            ("/dev/ttyUSB0", "/dev/ttyUSB0", "rwm"),
            ("/dev/a", "/dev/b", "r"),
            ("/dev/c", "/dev/c", "rw")
        ]
    );
}

#[test]
fn health() {
    let exec = |lines: &str| match service(lines).health.map(|health| health.probe) {
        Some(Probe::Exec(command)) => texts(&command).join(" "),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        exec("healthcheck: {test: curl -f x || exit 1}"),
        "/bin/sh -c curl -f x || exit 1"
    );
    assert_eq!(
        exec("healthcheck: {test: [CMD-SHELL, a b]}"),
        "/bin/sh -c a b"
    );
    assert_eq!(exec("healthcheck: {test: [CMD, a, b]}"), "a b");
    assert_eq!(service("healthcheck: {test: [NONE]}").health, None);
    assert_eq!(service("healthcheck: {disable: true}").health, None);
    assert_eq!(
        service("x-coracle: {health: {http: 8080/healthz?a=1, interval: 2s, timeout: 500ms, retries: 2, start_period: 1m}}").health,
        Some(HealthCheck {
            probe: Probe::Http {
                port: 8080,
                path: Text::new("/healthz?a=1").unwrap(),
            },
            interval_ms: 2000,
            timeout_ms: 500,
            retries: 2,
            start_period_ms: 60_000,
        })
    );
    assert_eq!(
        service("x-coracle: {health: {tcp: 22}}").health,
        Some(HealthCheck {
            probe: Probe::Tcp { port: 22 },
            interval_ms: 30_000,
            timeout_ms: 30_000,
            retries: 3,
            start_period_ms: 0,
        })
    );
}

#[test]
fn files_and_templates() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("site.conf"), "name ${SITE} costs $$5").unwrap();
    std::fs::write(folder.path().join("bad.conf"), "name ${NOBODY}").unwrap();
    let text = "services:
  web: {configs: [motd, {source: motd, target: /etc/motd, mode: 0400, uid: 5, gid: '6'}]}
  db: {}
configs:
  unused: {content: nobody mounts it}
  motd: {content: 'at ${SITE} $$1', x-coracle: {template: true}}
x-coracle:
  variables: {SITE: north}
  files:
    - {source: ./site.conf, target: /etc/site.conf, services: [db, web], template: true, mode: 0640}
";
    let composed = read_in(folder.path(), text).unwrap();
    let contents: Vec<_> = composed
        .files
        .iter()
        .map(|file| {
            (
                file.name.as_str(),
                std::str::from_utf8(&file.content).unwrap(),
                file.template,
            )
        })
        .collect();
    assert_eq!(
        contents,
        [
            ("motd", "at ${SITE} $$1", true),
            ("./site.conf", "name ${SITE} costs $$5", true),
        ]
    );
    let mounts: Vec<_> = composed.services[0]
        .service
        .files
        .iter()
        .map(|mount| {
            (
                mount.file.0,
                mount.target.as_str(),
                mount.mode,
                mount.uid,
                mount.gid,
            )
        })
        .collect();
    assert_eq!(
        mounts,
        [
            (0, "/motd", 0o444, 0, 0),
            (0, "/etc/motd", 0o400, 5, 6),
            (1, "/etc/site.conf", 0o640, 0, 0),
        ]
    );
    assert_eq!(composed.services[1].service.files.len(), 1);

    let bad = text.replace("./site.conf", "bad.conf");
    let error = read_in(folder.path(), &bad).unwrap_err().to_string();
    assert!(
        error.contains("compose.yaml:10:16: x-coracle.files[0].source: ${NOBODY}"),
        "{error}"
    );
}

#[test]
fn policy_and_variables() {
    let composed = good(
        "services: {web: {volumes: ['data:/data']}}
volumes: {data: }
x-coracle:
  trial: {duration: 30s, healthy_within: 1m, restarts_max: 2}
  switch: stop-first
  fetch_rate_max: 256k
  restore_on_rollback: [data]
  variables:
    ZONE: {type: choice, choices: [a, b], default: b}
    SITE:
    PORT: {type: integer, min: 1, max: 65535, default: 8080, description: where it listens}
    TOKEN: {pattern: '[a-z]+', secret: true}
    DEBUG: {type: boolean, default: 'false'}
",
    );
    assert_eq!(
        composed.policy,
        Policy {
            trial_s: 30,
            healthy_within_s: 60,
            restarts_max: 2,
            switch: SwitchMode::StopFirst,
            fetch_bytes_per_s_max: Some(256 << 10),
            restore_on_rollback: vec!["data".parse().unwrap()],
        }
    );
    let variables: Vec<_> = composed
        .variables
        .iter()
        .map(|variable| {
            (
                variable.name.as_str(),
                variable.default.as_deref(),
                variable.secret,
            )
        })
        .collect();
    assert_eq!(
        variables,
        [
            ("DEBUG", Some("false"), false),
            ("PORT", Some("8080"), false),
            ("SITE", None, false),
            ("TOKEN", None, true),
            ("ZONE", Some("b"), false),
        ]
    );
    let short = good("services: {}\nx-coracle: {trial: 15s}\n").policy;
    assert_eq!((short.trial_s, short.healthy_within_s), (15, 30));
    let dependencies = good(
        "services:\n  a: {depends_on: {b: {condition: service_healthy, required: true, restart: false}, c: {condition: service_completed_successfully}}}\n  b: {x-coracle: {health: {tcp: 1}}}\n  c: {}\n",
    );
    assert_eq!(dependencies.services[0].service.depends_on.len(), 2);
}

#[test]
fn what_compose_ignores_is_ignored_with_it() {
    let composed = good(
        "version: '3.8'\nname: kiosk\nx-note: anything\nx-base: &base {restart: always}\nservices:\n  web:\n    <<: *base\n    x-more: {a: b}\n    command: null\n",
    );
    assert_eq!(composed.services[0].service.restart, Restart::Always);
    assert_eq!(composed.warnings.len(), 1);
    assert!(composed.warnings[0].starts_with("compose.yaml:1:10: version: has no meaning"));
    assert_eq!(
        good("services: {}").warnings.len(),
        1,
        "retiring is worth a word"
    );
}
