//! What the tests share: keys, a manifest that uses every part of the format, signing without
//! the builder's checks, and the two table runners.

use crate::build::SecretKey;
use crate::head::Head;
use crate::manifest::*;
use crate::{
    AppName, Arch, Digest, Manifest, NetworkName, Refused, ServiceName, TrustStore, VariableName,
    VerifiedBundle, VersionLabel, VolumeName, verify,
};

pub(super) const RELEASE_KEY: &str = include_str!("../../tests/golden/release.key");
pub(super) const OTHER_KEY: &str = include_str!("../../tests/golden/other.key");

pub(super) fn key(text: &str) -> SecretKey {
    SecretKey::from_text(text, || unreachable!("the test keys have no password")).unwrap()
}

pub(super) fn release_key() -> SecretKey {
    key(RELEASE_KEY)
}

pub(super) fn other_key() -> SecretKey {
    key(OTHER_KEY)
}

/// Trusts the release key for every app.
pub(super) fn trust() -> TrustStore {
    TrustStore::from_keys(vec![(None, release_key().public_text())]).unwrap()
}

pub(super) fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}

pub(super) fn volume(name: &str) -> VolumeName {
    VolumeName::new(name).unwrap()
}

pub(super) fn network(name: &str) -> NetworkName {
    NetworkName::new(name).unwrap()
}

/// A raw blob per content, back to back.
pub(super) fn raw_blobs(contents: &[&[u8]]) -> Vec<Blob> {
    let mut offset = 0;
    contents
        .iter()
        .map(|content| {
            let digest = Digest::of(content);
            let bytes = content.len() as u64;
            let blob = Blob {
                stored: digest,
                stored_bytes: bytes,
                plain: digest,
                plain_bytes: bytes,
                offset,
                encoding: Encoding::Raw,
                pieces: match content.len() {
                    0..=0x10_0000 => vec![],
                    _ => content.chunks(1 << 20).map(Digest::of).collect(),
                },
            };
            offset += bytes;
            blob
        })
        .collect()
}

/// What the blobs of [`sample`] hold.
pub(super) const CONTENTS: [&[u8]; 5] = [
    b"{\"config\":\"web\"}",
    b"layer of web",
    b"{\"config\":\"db\"}",
    b"layer of db",
    b"site = ${SITE}\n",
];

/// A service with nothing but a name and an image.
pub(super) fn bare_service(name: &str, image: u16) -> Service {
    Service {
        network: NetworkMode::Host,
        ..Service::new(ServiceName::new(name).unwrap(), ImageId(image))
    }
}

fn bridge() -> NetworkMode {
    NetworkMode::Bridge(vec![NetworkAttachment {
        network: network("default"),
        aliases: vec![text("web-1")],
    }])
}

fn web() -> Service {
    Service {
        entrypoint: Some(vec![text("/bin/web")]),
        command: Some(vec![text("--port"), text("8080")]),
        environment: vec![
            (text("PRICE"), text("$$5")),
            (text("SITE"), text("at ${SITE}")),
        ],
        user: Some(text("www-data:www-data")),
        working_dir: Some(text("/srv")),
        hostname: Some(text("web")),
        network: bridge(),
        ports: vec![Port {
            host_ip: None,
            host: 8080,
            container: 80,
            protocol: Protocol::Tcp,
        }],
        volumes: vec![VolumeMount {
            volume: volume("data"),
            target: text("/data"),
            read_only: false,
        }],
        binds: vec![BindMount {
            source: text("/run/dbus"),
            target: text("/run/dbus"),
            read_only: true,
        }],
        tmpfs: vec![Tmpfs {
            target: text("/tmp"),
            bytes_max: Some(1 << 20),
        }],
        files: vec![FileMount {
            file: FileId(0),
            target: text("/etc/web.conf"),
            mode: 0o444,
            uid: 0,
            gid: 0,
        }],
        devices: vec![Device {
            source: text("/dev/ttyUSB0"),
            target: text("/dev/ttyUSB0"),
            permissions: text("rw"),
        }],
        cap_add: vec![text("NET_BIND_SERVICE")],
        cap_drop: vec![text("ALL")],
        limits: Limits {
            memory_bytes: Some(64 << 20),
            cpu_milli: Some(500),
            cpu_shares: Some(1024),
            pids: Some(64),
        },
        ulimits: vec![Ulimit {
            name: text("nofile"),
            soft: 1024,
            hard: 4096,
        }],
        sysctls: vec![(text("net.core.somaxconn"), text("128"))],
        extra_hosts: vec![(text("gateway"), text("10.0.0.1"))],
        stop_signal: Some(text("SIGQUIT")),
        depends_on: vec![Dependency {
            service: ServiceName::new("db").unwrap(),
            condition: Condition::Healthy,
        }],
        health: Some(HealthCheck {
            probe: Probe::Http {
                port: 80,
                path: text("/healthz"),
            },
            interval_ms: 1000,
            timeout_ms: 500,
            retries: 3,
            start_period_ms: 0,
        }),
        labels: vec![(text("team"), text("kiosk"))],
        diagnostics: vec![Diagnostic {
            name: text("uptime"),
            command: vec![text("/bin/uptime")],
        }],
        api: true,
        ..bare_service("web", 0)
    }
}

fn db() -> Service {
    Service {
        network: bridge(),
        health: Some(HealthCheck {
            probe: Probe::Exec(vec![text("/bin/ready")]),
            interval_ms: 1000,
            timeout_ms: 500,
            retries: 3,
            start_period_ms: 5000,
        }),
        ..bare_service("db", 1)
    }
}

/// A manifest that uses every part of the format and is accepted.
pub(super) fn sample() -> Manifest {
    Manifest {
        tag: TYPE_TAG,
        app: AppName::new("kiosk").unwrap(),
        version: VersionLabel::new("1.2.3").unwrap(),
        seq: 7,
        epoch: 1,
        issued_at: 1_800_000_000,
        not_after: Some(1_900_000_000),
        target: Target {
            arch: Arch::Arm64,
            fleet: "default".parse().unwrap(),
            classes: vec!["kiosk-v2".parse().unwrap()],
            devices: vec![],
            agent_min: AgentVersion(0, 1, 0),
        },
        keyring_min: 0,
        services: vec![web(), db()],
        volumes: vec![volume("data")],
        networks: vec![network("default")],
        files: vec![File {
            name: text("web.conf"),
            content: BlobId(4),
            template: true,
        }],
        variables: vec![
            variable(
                "SITE",
                VariableKind::Text {
                    pattern: Some(text("[a-z]{1,8}")),
                },
                Some("home"),
            ),
            variable("COUNT", VariableKind::Integer { min: 0, max: 9 }, None),
        ],
        policy: Policy {
            restore_on_rollback: vec![volume("data")],
            ..Policy::default()
        },
        images: vec![
            Image {
                config: BlobId(0),
                layers: vec![BlobId(1)],
            },
            Image {
                config: BlobId(2),
                layers: vec![BlobId(3)],
            },
        ],
        blobs: raw_blobs(&CONTENTS),
        extensions: vec![Extension {
            id: 9,
            critical: false,
            body: vec![1, 2, 3],
        }],
    }
}

pub(super) fn variable(name: &str, kind: VariableKind, default: Option<&str>) -> Variable {
    Variable {
        name: VariableName::new(name).unwrap(),
        kind,
        default: default.map(text),
        secret: false,
        description: Text::default(),
    }
}

/// A bundle that retires its app: no services, nothing in the payload.
pub(super) fn retired() -> Manifest {
    Manifest {
        services: vec![],
        volumes: vec![],
        networks: vec![],
        files: vec![],
        variables: vec![],
        policy: Policy::default(),
        images: vec![],
        blobs: vec![],
        extensions: vec![],
        ..sample()
    }
}

/// A head with these manifest bytes, signed by these keys, whatever the bytes are.
pub(super) fn sign(bytes: &[u8], keys: &[&SecretKey]) -> Vec<u8> {
    let records = keys.iter().map(|key| key.sign(bytes, "a test")).collect();
    Head {
        records,
        manifest: bytes,
    }
    .encode()
    .unwrap()
}

/// A head with this manifest, signed by the release key.
pub(super) fn signed(manifest: &Manifest) -> Vec<u8> {
    sign(&postcard::to_allocvec(manifest).unwrap(), &[&release_key()])
}

pub(super) fn check(manifest: &Manifest) -> Result<VerifiedBundle, Refused> {
    verify(signed(manifest), &trust())
}

/// The head of [`sample`] and its payload: a whole bundle file.
pub(super) fn sample_file() -> Vec<u8> {
    let mut file = signed(&sample());
    file.extend(CONTENTS.concat());
    file
}

/// A change to a manifest.
pub(super) type Change = fn(&mut Manifest);

/// A change that must be refused: what it attempts, the clause that answers, and the change.
pub(super) type Attempt = (&'static str, &'static str, Change);

/// Makes each change to the sample by itself; each must be refused by its clause.
pub(super) fn refuses(attempts: &[Attempt]) {
    for (attempt, clause, change) in attempts {
        let mut manifest = sample();
        change(&mut manifest);
        assert_ne!(manifest, sample(), "{attempt}: the attempt changed nothing");
        match check(&manifest) {
            Ok(_) => panic!("{attempt}: accepted, where {clause} must refuse it"),
            Err(refused) => {
                assert_eq!(refused.clause(), *clause, "{attempt}: {refused}");
                assert!(!refused.to_string().is_empty() && refused.hint().ends_with('.'));
            }
        }
    }
}

/// Makes each change to the sample by itself; each must be accepted.
pub(super) fn accepts(changes: &[(&'static str, Change)]) {
    for (name, change) in changes {
        let mut manifest = sample();
        change(&mut manifest);
        assert_ne!(manifest, sample(), "{name}: the change changed nothing");
        if let Err(refused) = check(&manifest) {
            panic!("{name}: {refused}");
        }
    }
}
