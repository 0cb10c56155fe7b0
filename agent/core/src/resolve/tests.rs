//! Which changes need a new container, and in which order services start.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use bundle::manifest::*;
use bundle::{NetworkName, VolumeName};
use proptest::prelude::*;

use super::*;
use crate::fixtures::{blob, depends, manifest, service, text};

/// Values as the agent stores them: (name, value, secret) in postcard.
fn values(entries: &[(&str, &str)]) -> Values {
    let entries: Vec<(&str, &str, bool)> = entries.iter().map(|(n, v)| (*n, *v, false)).collect();
    Values::decode(&postcard::to_allocvec(&entries).unwrap()).unwrap()
}

fn no_templates(file: FileId) -> Result<Digest, String> {
    Err(file.0.to_string())
}

fn resolve(manifest: &Manifest, values: &Values) -> ResolvedApp {
    ResolvedApp::new(manifest, Digest::of(b"bundle"), values, &mut no_templates).unwrap()
}

fn mount(file: u16) -> FileMount {
    FileMount {
        file: FileId(file),
        target: text("/etc/x"),
        mode: 0o444,
        uid: 0,
        gid: 0,
    }
}

/// The spec of the only service of this manifest.
fn spec_of(services: Vec<Service>) -> Digest {
    let manifest = Manifest {
        services,
        ..manifest()
    };
    resolve(&manifest, &Values::default()).services[0].spec
}

#[test]
fn variables_go_into_the_environment() {
    let mut manifest = manifest();
    let mut web = service("web");
    web.environment = vec![
        (text("COST"), text("$$5")),
        (text("PLAIN"), text("as it is")),
        (text("SITE"), text("shop ${SITE}")),
    ];
    manifest.services = vec![web];
    let of = |site: &str| resolve(&manifest, &values(&[("SITE", site)]));
    let environment = &of("a").services[0].service.environment;
    let expanded: Vec<&str> = environment
        .iter()
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(expanded, ["$5", "as it is", "shop a"]);
    assert_eq!(of("a"), of("a"));
    assert_ne!(of("a").services[0].spec, of("b").services[0].spec);

    let undeclared = ResolvedApp::new(
        &manifest,
        Digest::of(b""),
        &Values::default(),
        &mut no_templates,
    );
    let error = undeclared.unwrap_err();
    assert!(matches!(error, ResolveError::Environment { .. }));
    assert!(
        error
            .to_string()
            .starts_with("service web, environment SITE: "),
        "{error}"
    );
}

#[test]
fn a_value_that_makes_a_text_too_long_is_an_error() {
    let mut manifest = manifest();
    let mut web = service("web");
    let references = "${X}".repeat(bundle::limits::TEXT_BYTES_MAX / 4);
    web.environment = vec![(text("ALL"), text(&references))];
    manifest.services = vec![web];
    let long = values(&[("X", "12345")]);
    let error = ResolvedApp::new(&manifest, Digest::of(b""), &long, &mut no_templates);
    let expected = ResolveError::TooLong {
        service: ServiceName::new("web").unwrap(),
        name: text("ALL"),
    };
    assert_eq!(error, Err(expected));
}

fn with_files() -> Manifest {
    let file = |name: &str, content, template| File {
        name: text(name),
        content: BlobId(content),
        template,
    };
    let mut manifest = manifest();
    manifest.blobs = vec![
        blob("config", 1, 1),
        blob("plain", 1, 1),
        blob("template", 1, 1),
    ];
    manifest.files = vec![file("plain", 1, false), file("template", 2, true)];
    let (mut one, mut two) = (service("one"), service("two"));
    one.files = vec![mount(0), mount(1)];
    two.files = vec![mount(1), mount(1)];
    manifest.services = vec![one, two];
    manifest
}

#[test]
fn templates_are_rendered_once_and_other_files_never() {
    let mut asked = Vec::new();
    let mut render = |file: FileId| -> Result<Digest, String> {
        asked.push(file);
        Ok(Digest::of(b"rendered"))
    };
    let manifest = with_files();
    let app = ResolvedApp::new(&manifest, Digest::of(b""), &Values::default(), &mut render);
    let app = app.unwrap();
    assert_eq!(asked, [FileId(1)]);
    let contents = |service: usize| -> Vec<Digest> {
        app.services[service]
            .files
            .iter()
            .map(|file| file.content)
            .collect()
    };
    assert_eq!(contents(0), [Digest::of(b"plain"), Digest::of(b"rendered")]);
    assert_eq!(contents(1), [Digest::of(b"rendered"); 2]);
}

#[test]
fn a_file_that_cannot_be_rendered_is_an_error_that_names_it() {
    let manifest = with_files();
    let nothing = Values::default();
    let error = ResolvedApp::new(&manifest, Digest::of(b""), &nothing, &mut no_templates);
    let expected = ResolveError::File {
        file: FileId(1),
        source: "1".to_string(),
    };
    assert_eq!(error, Err(expected));
}

#[test]
fn rendered_content_is_part_of_the_spec() {
    let of = |content: &'static [u8]| {
        let mut render = |_| -> Result<Digest, String> { Ok(Digest::of(content)) };
        let nothing = Values::default();
        ResolvedApp::new(&with_files(), Digest::of(b""), &nothing, &mut render).unwrap()
    };
    assert_eq!(of(b"a").services[0].spec, of(b"a").services[0].spec);
    assert_ne!(of(b"a").services[0].spec, of(b"b").services[0].spec);
}

#[test]
fn what_the_manifest_does_not_hold_is_an_error_not_a_panic() {
    let dangling = Err(ResolveError::Dangling {
        service: ServiceName::new("web").unwrap(),
    });
    let check = |change: fn(&mut Manifest)| {
        let mut manifest = manifest();
        manifest.services = vec![service("web")];
        change(&mut manifest);
        let nothing = Values::default();
        let found = ResolvedApp::new(&manifest, Digest::of(b""), &nothing, &mut no_templates);
        assert_eq!(found, dangling);
    };
    check(|manifest| manifest.services[0].image = ImageId(1));
    check(|manifest| manifest.blobs.clear());
    check(|manifest| manifest.services[0].files = vec![mount(0)]);
    check(|manifest| {
        manifest.services[0].files = vec![mount(0)];
        manifest.files = vec![File {
            name: text("x"),
            content: BlobId(9),
            template: false,
        }];
    });
}

type Change = (&'static str, fn(&mut Service));

/// What the container is made with: a change needs a new one.
const NEEDS_A_NEW_CONTAINER: &[Change] = &[
    ("name", |s| s.name = ServiceName::new("other").unwrap()),
    ("entrypoint", |s| s.entrypoint = Some(vec![])),
    ("command", |s| s.command = Some(vec![text("x")])),
    ("environment", |s| {
        s.environment = vec![(text("A"), text("b"))]
    }),
    ("user", |s| s.user = Some(text("app"))),
    ("working_dir", |s| s.working_dir = Some(text("/"))),
    ("hostname", |s| s.hostname = Some(text("h"))),
    ("network", |s| s.network = NetworkMode::Host),
    ("network aliases", |s| {
        s.network = NetworkMode::Bridge(vec![NetworkAttachment {
            network: NetworkName::new("n").unwrap(),
            aliases: vec![],
        }]);
    }),
    ("ports", |s| {
        s.ports = vec![Port {
            host_ip: None,
            host: 80,
            container: 80,
            protocol: Protocol::Tcp,
        }];
    }),
    ("volumes", |s| {
        s.volumes = vec![VolumeMount {
            volume: VolumeName::new("v").unwrap(),
            target: text("/v"),
            read_only: false,
        }];
    }),
    ("binds", |s| {
        s.binds = vec![BindMount {
            source: text("/b"),
            target: text("/b"),
            read_only: true,
        }];
    }),
    ("tmpfs", |s| {
        s.tmpfs = vec![Tmpfs {
            target: text("/t"),
            bytes_max: None,
        }];
    }),
    ("devices", |s| {
        s.devices = vec![Device {
            source: text("/dev/x"),
            target: text("/dev/x"),
            permissions: text("r"),
        }];
    }),
    ("privileged", |s| s.privileged = true),
    ("cap_add", |s| s.cap_add = vec![text("NET_RAW")]),
    ("cap_drop", |s| s.cap_drop = vec![text("NET_RAW")]),
    ("no_new_privileges", |s| s.no_new_privileges = false),
    ("read_only", |s| s.read_only = false),
    ("init", |s| s.init = true),
    ("limits", |s| s.limits.memory_bytes = Some(1)),
    ("ulimits", |s| {
        s.ulimits = vec![Ulimit {
            name: text("nofile"),
            soft: 1,
            hard: 1,
        }];
    }),
    ("sysctls", |s| s.sysctls = vec![(text("a"), text("1"))]),
    ("extra_hosts", |s| {
        s.extra_hosts = vec![(text("a"), text("1"))]
    }),
    ("stop_signal", |s| s.stop_signal = Some(text("SIGINT"))),
    ("stop_grace_s", |s| s.stop_grace_s = 11),
    ("logging", |s| s.logging.files_max = 3),
    ("labels", |s| s.labels = vec![(text("a"), text("b"))]),
    ("api", |s| s.api = true),
];

/// What the agent does by itself.
const KEEPS_THE_CONTAINER: &[Change] = &[
    ("restart", |s| s.restart = Restart::No),
    ("depends_on", |s| s.depends_on = depends(&["other"])),
    ("health", |s| {
        s.health = Some(HealthCheck {
            probe: Probe::Tcp { port: 1 },
            interval_ms: 1,
            timeout_ms: 1,
            retries: 1,
            start_period_ms: 1,
        });
    }),
    ("diagnostics", |s| {
        s.diagnostics = vec![Diagnostic {
            name: text("d"),
            command: vec![],
        }];
    }),
];

#[test]
fn a_spec_changes_with_what_the_container_is_made_of_and_with_nothing_else() {
    let bare = || service("web");
    let mut specs = vec![spec_of(vec![bare()])];
    for (what, change) in NEEDS_A_NEW_CONTAINER {
        let mut changed = bare();
        change(&mut changed);
        let spec = spec_of(vec![changed]);
        assert!(!specs.contains(&spec), "{what}");
        specs.push(spec);
    }
    for (what, change) in KEEPS_THE_CONTAINER {
        let mut changed = bare();
        change(&mut changed);
        assert_ne!(changed, bare(), "{what}");
        assert_eq!(spec_of(vec![changed]), specs[0], "{what}");
    }
}

/// Names every field, so that a new one does not compile before it is in one of the two lists (or
/// is `image` or `files`, which have tests of their own).
#[test]
fn every_field_of_a_service_is_in_one_of_the_lists() {
    #[rustfmt::skip]
    let Service {
        name: _, image: _, entrypoint: _, command: _, environment: _, user: _, working_dir: _,
        hostname: _, network: _, ports: _, volumes: _, binds: _, tmpfs: _, files: _, devices: _,
        privileged: _, cap_add: _, cap_drop: _, no_new_privileges: _, read_only: _, init: _,
        limits: _, ulimits: _, sysctls: _, extra_hosts: _, restart: _, stop_signal: _,
        stop_grace_s: _, depends_on: _, health: _, logging: _, labels: _, diagnostics: _, api: _,
    } = service("web");
    assert_eq!(
        NEEDS_A_NEW_CONTAINER.len() - 1 + KEEPS_THE_CONTAINER.len() + 2,
        34
    );
}

#[test]
fn places_in_the_manifest_are_no_part_of_the_spec_but_digests_are() {
    let two_images = |image: u16| {
        let mut manifest = manifest();
        manifest.blobs = vec![
            blob("config", 1, 1),
            blob("config", 2, 2),
            blob("other", 1, 1),
        ];
        let image_of = |config| Image {
            config: BlobId(config),
            layers: vec![],
        };
        manifest.images = vec![image_of(0), image_of(1), image_of(2)];
        let mut web = service("web");
        web.image = ImageId(image);
        manifest.services = vec![web];
        resolve(&manifest, &Values::default()).services[0].spec
    };
    assert_eq!(two_images(0), two_images(1));
    assert_ne!(two_images(0), two_images(2));

    let two_files = |file: u16| {
        let mut manifest = manifest();
        manifest.blobs = vec![blob("config", 1, 1), blob("a", 1, 1), blob("b", 1, 1)];
        let file_of = |content| File {
            name: text("x"),
            content: BlobId(content),
            template: false,
        };
        manifest.files = vec![file_of(1), file_of(1), file_of(2)];
        let mut web = service("web");
        web.files = vec![mount(file)];
        manifest.services = vec![web];
        resolve(&manifest, &Values::default()).services[0].spec
    };
    assert_eq!(two_files(0), two_files(1));
    assert_ne!(two_files(0), two_files(2));
}

/// Other services do not enter, and neither does the order.
#[test]
fn a_spec_is_of_one_service_alone() {
    let alone = spec_of(vec![service("web")]);
    let mut manifest = manifest();
    manifest.services = vec![service("db"), service("web")];
    let app = resolve(&manifest, &Values::default());
    let web = app.service(&ServiceName::new("web").unwrap()).unwrap();
    assert_eq!(web.spec, alone);
}

/// Specs are labels on containers that outlive agents: if this one changes, an update of the agent
/// replaces every container on every device.
#[test]
fn the_golden_spec_stays() {
    let mut web = service("web");
    for (_, change) in NEEDS_A_NEW_CONTAINER {
        change(&mut web);
    }
    let golden = include_str!("../../tests/vectors/spec-v1.txt");
    assert_eq!(spec_of(vec![web]).to_string(), golden.trim());
}

fn apps_services(of: &[(&str, &[&str])]) -> Vec<ResolvedService> {
    let services = of.iter().map(|(name, on)| Service {
        depends_on: depends(on),
        ..service(name)
    });
    crate::fixtures::resolved(services.collect())
}

#[test]
fn services_start_after_what_they_depend_on_and_otherwise_as_written() {
    let check = |services: &[(&str, &[&str])], expected: &[&str]| {
        let resolved = apps_services(services);
        let order = start_order(&resolved);
        let names: Vec<&str> = order
            .iter()
            .map(|at| resolved[*at].service.name.as_str())
            .collect();
        assert_eq!(names, expected);
    };
    check(&[], &[]);
    check(&[("a", &[]), ("b", &[]), ("c", &[])], &["a", "b", "c"]);
    check(&[("a", &["b"]), ("b", &[])], &["b", "a"]);
    check(
        &[
            ("web", &["api", "cache"]),
            ("api", &["db"]),
            ("cache", &[]),
            ("db", &[]),
        ],
        &["cache", "db", "api", "web"],
    );
    check(
        &[("a", &["c"]), ("b", &[]), ("c", &[]), ("d", &["a"])],
        &["b", "c", "a", "d"],
    );
    // No verified manifest has these; all the same every service comes once.
    check(&[("a", &["a"]), ("b", &[])], &["a", "b"]);
    check(&[("a", &["gone"]), ("b", &[])], &["a", "b"]);
    check(
        &[("a", &["b"]), ("b", &["a"]), ("c", &[])],
        &["c", "a", "b"],
    );
}

proptest! {
    #[test]
    fn every_service_comes_once_and_after_its_dependencies(
        edges in proptest::collection::vec((0usize..12, 0usize..12), 0..40),
        acyclic: bool,
    ) {
        let name = |n: usize| alloc::format!("s{n}");
        let mut services: Vec<Service> = (0..12).map(|n| service(&name(n))).collect();
        for (a, b) in edges {
            // From the lower to the higher number there can be no circle.
            let (from, on) = if acyclic { (a.max(b), a.min(b)) } else { (a, b) };
            if !acyclic || from != on {
                services[from].depends_on.extend(depends(&[&name(on)]));
            }
        }
        services.reverse();
        let resolved = crate::fixtures::resolved(services);
        let order = start_order(&resolved);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        prop_assert_eq!(sorted, (0..12).collect::<Vec<_>>());
        if acyclic {
            for (at, index) in order.iter().enumerate() {
                for dependency in &resolved[*index].service.depends_on {
                    let earlier = order[..at]
                        .iter()
                        .any(|other| resolved[*other].service.name == dependency.service);
                    prop_assert!(earlier);
                }
            }
        }
    }
}
