//! Tables of what is read, and of what is refused and where.

use std::collections::BTreeMap;
use std::path::Path;

use bundle::manifest::*;

use super::{ComposeError, Composed, read};

fn read_in(folder: &Path, text: &str) -> Result<Composed, ComposeError> {
    let env = BTreeMap::from([
        ("TAG".to_string(), "7".to_string()),
        ("PRICE".to_string(), "$5".to_string()),
    ]);
    read(text, "compose.yaml", folder, &"kiosk".parse().unwrap(), env)
}

fn good(text: &str) -> Composed {
    read_in(Path::new("/nonexistent"), text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// The one service of a file whose service has these lines.
fn service(lines: &str) -> Service {
    let mut composed = good(&file(lines));
    composed.services.remove(0).service
}

fn file(lines: &str) -> String {
    let mut text = String::from("services:\n  web:\n");
    for line in lines.lines() {
        text += &format!("    {line}\n");
    }
    text + "volumes:\n  data:\nnetworks:\n  back: {}\nconfigs:\n  c: {content: \"a $$ b\"}\nx-coracle:\n  variables:\n    SITE: north\n"
}

fn refused(text: &str) -> Vec<String> {
    match read_in(Path::new("/nonexistent"), text) {
        Ok(_) => panic!("was accepted:\n{text}"),
        Err(error) => error.to_string().lines().map(str::to_string).collect(),
    }
}

fn texts(texts: &[Text]) -> Vec<&str> {
    texts.iter().map(Text::as_str).collect()
}

fn pairs(pairs: &[(Text, Text)]) -> Vec<(&str, &str)> {
    pairs
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

/// Each unsupported key, at every level, is an error with file, line, column and path.
#[test]
fn unsupported_keys_name_their_place() {
    for (text, want) in [
        (
            "services: {}\nsecrets: {}\n",
            "compose.yaml:2:1: secrets: not supported: ",
        ),
        (
            "services: {}\ninclude: [a]\n",
            "compose.yaml:2:1: include: not supported: ",
        ),
        (
            "services: {}\nservces: {}\n",
            "compose.yaml:2:1: servces: not supported: did you mean services?",
        ),
        (
            "services:\n  web:\n    build: .\n",
            "compose.yaml:3:5: services.web.build: not supported: images come ready-made with --image (see docs/compose.md)",
        ),
        (
            "services:\n  web:\n    container_name: x\n",
            "compose.yaml:3:5: services.web.container_name: not supported: ",
        ),
        (
            "services:\n  web:\n    extends: {}\n",
            "compose.yaml:3:5: services.web.extends: not supported: ",
        ),
        (
            "services:\n  web:\n    profiles: [a]\n",
            "compose.yaml:3:5: services.web.profiles: not supported: ",
        ),
        (
            "services:\n  web:\n    secrets: [a]\n",
            "compose.yaml:3:5: services.web.secrets: not supported: ",
        ),
        (
            "services:\n  web:\n    platform: linux/arm64\n",
            "compose.yaml:3:5: services.web.platform: not supported: ",
        ),
        (
            "services:\n  web:\n    expose: [80]\n",
            "compose.yaml:3:5: services.web.expose: not supported: ",
        ),
        (
            "services:\n  web:\n    prots: []\n",
            "compose.yaml:3:5: services.web.prots: not supported: did you mean ports?",
        ),
        (
            "services:\n  web:\n    deploy:\n      placement: {}\n",
            "compose.yaml:4:7: services.web.deploy.placement: not supported: ",
        ),
        (
            "services:\n  web:\n    deploy:\n      resources:\n        reservations: {}\n",
            "compose.yaml:5:9: services.web.deploy.resources.reservations: not supported: ",
        ),
        (
            "services:\n  web:\n    deploy: {resources: {limits: {devices: []}}}\n",
            "compose.yaml:3:35: services.web.deploy.resources.limits.devices: not supported",
        ),
        (
            "services:\n  web:\n    healthcheck:\n      test: a\n      start_interval: 1s\n",
            "compose.yaml:5:7: services.web.healthcheck.start_interval: not supported: ",
        ),
        (
            "services:\n  web:\n    logging: {options: {labels: a}}\n",
            "compose.yaml:3:25: services.web.logging.options.labels: not supported",
        ),
        (
            "services:\n  web:\n    ports:\n      - {target: 1, published: 1, name: x}\n",
            "compose.yaml:4:35: services.web.ports[0].name: not supported",
        ),
        (
            "services:\n  web:\n    volumes:\n      - type: tmpfs\n        target: /a\n        consistency: x\n",
            "compose.yaml:6:9: services.web.volumes[0].consistency: not supported",
        ),
        (
            "services:\n  web:\n    depends_on:\n      db: {condition: service_started, x: 1}\n",
            "compose.yaml:4:40: services.web.depends_on.db.x: not supported",
        ),
        (
            "services:\n  web:\n    networks:\n      default:\n        ipv4_address: 1.2.3.4\n",
            "compose.yaml:5:9: services.web.networks.default.ipv4_address: not supported: ",
        ),
        (
            "services: {}\nnetworks:\n  a:\n    external: true\n",
            "compose.yaml:4:5: networks.a.external: not supported: ",
        ),
        (
            "services: {}\nvolumes:\n  a: {driver_opts: {}}\n",
            "compose.yaml:3:7: volumes.a.driver_opts: not supported: ",
        ),
        (
            "services: {}\nconfigs:\n  a: {external: true}\n",
            "compose.yaml:3:7: configs.a.external: not supported: ",
        ),
        (
            "services: {}\nx-coracle:\n  trail: 3s\n",
            "compose.yaml:3:3: x-coracle.trail: not supported: did you mean trial?",
        ),
        (
            "services: {}\nx-coracle:\n  variables:\n    A: {typ: text}\n",
            "compose.yaml:4:9: x-coracle.variables.A.typ: not supported: did you mean type?",
        ),
        (
            "services:\n  web:\n    x-coracle: {helth: {}}\n",
            "compose.yaml:3:17: services.web.x-coracle.helth: not supported: did you mean health?",
        ),
    ] {
        let got = refused(text);
        assert!(
            got.iter().any(|line| line.starts_with(want)),
            "wanted {want}\ngot {got:#?}\n{text}"
        );
    }
}

/// The reason of each refusal is in the docs, word for word.
#[test]
fn reasons_are_documented() {
    let docs = include_str!("../../../../docs/compose.md");
    for (key, why) in super::refusals::all() {
        let row = format!("| `{key}` | {why} |");
        assert!(docs.contains(&row), "docs/compose.md lacks: {row}");
    }
}

#[test]
fn values_that_make_no_sense_name_their_place() {
    for (lines, want) in [
        (
            "ports: ['80']",
            "3:13: services.web.ports[0]: the device's port must be fixed",
        ),
        ("ports: ['0:80']", "expected a port from 1 to 65535"),
        ("ports: ['1-2:80']", "both port ranges must be equally long"),
        ("ports: ['x:80:80']", "\"x\" is no IP address"),
        ("ports: ['80:80/sctp']", "the protocol is tcp or udp"),
        (
            "ports: ['80:80', '80:81']",
            "the device's port 80 is published twice",
        ),
        (
            "ports: ['80:80']\nnetwork_mode: host",
            "ports: work with bridge networks only",
        ),
        ("network_mode: service:db", "expected host, none or bridge"),
        ("network_mode: host\nnetworks: [back]", "exclude each other"),
        (
            "networks: [front]",
            "the network front is not under networks:",
        ),
        (
            "volumes: ['./a:/b']",
            "./a is a file of this machine, not of the device: pack it with configs: or x-coracle.files",
        ),
        ("volumes: ['~/a:/b']", "is a file of this machine"),
        ("volumes: ['../a:/b']", "is a file of this machine"),
        (
            "volumes: ['/b']",
            "an anonymous volume is lost with its container",
        ),
        (
            "volumes: ['other:/b']",
            "the volume other is not under volumes:",
        ),
        ("volumes: ['data:b']", "expected an absolute path"),
        ("volumes: ['data:/b/../c']", "must not hold .."),
        ("volumes: ['data:/b:z']", "the option z is not supported"),
        ("volumes: ['data:/b', '/c:/b/']", "/b is mounted twice"),
        (
            "volumes: [{type: npipe, target: /b}]",
            "the type npipe is not supported",
        ),
        ("tmpfs: '/run:mode=1'", "the option mode=1 is not supported"),
        ("devices: ['ttyS0']", "expected an absolute path"),
        ("devices: ['/dev/a:/dev/a:x']", "expected letters of rwm"),
        ("mem_limit: lots", "expected a size such as 64m"),
        ("mem_limit: 1m", "the least memory limit is 6m"),
        ("cpus: many", "expected a number of CPUs"),
        ("pids_limit: 0", "expected a whole number from 1"),
        (
            "mem_limit: 64m\ndeploy: {resources: {limits: {memory: 65m}}}",
            "resources.limits contradicts mem_limit",
        ),
        (
            "deploy: {replicas: 2}",
            "a service is one container on each device",
        ),
        ("scale: 2", "a service is one container on each device"),
        ("ulimits: {files: 1}", "not a limit"),
        (
            "ulimits: {nofile: {soft: 2, hard: 1}}",
            "the soft limit is above the hard one",
        ),
        (
            "restart: sometimes",
            "expected no, always, on-failure[:N] or unless-stopped",
        ),
        ("stop_signal: SIGFOO", "expected one of SIGHUP"),
        ("stop_grace_period: 10", "expected a duration"),
        ("stop_grace_period: 2h", "is longer than 3600 s"),
        ("depends_on: [db]", "depends_on: db is not under services:"),
        ("depends_on: [web]", "in a circle"),
        (
            "depends_on: {web: {condition: service_healthy, required: false}}",
            "every service of a bundle runs",
        ),
        (
            "depends_on: {web: {condition: service_ok}}",
            "expected service_started",
        ),
        ("healthcheck: {interval: 1s}", "test: is required"),
        ("healthcheck: {test: [RUN, a]}", "expected [CMD"),
        (
            "healthcheck: {test: a, retries: 0}",
            "expected a whole number from 1",
        ),
        (
            "healthcheck: {test: a}\nx-coracle: {health: {tcp: 1}}",
            "exclude each other",
        ),
        (
            "x-coracle: {health: {tcp: 1, http: 1/}}",
            "expected either http",
        ),
        ("x-coracle: {health: {http: /x}}", "expected PORT/PATH"),
        ("x-coracle: {api: maybe}", "expected true or false"),
        ("logging: {driver: syslog}", "logs are files on the device"),
        (
            "labels: {coracle.app: x}",
            "labels under coracle. are Coracle's",
        ),
        ("security_opt: [seccomp=x]", "only no-new-privileges"),
        ("hostname: a_b", "is no host name"),
        ("cap_add: [net-admin]", "expected a capability"),
        ("extra_hosts: ['a:b']", "is no IP address"),
        ("privileged: perhaps", "expected true or false"),
        ("command: 'a \"b'", "a quote never ends"),
        ("configs: [d]", "d is not under configs:"),
        (
            "configs: [{source: c, mode: 8}]",
            "expected octal permission bits",
        ),
        (
            "configs: [{source: c, mode: '01777'}]",
            "expected octal permission bits",
        ),
        ("env_file: missing.env", "cannot read missing.env"),
        (
            "environment: [HOST]",
            "HOST has no value here, and --env-file gives none",
        ),
        (
            "environment: {A: '${NO}'}",
            "${NO} is not defined: give it with --env-file",
        ),
        (
            "environment: {A: '${SITE:-x}'}",
            "its default belongs under x-coracle.variables",
        ),
        ("environment: [A=1, A=2]", "A is there twice"),
        (
            "user: '${SITE}'",
            "3:11: services.web.user: ${SITE} is a variable of the app, and those work only in",
        ),
        ("user: '$'", "write $$ for a dollar sign"),
        ("user: [a]", "expected a single value"),
        ("ports: 80", "expected a list"),
        ("deploy: 3", "expected a mapping"),
    ] {
        let got = refused(&file(lines));
        assert!(
            got.iter().any(|line| line.contains(want)),
            "wanted {want}\ngot {got:#?}\n{lines}"
        );
    }
}

#[test]
fn top_level_mistakes() {
    for (text, want) in [
        ("", "compose.yaml:1:1: services: is required"),
        ("a: [", "compose.yaml:"),
        ("a: 1\na: 2\n", "compose.yaml:2:1: "),
        (
            "services: {}\nname: shop\n",
            "compose.yaml:2:7: name: the app is called kiosk (--app), not that",
        ),
        (
            "services: {Web: {}}\n",
            "compose.yaml:1:12: services.Web: \"Web\": not a valid service name",
        ),
        (
            "services: {}\nnetworks: {a: {driver: macvlan}}\n",
            "only the driver bridge",
        ),
        (
            "services: {}\nvolumes: {a: {driver: nfs}}\n",
            "only the driver local",
        ),
        (
            "services: {}\nconfigs: {a: {}}\n",
            "expected either file: or content:",
        ),
        (
            "services: {}\nconfigs: {a: {file: no.txt}}\n",
            "cannot read no.txt",
        ),
        (
            "services: {}\nconfigs: {a: {file: /etc/passwd}}\n",
            "expected a path relative to the Compose file",
        ),
        (
            "services: {}\nx-coracle: {trial: {duration: 60s, healthy_within: 30s}}\n",
            "must not be shorter than the trial's duration",
        ),
        (
            "services: {}\nx-coracle: {switch: later}\n",
            "expected stop-first or start-first",
        ),
        (
            "services: {}\nx-coracle: {fetch_rate_max: 1}\n",
            "expected bytes a second from 1k",
        ),
        (
            "services: {}\nx-coracle: {restore_on_rollback: [a]}\n",
            "no service mounts the volume a",
        ),
        (
            "services: {}\nx-coracle: {variables: {1A: x}}\n",
            "not a valid variable name",
        ),
        (
            "services: {}\nx-coracle: {variables: {A: {type: float}}}\n",
            "expected text, integer, boolean or choice",
        ),
        (
            "services: {}\nx-coracle: {variables: {A: {type: integer, min: 5, max: 1}}}\n",
            "min is above max",
        ),
        (
            "services: {}\nx-coracle: {variables: {A: {type: integer, max: 5, default: 6}}}\n",
            "must be a whole number from",
        ),
        (
            "services: {}\nx-coracle: {variables: {A: {type: choice}}}\n",
            "choices: is required",
        ),
        (
            "services: {}\nx-coracle: {variables: {A: {pattern: '[', default: x}}}\n",
            "not sound",
        ),
        (
            "services: {}\nx-coracle: {variables: {A: {type: boolean, pattern: x}}}\n",
            "only variables of type text have it",
        ),
        (
            "services: {}\nx-coracle: {files: [{source: a, target: /a, services: [web]}]}\n",
            "web is not under services:",
        ),
        (
            "services: {}\nx-coracle: {files: [{source: a, target: /a}]}\n",
            "services: is required",
        ),
        (
            "services:\n  web: {ports: ['1:1']}\nx-coracle: {switch: start-first}\n",
            "start-first cannot work with published ports",
        ),
        (
            "services:\n  web: {volumes: ['a:/a']}\nvolumes: {a: }\nx-coracle: {switch: start-first}\n",
            "start-first would let old and new write",
        ),
        (
            "services:\n  a: {depends_on: {b: {condition: service_healthy}}}\n  b: {}\n",
            "b has no health check",
        ),
        (
            "services:\n  a: {depends_on: {b: {condition: service_completed_successfully}}}\n  b: {restart: always}\n",
            "b is always restarted",
        ),
        (
            "services:\n  a: {depends_on: [b]}\n  b: {depends_on: [a]}\n",
            "in a circle",
        ),
        (
            "services:\n  a: {ports: ['80:1']}\n  b: {ports: ['127.0.0.1:80:1']}\n",
            "port 80 is published twice",
        ),
    ] {
        let got = refused(text);
        assert!(
            got.iter().any(|line| line.contains(want)),
            "wanted {want}\ngot {got:#?}\n{text}"
        );
    }
}

/// A file is fixed once: all its problems come together, in order, at most 20 of them.
#[test]
fn problems_are_collected() {
    let got =
        refused("services:\n  web:\n    build: .\n    ports: ['80']\n    tty: true\nsecrets: {}\n");
    let places: Vec<&str> = got
        .iter()
        .filter_map(|line| line.split(": ").next())
        .collect();
    assert_eq!(
        places,
        [
            "compose.yaml:3:5",
            "compose.yaml:4:13",
            "compose.yaml:5:5",
            "compose.yaml:6:1"
        ]
    );
    let many: String = (0..30).map(|n| format!("    k{n}: 1\n")).collect();
    let got = refused(&format!("services:\n  web:\n{many}"));
    assert_eq!(got.len(), 21);
    assert_eq!(got[20], "… and 10 more");
}

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
