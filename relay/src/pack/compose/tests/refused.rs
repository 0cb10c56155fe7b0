//! What is refused, and where.

use super::*;
use crate::pack::compose::refusals;

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
    let docs = include_str!("../../../../../docs/compose.md");
    for (key, why) in refusals::all() {
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

/// Whatever the text, the reader answers: it never panics and never hangs.
#[test]
fn damaged_files_are_answered() {
    let sample = file(
        "command: sh -c 'a $$b'\nenvironment: [A=${TAG:-x}, 'B=${SITE}']\nports: ['[::1]:1-2:3-4/udp']\nvolumes: ['data:/d:ro', {type: tmpfs, target: /t}]\ndepends_on: {web: {condition: service_started}}\nhealthcheck: {test: [CMD, a], interval: 1m30s}\ndeploy: {resources: {limits: {cpus: '0.5', memory: 64m}}}\nulimits: {nofile: {soft: 1, hard: 2}}",
    );
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    let alphabet: Vec<char> = "{}[]:,-$&*<?!|>%@`'\"#\n\t 0aµé\u{0}".chars().collect();
    for _ in 0..3000 {
        let mut chars: Vec<char> = sample.chars().collect();
        for _ in 0..=random(4) {
            let at = random(chars.len());
            match random(3) {
                0 => chars[at] = alphabet[random(alphabet.len())],
                1 => drop(chars.remove(at)),
                _ => chars.insert(at, alphabet[random(alphabet.len())]),
            }
        }
        let text: String = chars.into_iter().collect();
        let _ = read_in(Path::new("/nonexistent"), &text);
    }
}
