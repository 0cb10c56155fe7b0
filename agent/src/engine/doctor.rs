//! Whether this device is fit, and what to do if it is not.
//!
//! Looks only: never repairs, and writes nothing.

use std::fs;
use std::path::Path;

use bundle::TrustStore;

use super::Engine;
use super::admit::build_time;
use crate::api::CheckView;
use relay_api::escape;

/// Below this, free space is worth a warning: 256 MiB.
const FREE_BYTES_LOW: u64 = 256 << 20;
/// Below this, no update can be expected to fit: 32 MiB.
const FREE_BYTES_MIN: u64 = 32 << 20;

impl Engine {
    /// Looks at everything that an update needs.
    pub(crate) async fn doctor(&self) -> Vec<CheckView> {
        let mut checks = vec![
            self.check_state(),
            self.check_apps(),
            self.check_keys(),
            self.check_clock(),
            self.check_relay(),
        ];
        let state_dir = existing(&self.config.state_dir).to_path_buf();
        checks.push(self.check_free("space for the state", &state_dir));
        match self.runtime_info().await {
            Ok(info) => {
                let mode = if info.rootless {
                    "without root"
                } else {
                    "as root"
                };
                checks.push(ok(
                    "runtime",
                    format!("{} {} {mode}", info.name, info.version),
                ));
                checks.push(self.check_free("space for images", &info.store));
                if info.name == "podman" {
                    checks.push(check_temporary());
                    checks.push(check_image_policy());
                }
            }
            Err(trouble) => checks.push(failed(
                "runtime",
                trouble.to_string(),
                "Start it (`systemctl start podman.socket`), or set `runtime` to its socket.",
            )),
        }
        checks.extend([check_memory_limits(), check_pidfd()]);
        checks
    }

    fn check_state(&self) -> CheckView {
        let name = "state";
        let (dir, state) = (&self.config.state_dir, self.state.borrow());
        if self.lost.get() {
            return failed(
                name,
                "both slots of the state file are damaged".into(),
                "What runs goes on; restart the agent, which rebuilds the state from what is stored.",
            );
        }
        if let Err(error) = writable(dir) {
            return failed(
                name,
                format!("{} cannot be written: {error}", dir.display()),
                "Check the disk (dmesg, df), or set `state_dir` to another folder.",
            );
        }
        if self.mode != super::Mode::ReadOnly && state.is_read_only() {
            return failed(
                name,
                "the last write of the state file has failed".into(),
                "Check the disk (dmesg), then restart the agent.",
            );
        }
        let record = state.record();
        ok(
            name,
            format!(
                "record {} in {}, apps: {}",
                record.sequence,
                dir.display(),
                record.apps.len()
            ),
        )
    }

    fn check_relay(&self) -> CheckView {
        let name = "relay";
        if self.link.is_damaged() {
            return failed(
                name,
                "the record of the enrolment is damaged".into(),
                "Enrol this device again: `agent enroll URL --token T`.",
            );
        }
        let view = self.relay_view();
        match (self.is_enrolled(), view.url) {
            (false, None) => ok(name, "this device belongs to no relay".into()),
            (false, Some(url)) => warning(
                name,
                format!("{url} is configured, but this device is not enrolled there"),
                "Enrol it: `agent enroll URL --token T`.",
            ),
            (true, url) => {
                let url = url.unwrap_or_default();
                let contact = match &view.last_contact {
                    Some(at) => format!("last answer {at}"),
                    None => "no answer yet".to_owned(),
                };
                match view.error {
                    None => ok(name, format!("{url}, {contact}")),
                    Some(error) => warning(
                        name,
                        format!("{url}, {contact}: {error}"),
                        "What runs goes on, and the agent keeps trying; check network, proxy and `relay_ca`.",
                    ),
                }
            }
        }
    }

    fn check_apps(&self) -> CheckView {
        let apps = self.apps.borrow();
        let broken = apps.values().find_map(|app| {
            let current = app.state().current?;
            Some((app.name.clone(), self.load(current).err()?))
        });
        match broken {
            Some((app, error)) => failed(
                "apps",
                format!("{app}: {error}"),
                "Its containers are left alone; put the right key back, or apply the bundle again.",
            ),
            None => ok(
                "apps",
                format!("all signed heads are in order, apps: {}", apps.len()),
            ),
        }
    }

    fn check_keys(&self) -> CheckView {
        match TrustStore::load(&self.config.keys_dir) {
            Ok(trust) => {
                let ids: Vec<String> = trust
                    .keys()
                    .iter()
                    .map(|key| key.id().to_string())
                    .collect();
                ok("keys", ids.join(", "))
            }
            Err(error) => failed(
                "keys",
                escape::text(&error.to_string()).into_owned(),
                "Put the release key (release.pub, made by `relay key new`) into the keys folder.",
            ),
        }
    }

    fn check_clock(&self) -> CheckView {
        let (now, floor) = (
            self.host.now_s(),
            self.state.borrow().record().clock_floor.max(build_time()),
        );
        if now < floor {
            return warning(
                "clock",
                format!(
                    "the clock says {}, but it is at least {}",
                    crate::time::to_rfc3339(now),
                    crate::time::to_rfc3339(floor)
                ),
                "Set the clock; updates go on meanwhile, and expiry is judged by what is certain.",
            );
        }
        ok("clock", crate::time::to_rfc3339(now))
    }

    fn check_free(&self, name: &str, place: &Path) -> CheckView {
        match self.host.free_bytes(place) {
            Ok(free) => {
                let found = format!("{} MiB free at {}", free >> 20, place.display());
                let hint =
                    "Remove what is not needed; `agent history` says which apps were updated.";
                match free {
                    ..FREE_BYTES_MIN => failed(name, found, hint),
                    FREE_BYTES_MIN..FREE_BYTES_LOW => warning(name, found, hint),
                    _ => ok(name, found),
                }
            }
            Err(error) => warning(name, format!("{}: {error}", place.display()), ""),
        }
    }
}

/// This folder, or the one in which it would be made.
fn existing(dir: &Path) -> &Path {
    dir.ancestors().find(|dir| dir.exists()).unwrap_or(dir)
}

/// Whether a file could be made in this folder.
fn writable(dir: &Path) -> std::io::Result<()> {
    Ok(rustix::fs::access(
        existing(dir),
        rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK,
    )?)
}

/// podman unpacks layers in its `TMPDIR`; `/var/tmp` unless set.
fn check_temporary() -> CheckView {
    let place = Path::new("/var/tmp");
    let is_ram = rustix::fs::statfs(place).is_ok_and(|found| found.f_type as u64 == 0x0102_1994);
    if is_ram {
        return warning(
            "temporary files",
            "/var/tmp is in memory".into(),
            "Set TMPDIR of the podman service to a folder on the state partition.",
        );
    }
    ok("temporary files", "/var/tmp is on a disk".into())
}

/// podman asks this file before it takes an image in, the agent's own registry included.
fn check_image_policy() -> CheckView {
    let name = "image policy";
    let places = [
        "/etc/containers/policy.json",
        "/usr/share/containers/policy.json",
    ];
    let Some((place, text)) = places
        .iter()
        .find_map(|place| Some((place, fs::read_to_string(place).ok()?)))
    else {
        return failed(
            name,
            "podman has no policy.json, so it takes in no image".into(),
            "Install containers-common, or write {\"default\":[{\"type\":\"insecureAcceptAnything\"}]} to /etc/containers/policy.json.",
        );
    };
    let policy: Option<serde_json::Value> = serde_json::from_str(&text).ok();
    let default = policy
        .as_ref()
        .and_then(|policy| policy.pointer("/default/0/type")?.as_str());
    match default {
        Some("insecureAcceptAnything") => ok(
            name,
            format!("{place} admits images; bundles carry the signatures"),
        ),
        _ => warning(
            name,
            format!("{place} does not admit all images"),
            "Admit images of 127.0.0.1 over docker transport: the agent has verified them.",
        ),
    }
}

/// Without the memory controller, memory limits of services are not enforced.
fn check_memory_limits() -> CheckView {
    let name = "memory limits";
    let unified = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers");
    let has = match &unified {
        Ok(controllers) => controllers.split_whitespace().any(|one| one == "memory"),
        Err(_) => Path::new("/sys/fs/cgroup/memory").is_dir(),
    };
    if has {
        ok(name, "the kernel enforces them".into())
    } else {
        warning(
            name,
            "the kernel has no memory controller".into(),
            "Boot with cgroup_enable=memory (Raspberry Pi: cmdline.txt).",
        )
    }
}

/// Without pidfds, waiting for containers keeps a process of the runtime in memory.
fn check_pidfd() -> CheckView {
    let own = rustix::process::getpid();
    match rustix::process::pidfd_open(own, rustix::process::PidfdFlags::empty()) {
        Ok(_) => ok("process handles", "the kernel has pidfds".into()),
        Err(error) => warning(
            "process handles",
            format!("the kernel has no pidfds: {error}"),
            "Use a kernel of version 5.3 or later to save memory.",
        ),
    }
}

fn check(name: &str, result: &str, found: String, hint: &str) -> CheckView {
    CheckView {
        name: name.into(),
        result: result.into(),
        found,
        hint: hint.into(),
    }
}

fn ok(name: &str, found: String) -> CheckView {
    check(name, "ok", found, "")
}

fn warning(name: &str, found: String, hint: &str) -> CheckView {
    check(name, "warning", found, hint)
}

fn failed(name: &str, found: String, hint: &str) -> CheckView {
    check(name, "failed", found, hint)
}
