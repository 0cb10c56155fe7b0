//! The images of the demo, started by podman itself: they work, and they work together, before
//! any of our own programs comes into it.

use std::time::Duration;

use anyhow::Result;
use e2e::{PodmanService, Sandbox, http, wait_until};
use test_images::{Version, demo_dir, mosquitto, nginx, node_red};

const DEADLINE: Duration = Duration::from_secs(60);

/// Starts a container without capabilities on the network `app`, as the demo's Compose file does.
fn start(podman: &PodmanService, name: &str, arguments: &[String]) -> Result<()> {
    let fixed = [
        "run",
        "--detach",
        "--network=app",
        "--cap-drop=all",
        "--name",
        name,
    ];
    let all = [
        &fixed[..],
        &arguments.iter().map(String::as_str).collect::<Vec<_>>(),
    ]
    .concat();
    podman.podman(&all)?.ok().map(drop)
}

fn answers(version: Version, flows: &str) -> Result<()> {
    let sandbox = Sandbox::new()?;
    let podman = PodmanService::start(&sandbox)?;
    for (name, archive) in [
        ("broker", mosquitto(version)?),
        ("flow", node_red(version)?),
        ("web", nginx(version)?),
    ] {
        podman.load(&archive, name)?;
    }
    podman.podman(&["network", "create", "app"])?.ok()?;
    let mount =
        |file: &str, to: &str| format!("--volume={}:{to}:ro", demo_dir().join(file).display());

    start(
        &podman,
        "broker",
        &["--volume=data:/data".into(), "broker".into()],
    )?;
    let publish = [
        "exec",
        "broker",
        "mosquitto_pub",
        "-h",
        "127.0.0.1",
        "-q",
        "1",
        "-t",
        "health",
        "-m",
        "ok",
    ];
    wait_until("the broker to take a message", DEADLINE, || {
        Ok((podman.podman(&publish)?.code == 0).then_some(()))
    })?;
    let flow = [
        "--env=SITE_NAME=Harbour 7".into(),
        "--env=FLOWS=/flows.json".into(),
        mount(flows, "/flows.json"),
        "flow".into(),
    ];
    start(&podman, "flow", &flow)?;
    let web = [
        "--read-only".into(),
        "--tmpfs=/tmp".into(),
        "--publish=8080:8080".into(),
        mount("site.conf", "/etc/nginx/conf.d/default.conf"),
        mount("index.html", "/srv/www/index.html"),
        "web".into(),
    ];
    start(&podman, "web", &web)?;

    let reading = http::wait_for(8080, "/reading", DEADLINE, |answer| answer.status == 200)?;
    let reading = reading.json()?;
    assert_eq!(reading["version"], version.number());
    assert_eq!(reading["site"], "Harbour 7");
    assert!(http::get(8080, "/")?.body.contains("<h1>${SITE_NAME}</h1>"));

    // Another flow gets another address, and nginx follows; its topic has no publisher.
    podman
        .podman(&["rm", "--force", "--time", "5", "flow"])?
        .ok()?;
    start(&podman, "placeholder", &["broker".into()])?;
    let mut bad = flow;
    bad[2] = mount("flows.v3.json", "/flows.json");
    start(&podman, "flow", &bad)?;
    let unwell = |answer: &http::Response| answer.body.contains("\"heard_ms_ago\":null");
    assert_eq!(
        http::wait_for(8080, "/health", DEADLINE, unwell)?.status,
        503
    );
    Ok(())
}

#[test]
fn the_first_release_makes_readings_that_arrive() -> Result<()> {
    answers(Version::V1, "flows.v1.json")
}

#[test]
fn the_second_release_makes_readings_that_arrive() -> Result<()> {
    answers(Version::V2, "flows.v2.json")
}
