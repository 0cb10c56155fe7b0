//! Evidence of a failure: how the containers of a failed generation ended, and what they wrote
//! last.
//!
//! Collected before a rollback clears them away, for the report of its end. Bounded in bytes and
//! in time: a runtime that does not answer never holds a rollback up for long. Never stops or
//! removes anything.

use std::cell::RefCell;
use std::collections::VecDeque;

use agent_core::{Cause, Generation, Phase};
use bundle::ServiceName;
use relay_api::device::{EVIDENCE_LINES_MAX, Evidence};
use runtime_shim::{Container, ContainerState, LogQuery, labels};
use smol::future::or;

use super::Engine;
use super::app::App;
use super::generation::Loaded;
use super::ours::{find, generation_of, is_running};
use super::trouble::Trouble;
use relay_api::escape;

/// Most bytes of a line; the rest of it is cut off.
const LINE_BYTES_MAX: usize = 1024;
/// Most bytes of all lines: a report has 256 KiB, and the rest of it needs little.
const EVIDENCE_BYTES_MAX: usize = 192 << 10;
/// Bytes that a line takes besides its text: its length.
const LINE_BYTES_MORE: usize = 2;
/// Longest that a rollback waits for evidence, in milliseconds: services are down meanwhile.
const EVIDENCE_MS_MAX: u64 = 5_000;

/// What stands where a log should.
const NOT_IN_TIME: &str = "(agent: the container runtime did not give this log in time)";
const CUT: &str = "…";

/// A service's container and what has been read of its log.
struct Witness {
    service: ServiceName,
    exit_code: Option<i32>,
    tail: Tail,
    /// Whether the log was read to its end.
    whole: bool,
}

/// The last lines of a log, within bounds.
#[derive(Default)]
struct Tail {
    lines: VecDeque<String>,
    bytes: usize,
    bytes_max: usize,
}

impl Tail {
    fn push(&mut self, mut line: String) {
        if line.len() > LINE_BYTES_MAX {
            escape::cut(&mut line, LINE_BYTES_MAX - CUT.len());
            line += CUT;
            // What it came in was up to 16 KiB long.
            line.shrink_to_fit();
        }
        self.bytes += line.len() + LINE_BYTES_MORE;
        self.lines.push_back(line);
        while self.bytes > self.bytes_max || self.lines.len() > EVIDENCE_LINES_MAX {
            let Some(gone) = self.lines.pop_front() else {
                return;
            };
            self.bytes -= gone.len() + LINE_BYTES_MORE;
        }
    }
}

impl Engine {
    /// Collects the evidence of a generation that is about to be cleared away, and keeps it until
    /// its report is made; what an earlier attempt has kept stays as it is, since containers may
    /// be gone since then.
    pub(super) async fn keep_evidence(&self, app: &App, failed: Generation) {
        if !self.is_enrolled() || !self.evidence_of(app, &failed).is_empty() {
            return;
        }
        let evidence = self.evidence(app, failed).await;
        if let Err(error) = self.evidence.keep(&app.name, &failed, &evidence) {
            // It is still in memory.
            log::warn!(
                "app={} phase=restoring evidence=kept in memory cause={error}",
                app.name
            );
        }
        app.evidence.replace(Some((failed, evidence)));
    }

    /// The evidence that was kept of a generation.
    pub(super) fn evidence_of(&self, app: &App, failed: &Generation) -> Vec<Evidence> {
        let kept = app.evidence.borrow();
        let kept = kept.as_ref().filter(|(generation, _)| generation == failed);
        let kept = kept.map(|(_, evidence)| evidence.clone());
        kept.or_else(|| self.evidence.of(&app.name, failed))
            .unwrap_or_default()
    }

    /// Its report has been made, or there will be none.
    pub(super) fn forget_evidence(&self, app: &App) {
        app.evidence.take();
        self.evidence.forget(&app.name);
    }

    async fn evidence(&self, app: &App, failed: Generation) -> Vec<Evidence> {
        let loaded = self.load(failed).ok();
        let (suspect, exit_code) = suspect(app, loaded.as_deref());
        let witnesses = RefCell::new(Vec::new());
        let collect = async {
            let collected = self
                .question(app, failed, loaded.as_deref(), suspect.as_ref(), &witnesses)
                .await;
            collected.err().map(|trouble| trouble.to_string())
        };
        let too_late = async {
            self.host.sleep(EVIDENCE_MS_MAX).await;
            Some("the container runtime took too long".to_owned())
        };
        if let Some(why) = or(collect, too_late).await {
            log::warn!(
                "app={} generation={} phase=restoring evidence=incomplete cause={why}",
                app.name,
                failed.id
            );
        }
        let mut witnesses = witnesses.into_inner();
        if let Some(service) = suspect {
            let heard = witnesses.iter_mut().find(|one| one.service == service);
            match heard {
                Some(heard) => heard.exit_code = heard.exit_code.or(exit_code),
                None => witnesses.insert(0, Witness::new(service, exit_code, LINE_BYTES_MAX)),
            }
        }
        witnesses.into_iter().map(Witness::testify).collect()
    }

    /// Reads the logs of the generation's containers, the service that failed first, then those
    /// that ended. What has been read stays in `witnesses` if this is dropped in the middle.
    async fn question(
        &self,
        app: &App,
        failed: Generation,
        loaded: Option<&Loaded>,
        suspect: Option<&ServiceName>,
        witnesses: &RefCell<Vec<Witness>>,
    ) -> Result<(), Trouble> {
        let containers = self.ours(&app.name).await?;
        let mut found = of_generation(&containers, failed, loaded);
        // One that was never started has nothing to say, unless it is what failed.
        found.retain(|(name, container)| {
            container.state != ContainerState::Created || suspect == Some(name)
        });
        found.sort_by_key(|(name, container)| {
            let kept = generation_of(container) != failed.id.0;
            (suspect != Some(name), is_running(container), kept)
        });
        let (mut bytes_left, count) = (EVIDENCE_BYTES_MAX, found.len());
        for (nth, (name, container)) in found.into_iter().enumerate() {
            let share = match count - nth {
                left if left > 1 && suspect == Some(&name) => bytes_left / 2,
                left => bytes_left / left,
            };
            let exit_code = match container.state {
                ContainerState::Exited(status) => Some(status.code),
                _ => None,
            };
            witnesses
                .borrow_mut()
                .push(Witness::new(name, exit_code, share));
            self.hear(container, nth, witnesses).await?;
            let heard = witnesses.borrow().get(nth).map_or(0, |one| one.tail.bytes);
            bytes_left = bytes_left.saturating_sub(heard);
        }
        Ok(())
    }

    /// Reads one log.
    async fn hear(
        &self,
        container: &Container,
        nth: usize,
        witnesses: &RefCell<Vec<Witness>>,
    ) -> Result<(), Trouble> {
        let query = LogQuery {
            tail: u32::try_from(EVIDENCE_LINES_MAX).ok(),
            ..LogQuery::default()
        };
        let what = || format!("read the log of {}", container.name);
        let stream = self.runtime.logs(&container.id, &query).await;
        let mut stream = stream.map_err(Trouble::runtime(what()))?;
        loop {
            let line = stream.next().await.map_err(Trouble::runtime(what()))?;
            let mut witnesses = witnesses.borrow_mut();
            match (witnesses.get_mut(nth), line) {
                (Some(one), Some(line)) => one.tail.push(line.text),
                (Some(one), None) => {
                    one.whole = true;
                    return Ok(());
                }
                (None, _) => return Ok(()),
            }
        }
    }
}

impl Witness {
    fn new(service: ServiceName, exit_code: Option<i32>, bytes_max: usize) -> Self {
        Self {
            service,
            exit_code,
            tail: Tail {
                bytes_max,
                ..Tail::default()
            },
            whole: false,
        }
    }

    fn testify(mut self) -> Evidence {
        if !self.whole {
            self.tail.push(NOT_IN_TIME.to_owned());
        }
        Evidence {
            service: self.service,
            exit_code: self.exit_code,
            lines: self.tail.lines.into(),
        }
    }
}

/// The service that the cause of a rollback names, and the exit code that it names.
fn suspect(app: &App, loaded: Option<&Loaded>) -> (Option<ServiceName>, Option<i32>) {
    let (place, exit_code) = match app.state().phase {
        Phase::RollingBack { cause, .. } => match cause {
            Cause::Crashed { service, exit_code } => (Some(service), Some(exit_code)),
            Cause::Unhealthy { service } | Cause::Dependency { service } => (Some(service), None),
            _ => (None, None),
        },
        _ => (None, None),
    };
    let service = place.and_then(|place| loaded?.app.services.get(usize::from(place)));
    (service.map(|s| s.service.name.clone()), exit_code)
}

/// The containers of a generation, each with its service; of one that does not load, those that
/// it created.
fn of_generation<'a>(
    containers: &'a [Container],
    failed: Generation,
    loaded: Option<&Loaded>,
) -> Vec<(ServiceName, &'a Container)> {
    match loaded {
        Some(loaded) => {
            let services = loaded.services();
            services
                .filter_map(|(_, s)| Some((s.service.name.clone(), find(containers, s)?)))
                .collect()
        }
        None => {
            let created = containers
                .iter()
                .filter(|c| generation_of(c) == failed.id.0);
            created
                .filter_map(|c| Some((c.label(labels::SERVICE)?.parse().ok()?, c)))
                .collect()
        }
    }
}
