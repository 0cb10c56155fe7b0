//! `agent run`: the daemon.
//!
//! Wakes up only for requests, exits of containers, health checks and, where systemd asks for it,
//! the watchdog. Containers keep running when it ends, however it ends.

use std::cell::Cell;
use std::rc::Rc;

use smol::future::FutureExt as _;
use smol::{LocalExecutor, Timer};

use super::signals::Signals;
use crate::api::{Failure, Reply, Request, Step, Update};
use crate::config::Config;
use crate::control::{Handler, Server};
use crate::engine::{Engine, Mode, spawn};
use crate::exit;
use crate::notify::Notifier;
use crate::render::{self, Style};

/// Runs until SIGINT or SIGTERM. A second signal does not wait for the first one's clean end.
///
/// # Errors
/// [`Failure`] if the state cannot be opened, another agent holds it, or the control socket
/// cannot be made. Later trouble is logged and lived with.
pub(super) fn run(config: Config) -> Result<(), Failure> {
    let signals = Signals::take().map_err(|e| Failure {
        code: exit::FAILURE,
        message: format!("no signals: {e}"),
        hint: String::new(),
    })?;
    let executor = Rc::new(LocalExecutor::new());
    let notifier = Rc::new(Notifier::from_environment());
    let socket = config.control_socket.clone();
    let engine = Engine::open(config, Mode::Daemon, executor.clone())?;
    let server = Server::bind(&socket)?;
    log::info!(
        "agent {} takes requests at {}",
        env!("CARGO_PKG_VERSION"),
        socket.display()
    );
    let until_stopped = serve(engine, server, signals, notifier, executor.clone());
    smol::block_on(executor.run(until_stopped));
    log::info!("agent stopped; containers keep running");
    Ok(())
}

async fn serve(
    engine: Rc<Engine>,
    server: Server,
    signals: Signals,
    notifier: Rc<Notifier>,
    executor: Rc<LocalExecutor<'static>>,
) {
    let told = Told {
        engine: engine.clone(),
        notifier: notifier.clone(),
    };
    let tasks = executor.clone();
    let requests = spawn(&executor, async move {
        server.serve(Rc::new(told), &tasks).await
    });
    let watchdog = notifier.watchdog().map(|every| {
        let notifier = notifier.clone();
        spawn(&executor, async move {
            loop {
                notifier.alive();
                Timer::after(every).await;
            }
        })
    });
    // Ready means that requests are answered; taking up an update may take longer than systemd
    // waits for a start.
    notifier.ready();
    notifier.status("Starting the apps");
    let (starting, when_started) = (engine.clone(), notifier.clone());
    let start = spawn(&executor, async move {
        starting.start().await;
        when_started.status("Watching the apps");
    });

    signals.next().await;
    log::info!("agent is asked to stop");
    notifier.stopping();
    let shutdown = async {
        requests.cancel().await;
        start.cancel().await;
        engine.shutdown().await;
    };
    let hurry = async {
        signals.next().await;
    };
    shutdown.or(hurry).await;
    drop(watchdog);
}

/// The engine, with a word to systemd about each step of an update.
struct Told {
    engine: Rc<Engine>,
    notifier: Rc<Notifier>,
}

impl Handler for Told {
    async fn handle(&self, request: Request, updates: &dyn Fn(Update)) -> Result<Reply, Failure> {
        let step: Cell<Option<Step>> = Cell::new(None);
        let answer = self
            .engine
            .handle(request, &|update| {
                if let Update::Progress(progress) = &update
                    && step.replace(Some(progress.step)) != Some(progress.step)
                {
                    self.notifier.status(render::step_words(progress.step));
                }
                updates(update);
            })
            .await;
        if step.get().is_some() {
            self.notifier.status(&match &answer {
                Ok(reply) => render::reply(reply, Style::default()),
                Err(failure) => render::failure(failure, Style::default()),
            });
        }
        answer
    }
}
