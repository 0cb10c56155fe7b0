//! One device with its podman, an operator's tool, and short ways to say what tests say often.
//!
//! Never asserts a time: what has to happen is awaited, with a deadline that only a failure meets.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{Agent, Keys, Outcome, PodmanService, Relay, Sandbox, wait_until};
use serde_json::Value;
use test_images::Version;

/// How long anything may take before a test gives up.
pub(crate) const DEADLINE: Duration = Duration::from_secs(90);

/// Exit codes of the agent.
pub(crate) mod exit {
    pub(crate) const FAILURE: i32 = 1;
    pub(crate) const REFUSED: i32 = 10;
    pub(crate) const NO_SPACE: i32 = 11;
    pub(crate) const RUNTIME_UNREACHABLE: i32 = 12;
    pub(crate) const DOWNLOAD_FAILED: i32 = 13;
    pub(crate) const ROLLED_BACK: i32 = 20;
    pub(crate) const ALREADY_CURRENT: i32 = 30;
}

/// Waits for something with the deadline of all tests.
pub(crate) fn eventually<T>(what: &str, attempt: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    wait_until(what, DEADLINE, attempt)
}

/// An app of two services, one of which changes: `side` stays the same container through updates
/// of `web`, whose image is `web_image` (`v1` or `v2`).
pub(crate) fn two_services(web_image: &str) -> String {
    format!(
        "services:
  web:
    image: {web_image}
    restart: always
    ports: ['8080:8080']
    x-coracle: {{health: {{http: 8080/health, interval: 500ms, start_period: 20s}}}}
  side:
    image: v1
    restart: always
    command: [sleep, '100000']
x-coracle: {{trial: {{duration: 1s, healthy_within: 60s}}}}
"
    )
}

/// An app of one service that runs this shell script.
pub(crate) fn script(restart: &str, script: &str) -> String {
    format!(
        "services:
  main:
    image: v1
    restart: {restart:?}
    command: [sh, -c, {script:?}]
x-coracle: {{trial: 1s}}
"
    )
}

/// A container, as podman sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) running: bool,
}

/// One device that trusts one release key. Fields are dropped in this order.
pub(crate) struct Bench {
    pub(crate) agent: Agent,
    pub(crate) podman: PodmanService,
    pub(crate) relay: Relay,
    pub(crate) keys: Keys,
    pub(crate) sandbox: Sandbox,
}

impl Bench {
    pub(crate) fn new() -> Result<Self> {
        Self::in_sandbox(Sandbox::new()?)
    }

    /// In a sandbox that has been made ready for this test.
    pub(crate) fn in_sandbox(sandbox: Sandbox) -> Result<Self> {
        let podman = PodmanService::start(&sandbox)?;
        let relay = Relay::new(&sandbox)?;
        let keys = relay.new_keys("release")?;
        let agent = Agent::new(&sandbox, "device-1", &podman)?;
        agent.trust(&keys)?;
        Ok(Self {
            agent,
            podman,
            relay,
            keys,
            sandbox,
        })
    }

    /// Packs `compose` as version `SEQ.0` of `app`.
    pub(crate) fn pack(&self, seq: u64, compose: &str) -> Result<PathBuf> {
        self.pack_as("app", seq, compose, &self.keys, &[])
    }

    /// Packs for any app, under any key, with further options of `relay pack`. The image of a
    /// service is `tiny`, release 1 or 2, or a larger one, as its `image:` says (`v1`, `v2`,
    /// `nginx`).
    pub(crate) fn pack_as(
        &self,
        app: &str,
        seq: u64,
        compose: &str,
        keys: &Keys,
        options: &[(&str, &str)],
    ) -> Result<PathBuf> {
        let folder = self.sandbox.folder("compose")?;
        let number = fs::read_dir(&folder)?.count();
        let file = folder.join(format!("{app}-{seq}-{number}.yaml"));
        fs::write(&file, compose)?;
        let mut pack = self
            .relay
            .pack(&file, keys)
            .app(app, &format!("{seq}.0"), seq);
        for (service, archive) in images(compose)? {
            pack = pack.image(service, &archive);
        }
        for (name, value) in options {
            pack = pack.option(name, value);
        }
        pack.to(&format!("{app}-{seq}-{number}.bin"))
    }

    /// Packs and applies what must go through.
    pub(crate) fn install(&self, seq: u64, compose: &str) -> Result<PathBuf> {
        let bundle = self.pack(seq, compose)?;
        self.agent.apply(&bundle)?.ok()?;
        Ok(bundle)
    }

    /// The state of the only app in `agent status --json`.
    pub(crate) fn app(&self) -> Result<Value> {
        let mut status = self.agent.status()?;
        let apps = status["apps"].as_array_mut().context("no apps")?;
        ensure!(apps.len() == 1, "not one app: {apps:?}");
        Ok(apps.remove(0))
    }

    /// The state of a service of the only app in `agent status --json`.
    pub(crate) fn service(&self, name: &str) -> Result<Value> {
        let app = self.app()?;
        let services = app["services"].as_array().context("no services")?;
        let found = services.iter().find(|service| service["name"] == name);
        found.cloned().with_context(|| format!("no {name}: {app}"))
    }

    /// Waits until `agent status` shows a service as wanted.
    pub(crate) fn wait_for_service(
        &self,
        name: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let mut last = Value::Null;
        let waited = wait_until(&format!("{name} to be as wanted"), DEADLINE, || {
            last = self.service(name)?;
            Ok(wanted(&last).then_some(()))
        });
        waited.with_context(|| format!("it was {last}"))?;
        Ok(last)
    }

    /// All containers of this device, by service, running ones first; asked of podman itself.
    pub(crate) fn containers(&self) -> Result<BTreeMap<String, Vec<Container>>> {
        let arguments = ["ps", "--all", "--format", "json"];
        // podman fails where a container goes while it makes the list.
        let listed = eventually("podman to list its containers", || {
            Ok(self.podman.podman(&arguments)?.json().ok())
        })?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut found: BTreeMap<String, Vec<Container>> = BTreeMap::new();
        for one in listed.as_array().context("no list")? {
            let service = text(&one["Labels"]["coracle.service"]);
            found.entry(service).or_default().push(Container {
                id: text(&one["Id"]),
                name: text(&one["Names"][0]),
                running: one["State"] == "running",
            });
        }
        for containers in found.values_mut() {
            containers.sort_by_key(|container| !container.running);
        }
        Ok(found)
    }

    /// The one container of a service, which runs.
    pub(crate) fn container(&self, service: &str) -> Result<Container> {
        let mut all = self.containers()?;
        let mine = all.remove(service).unwrap_or_default();
        match &mine[..] {
            [one] if one.running => Ok(one.clone()),
            _ => anyhow::bail!("{service} is not one running container: {mine:?}"),
        }
    }

    /// What `podman inspect` says of a service's container.
    pub(crate) fn inspect(&self, service: &str) -> Result<Value> {
        let id = self.container(service)?.id;
        let mut all = self.podman.podman(&["inspect", &id])?.json()?;
        Ok(all[0].take())
    }

    /// Runs a command in a service's container and returns what it wrote.
    pub(crate) fn exec(&self, service: &str, command: &[&str]) -> Result<String> {
        let id = self.container(service)?.id;
        let arguments = [&["exec", &id], command].concat();
        Ok(self.podman.podman(&arguments)?.ok()?.stdout)
    }

    /// The bytes of both slots of the state file.
    pub(crate) fn slots(&self) -> Result<[Vec<u8>; 2]> {
        let dir = self.agent.state_dir();
        Ok([
            fs::read(dir.join("state.a"))?,
            fs::read(dir.join("state.b"))?,
        ])
    }

    /// Writes `agent.toml`.
    pub(crate) fn configure(&self, text: &str) -> Result<()> {
        Ok(fs::write(self.agent.config_file(), text)?)
    }
}

/// The services of a Compose file in the style of this folder, each with its image's archive.
fn images(compose: &str) -> Result<Vec<(&str, PathBuf)>> {
    let mut service = "";
    let mut found = Vec::new();
    for line in compose.lines() {
        let name = line
            .strip_prefix("  ")
            .and_then(|line| line.strip_suffix(':'));
        service = name.map_or(service, str::trim);
        let archive = match line.trim() {
            "image: v1" => test_images::tiny(Version::V1)?,
            "image: v2" => test_images::tiny(Version::V2)?,
            "image: nginx" => test_images::nginx(Version::V1)?,
            _ => continue,
        };
        found.push((service, archive));
    }
    Ok(found)
}

/// Checks that a command failed with this code and said in one sentence each what is wrong and
/// what to do.
pub(crate) fn assert_explained(outcome: &Outcome, code: i32) -> Result<()> {
    ensure!(outcome.code == code, "not exit code {code}: {outcome:?}");
    let said = |prefix: &str| -> Result<String> {
        let lines = outcome.stderr.lines();
        let mut found = lines.filter_map(|line| line.strip_prefix(prefix));
        let first = found
            .next()
            .with_context(|| format!("no {prefix:?} in {outcome:?}"))?;
        ensure!(
            found.next().is_none(),
            "more than one {prefix:?}: {outcome:?}"
        );
        ensure!(first.trim().len() > 10, "nothing said: {outcome:?}");
        Ok(first.to_owned())
    };
    for sentence in [said("error: ")?, said("hint: ")?] {
        ensure!(
            !sentence.trim_end_matches('.').contains(". "),
            "more than a sentence: {sentence:?}"
        );
    }
    Ok(())
}

/// A copy of a file with a change to its bytes.
pub(crate) fn changed(
    file: &Path,
    name: &str,
    change: impl FnOnce(&mut Vec<u8>),
) -> Result<PathBuf> {
    let mut bytes = fs::read(file)?;
    change(&mut bytes);
    let copy = file.with_file_name(name);
    fs::write(&copy, bytes)?;
    Ok(copy)
}
