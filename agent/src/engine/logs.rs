//! Logs of an app's services, merged.
//!
//! What has been written comes in the order of its times; what comes while following, as it
//! comes. Memory is bounded: one line waits for each service.

use std::rc::Rc;

use agent_core::Phase;
use runtime_shim::{LogLine, LogQuery, LogStream, RuntimeError, Stream};

use super::Engine;
use super::app::App;
use super::failure;
use super::generation::Loaded;
use super::host::spawn;
use super::ours::find;
use super::trouble::Trouble;
use crate::api::{Failure, Update};

/// Lines that may wait between the runtime and whoever reads.
const LINES_WAITING_MAX: usize = 64;

impl Engine {
    /// Sends lines to `updates`, until there are no more, or for ever.
    ///
    /// # Errors
    /// [`Failure`]: no such service, or the runtime does not answer.
    pub(crate) async fn logs(
        self: &Rc<Self>,
        app: &App,
        service: Option<&str>,
        query: &LogQuery,
        updates: &dyn Fn(Update),
    ) -> Result<(), Failure> {
        let containers = self.log_containers(app, service).await?;
        let mut streams = Vec::new();
        for (name, id) in containers {
            let opened = self.runtime.logs(&id, query).await;
            let opened = opened.map_err(Trouble::runtime(format!("read the log of {name}")));
            streams.push((name, opened.map_err(|trouble| failure::trouble(&trouble))?));
        }
        let tell = |name: &str, line: LogLine| updates(update(name, line));
        let done = if query.follow {
            self.follow(streams, &tell).await
        } else {
            merge(streams, &tell).await
        };
        done.map_err(Trouble::runtime("read a log"))
            .map_err(|trouble| failure::trouble(&trouble))
    }

    /// The services that are asked for, each with its container.
    async fn log_containers(
        &self,
        app: &App,
        service: Option<&str>,
    ) -> Result<Vec<(String, runtime_shim::ContainerId)>, Failure> {
        let containers = self
            .ours(&app.name)
            .await
            .map_err(|trouble| failure::trouble(&trouble))?;
        let Some(shown) = self.shown(app) else {
            return Ok(Vec::new());
        };
        let names = || shown.services().map(|(_, s)| s.service.name.to_string());
        if let Some(service) = service
            && !names().any(|name| name == service)
        {
            let known: Vec<String> = names().collect();
            return Err(failure::which_service(app.name.as_str(), service, &known));
        }
        let wanted = shown
            .services()
            .filter(|(_, s)| service.is_none_or(|name| s.service.name.as_str() == name));
        let found = wanted.filter_map(|(_, s)| {
            Some((s.service.name.to_string(), find(&containers, s)?.id.clone()))
        });
        Ok(found.collect())
    }

    fn shown(&self, app: &App) -> Option<Rc<Loaded>> {
        let state = app.state();
        let shown = match state.phase {
            Phase::Switching { incoming, .. } | Phase::Trial { incoming, .. } => Some(incoming),
            _ => state.current,
        };
        self.load(shown?).ok()
    }

    async fn follow(
        &self,
        streams: Vec<(String, Box<dyn LogStream>)>,
        tell: &dyn Fn(&str, LogLine),
    ) -> Result<(), RuntimeError> {
        let (sender, lines) = smol::channel::bounded(LINES_WAITING_MAX);
        let mut tasks = Vec::new();
        for (name, mut stream) in streams {
            let sender = sender.clone();
            let relayed = async move {
                loop {
                    let next = stream.next().await.transpose();
                    let Some(line) = next else { return };
                    if sender.send((name.clone(), line)).await.is_err() {
                        return;
                    }
                }
            };
            tasks.push(spawn(&self.executor, relayed));
        }
        drop(sender);
        while let Ok((name, line)) = lines.recv().await {
            tell(&name, line?);
        }
        Ok(())
    }
}

/// Gives the lines of several logs in the order of their times, without holding them.
async fn merge(
    mut streams: Vec<(String, Box<dyn LogStream>)>,
    tell: &dyn Fn(&str, LogLine),
) -> Result<(), RuntimeError> {
    let mut waiting = Vec::new();
    for (_, stream) in &mut streams {
        waiting.push(stream.next().await?);
    }
    loop {
        let next = waiting
            .iter()
            .enumerate()
            .filter_map(|(i, line)| Some((i, line.as_ref()?)))
            .min_by(|(_, a), (_, b)| a.at.cmp(&b.at))
            .map(|(i, _)| i);
        let Some(i) = next else {
            return Ok(());
        };
        if let (Some(slot), Some((name, stream))) = (waiting.get_mut(i), streams.get_mut(i)) {
            let line = std::mem::replace(slot, stream.next().await?);
            if let Some(line) = line {
                tell(name, line);
            }
        }
    }
}

fn update(name: &str, line: LogLine) -> Update {
    Update::Log {
        service: name.to_owned(),
        stream: match line.stream {
            Stream::Stdout => "stdout".to_owned(),
            Stream::Stderr => "stderr".to_owned(),
        },
        at: line.at,
        text: line.text,
    }
}
