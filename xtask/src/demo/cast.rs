//! Who plays in the demo: a podman service, a device with its daemon, a relay, an operator with a
//! release key.
//!
//! Never speaks to the person; `story` does.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use e2e::http::{Response, wait_for};
use e2e::{Agent, Daemon, Keys, PodmanService, Relay, RelayServer, Sandbox};
use test_images::Version;

/// How long an answer may take that is expected to come.
const PATIENCE: Duration = Duration::from_secs(90);

/// The app's name.
pub(crate) const APP: &str = "kiosk";
/// The device's id.
pub(crate) const DEVICE: &str = "demo-device";

/// Everything that the demo runs. Fields are dropped in this order: the daemon first.
pub(crate) struct Cast {
    /// The agent as a daemon.
    pub(crate) daemon: Daemon,
    /// The agent's command line.
    pub(crate) agent: Agent,
    /// The containers' home.
    pub(crate) podman: PodmanService,
    /// The relay that the device asks.
    pub(crate) server: RelayServer,
    /// The operator's tool.
    pub(crate) relay: Relay,
    /// The release key.
    pub(crate) keys: Keys,
    /// Where nginx answers.
    pub(crate) port: u16,
    /// The folder of it all.
    pub(crate) sandbox: Sandbox,
}

impl Cast {
    /// Starts podman, a relay and the daemon; makes a key, which the device trusts. The agent is
    /// `program`, or the one that `cargo build` makes; `options` are of `relay serve`.
    pub(crate) fn assemble(program: Option<PathBuf>, options: &[&str]) -> Result<Self> {
        let sandbox = Sandbox::on_host()?;
        let relay = Relay::new(&sandbox)?;
        let keys = relay.new_keys("release")?;
        let podman = PodmanService::start(&sandbox)?;
        let mut agent = Agent::new(&sandbox, DEVICE, &podman)?;
        if let Some(program) = program {
            agent = agent.with_program(program);
        }
        agent.trust(&keys)?;
        std::fs::write(
            agent.config_file(),
            format!("[variables.{APP}]\nSITE_NAME = \"Harbour office\"\n"),
        )?;
        let server = RelayServer::start(&sandbox, options)?;
        let daemon = agent.start()?;
        Ok(Self {
            daemon,
            agent,
            podman,
            server,
            relay,
            keys,
            port: free_port()?,
            sandbox,
        })
    }

    /// Packs `compose.vN.yaml`; the images are those of the version, the broker's always of 1.
    pub(crate) fn pack(&self, version: u64) -> Result<PathBuf> {
        let release = if version == 1 {
            Version::V1
        } else {
            Version::V2
        };
        let compose = test_images::demo_dir().join(format!("compose.v{version}.yaml"));
        let settings = self.sandbox.path().join("demo.env");
        std::fs::write(&settings, format!("HTTP_PORT={}\n", self.port))?;
        self.relay
            .pack(&compose, &self.keys)
            .app(APP, &format!("{version}.0"), version)
            .option("--env-file", &settings)
            .image("broker", &test_images::mosquitto(Version::V1)?)
            .image("flow", &test_images::node_red(release)?)
            .image("web", &test_images::nginx(release)?)
            .to(&format!("{APP}-{version}.0.bin"))
    }

    /// Waits until nginx hands out a reading of this version.
    pub(crate) fn reading(&self, version: u64) -> Result<Response> {
        wait_for(self.port, "/reading", PATIENCE, |answer| {
            answer.status == 200 && answer.json().is_ok_and(|json| json["version"] == version)
        })
        .with_context(|| format!("no reading of version {version} came"))
    }

    /// The id of a running container of a service.
    pub(crate) fn container(&self, service: &str) -> Result<String> {
        let filter = format!("label=coracle.service={service}");
        let listed = self
            .podman
            .podman(&["ps", "--quiet", "--no-trunc", "--filter", &filter])?;
        let id = listed.ok()?.stdout.trim().to_owned();
        anyhow::ensure!(!id.is_empty(), "no container of {service} runs");
        Ok(id)
    }
}

/// A copy of a bundle with one bit of its payload turned.
pub(crate) fn tampered(bundle: &Path) -> Result<PathBuf> {
    let copy = bundle.with_file_name("tampered.bin");
    let mut bytes = std::fs::read(bundle)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&copy, bytes)?;
    Ok(copy)
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
