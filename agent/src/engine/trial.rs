//! Watches a new generation for its trial, and says whether it may stay.
//!
//! `agent-core` judges; here is what it is shown. Crashes within the trial are handled as ever:
//! restarted by policy, and counted.

use std::rc::Rc;

use agent_core::resolve::ResolvedService;
use agent_core::trial::{Observation, Trial, Verdict};
use agent_core::{Cause, Generation};
use bundle::manifest::{Policy, SwitchMode};
use runtime_shim::{LogLine, LogQuery};
use smol::future::or;

use super::Engine;
use super::app::{App, Detail};
use super::bring_up::How;
use super::driver::note;
use super::generation::Loaded;
use super::ours::find;
use super::trouble::{Doing, Trouble};
use crate::api::Step;
use relay_api::escape;

/// How many of the last lines of a service that failed go into the agent's own log.
const LAST_LINES: u32 = 10;
/// How many characters of the last one go into the history.
const LAST_WORDS_MAX: usize = 200;

/// How often those who wait are told how far the trial is, in milliseconds.
const PROGRESS_MS: u64 = 500;

impl Engine {
    /// Tries a generation out whose containers have been started.
    ///
    /// # Errors
    /// The [`Cause`] of its failure; nothing has been stopped then.
    pub(crate) async fn try_out(
        self: &Rc<Self>,
        app: &Rc<App>,
        incoming: Generation,
    ) -> Result<(), Cause> {
        let prepared = async {
            let next = self.load(incoming)?;
            self.await_runtime().await?;
            if app.recovering.get() {
                self.bring_up_again(app, &next).await?;
            }
            Ok::<_, Trouble>(next)
        };
        let next = prepared
            .await
            .map_err(|trouble| note(app, &trouble, Doing::Switch))?;
        let (sender, seen) = smol::channel::unbounded();
        app.supervisor.listen(Some(sender));
        let watched = self.watch(&app.supervisor, &next).await;
        watched.map_err(|trouble| note(app, &trouble, Doing::Switch))?;
        let policy = &next.manifest().policy;
        let mut trial = Trial::new(policy, &next.app.services, self.host.now_ms());
        let began_ms = self.host.now_ms();
        let verdict = loop {
            let now = self.host.now_ms();
            let until_ms = match trial.verdict(now) {
                Verdict::Wait { until_ms } => until_ms,
                Verdict::Pass => break Ok(()),
                Verdict::Fail(cause) => break Err(cause),
            };
            let mut wait_ms = until_ms.saturating_sub(now).max(1);
            if app.is_watched() {
                wait_ms = wait_ms.min(PROGRESS_MS);
                show(
                    app,
                    policy,
                    now - began_ms,
                    until_ms.saturating_sub(began_ms),
                );
            }
            let observed = async { seen.recv().await.ok() };
            let timer = async {
                self.host.sleep(wait_ms).await;
                None::<Observation>
            };
            if let Some(observation) = or(observed, timer).await {
                trial.observe(observation, self.host.now_ms());
            }
        };
        app.supervisor.listen(None);
        match verdict {
            Err(Cause::Crashed { service, .. }) => {
                let last = self.last_words(app, &next, usize::from(service)).await;
                say(app, last.map(|last| format!("it last wrote: {last}")));
            }
            Err(Cause::Unhealthy { service }) => {
                self.last_words(app, &next, usize::from(service)).await;
                let watched = app.supervisor.at(usize::from(service));
                let why = watched.and_then(|one| Some(one.ill.borrow().as_ref()?.to_string()));
                say(app, why);
            }
            _ => {}
        }
        verdict
    }

    /// Puts the last lines of a service that failed into the agent's log, since its container goes
    /// with the rollback; gives the last of them.
    async fn last_words(&self, app: &App, next: &Loaded, place: usize) -> Option<String> {
        let service = next.app.services.get(place)?;
        let lines = self.last_lines(app, service).await?;
        for line in &lines {
            let (name, text) = (&service.service.name, escape::log_line(&line.text));
            log::warn!("app={} service={name} log={text}", app.name);
        }
        let last = lines
            .iter()
            .rev()
            .map(|line| line.text.trim())
            .find(|text| !text.is_empty())?;
        Some(last.chars().take(LAST_WORDS_MAX).collect())
    }

    async fn last_lines(&self, app: &App, service: &ResolvedService) -> Option<Vec<LogLine>> {
        let containers = self.ours(&app.name).await.ok()?;
        let query = LogQuery {
            tail: Some(LAST_LINES),
            ..LogQuery::default()
        };
        let mut stream = self
            .runtime
            .logs(&find(&containers, service)?.id, &query)
            .await
            .ok()?;
        let mut lines = Vec::new();
        while let Some(line) = stream.next().await.ok()? {
            lines.push(line);
        }
        Some(lines)
    }

    /// After a crash or a power cut in the trial: what is missing is made again, and after a boot
    /// everything is started; containers that ended by themselves are left to be counted.
    async fn bring_up_again(&self, app: &App, next: &Loaded) -> Result<(), Trouble> {
        self.ensure_surroundings(next).await?;
        let how = How {
            mode: SwitchMode::StopFirst,
            start_exited: &|_| app.booted.get(),
            strict: false,
            progress: &|_| {},
        };
        self.bring_up(next, &how).await?;
        app.booted.set(false);
        Ok(())
    }
}

/// Keeps words for whoever waits, and for the history.
fn say(app: &App, words: Option<String>) {
    if let Some(words) = words {
        app.detail.replace(Some(Detail { words, code: None }));
    }
}

fn show(app: &App, policy: &Policy, done_ms: u64, until_ms: u64) {
    let trial_ms = u64::from(policy.trial_s) * 1000;
    app.progress(Step::Trial, "", done_ms, until_ms.max(trial_ms));
}
