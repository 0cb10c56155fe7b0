//! Putting a request to the daemon, or, where none runs, to an engine in this process.

use std::future::Future;
use std::path::Path;
use std::rc::Rc;

use nix::sys::signal::Signal;
use smol::LocalExecutor;
use smol::future::FutureExt as _;

use super::signals::Signals;
use super::terminal::Terminal;
use crate::api::{Failure, Reply, Request, Update};
use crate::config::Config;
use crate::control::Client;
use crate::engine::{self, Engine, Mode};
use crate::{exit, render};

/// What an interrupt means to whoever waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Interrupt {
    /// The wait ends, and nothing else was going on.
    Ends,
    /// The wait ends; the daemon goes on.
    Leaves,
    /// The work is done in this process: the first Ctrl-C explains, the second one, or SIGTERM,
    /// leaves it where its last durable step has it.
    Explains,
}

/// Why there is no answer.
#[derive(Debug)]
enum Stopped {
    Failed(Failure),
    Interrupted,
}

impl<E: Into<Failure>> From<E> for Stopped {
    fn from(failure: E) -> Self {
        Self::Failed(failure.into())
    }
}

/// Asks, prints the answer, and returns the exit code.
///
/// # Errors
/// What the daemon or the engine says, or that the wait was interrupted.
pub(super) fn ask(config: Config, request: Request, terminal: &Terminal) -> Result<u8, Failure> {
    let signals = Signals::take().map_err(|e| failed(format!("no signals: {e}"), ""))?;
    let streamed = matches!(request, Request::Logs { .. });
    let done = match &request {
        Request::Remove { app } => render::removed(app),
        _ => String::new(),
    };
    let changes = goes_on(&request);
    let executor = Rc::new(LocalExecutor::new());
    let asked = answer(config, request, &executor, &signals, terminal);
    match smol::block_on(executor.run(asked)) {
        Ok(reply) => {
            if !streamed {
                terminal.reply(&reply, &done);
            }
            Ok(code(&reply))
        }
        Err(Stopped::Interrupted) if streamed => Ok(exit::DONE),
        Err(Stopped::Interrupted) if changes => Err(failed(
            "stopped waiting before the end".into(),
            "It goes on, or is taken up when the agent starts again: see `agent status`.",
        )),
        Err(Stopped::Interrupted) => Err(failed("interrupted".into(), "")),
        Err(Stopped::Failed(failure)) => Err(failure),
    }
}

async fn answer(
    config: Config,
    request: Request,
    executor: &Rc<LocalExecutor<'static>>,
    signals: &Signals,
    terminal: &Terminal,
) -> Result<Reply, Stopped> {
    let updates = |update: Update| terminal.update(&update);
    let (mode, goes_on) = (mode(&request), goes_on(&request));
    if let Some(client) = Client::connect(&config.control_socket)? {
        let interrupt = if goes_on {
            Interrupt::Leaves
        } else {
            Interrupt::Ends
        };
        let answer = client.ask(request, &updates);
        return wait(answer, interrupt, async || signals.next().await, terminal).await;
    }
    let engine = Engine::open(config, mode, executor.clone())?;
    let interrupt = if goes_on {
        Interrupt::Explains
    } else {
        Interrupt::Ends
    };
    let work = async {
        // Who only enrols takes nothing up.
        if goes_on {
            engine.start().await;
        }
        let answer = engine.handle(request, &updates).await;
        engine.shutdown().await;
        answer
    };
    wait(work, interrupt, async || signals.next().await, terminal).await
}

/// Waits for the answer, for an interrupt, or until nobody reads what is printed.
async fn wait(
    answer: impl Future<Output = Result<Reply, Failure>>,
    interrupt: Interrupt,
    signal: impl AsyncFn() -> Signal,
    terminal: &Terminal,
) -> Result<Reply, Stopped> {
    let answer = async { answer.await.map_err(Stopped::Failed) };
    let interrupted = async {
        let first = signal().await;
        if interrupt == Interrupt::Explains && first == Signal::SIGINT {
            terminal.note(
                "This goes on. Press Ctrl-C again to leave it as it is: the agent takes it up at \
                 its next start.",
            );
            signal().await;
        }
        Err(Stopped::Interrupted)
    };
    answer.or(interrupted).or(unread(interrupt, terminal)).await
}

/// Ends when nobody reads the results of a request that only reads: `agent logs -f | head`.
async fn unread<T>(interrupt: Interrupt, terminal: &Terminal) -> Result<T, Stopped> {
    // Polled again with each update, since all of it is one task.
    std::future::poll_fn(|_| {
        if interrupt == Interrupt::Ends && terminal.is_closed() {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    Err(Stopped::Interrupted)
}

/// Checks a bundle in this process, and prints what it is.
///
/// # Errors
/// Why the bundle is refused, or could not be read.
pub(super) fn verify(
    config: &Config,
    bundle: &Path,
    any_target: bool,
    terminal: &Terminal,
) -> Result<u8, Failure> {
    let updates = |update: Update| terminal.update(&update);
    let view = engine::verify_bundle(config, bundle, any_target, &updates)?;
    terminal.verified(&view);
    Ok(exit::DONE)
}

/// What an engine in this process must be able to do for the request.
fn mode(request: &Request) -> Mode {
    match request {
        Request::Enroll { .. } => Mode::OneShot,
        request if goes_on(request) => Mode::OneShot,
        _ => Mode::ReadOnly,
    }
}

/// Whether the request begins something that is seen to its end, whoever waits for it.
fn goes_on(request: &Request) -> bool {
    matches!(
        request,
        Request::Apply { .. } | Request::Rollback { .. } | Request::Remove { .. }
    )
}

/// The exit code of an answer: `doctor` fails if a check did.
fn code(reply: &Reply) -> u8 {
    match reply {
        Reply::Doctor(checks) if checks.iter().any(|check| check.result == "failed") => {
            exit::FAILURE
        }
        _ => exit::DONE,
    }
}

fn failed(message: String, hint: &str) -> Failure {
    Failure {
        code: exit::FAILURE,
        message,
        hint: hint.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// How a wait ends that gets these signals before its answer, and whether the work behind
    /// it was seen to its end.
    fn ends(interrupt: Interrupt, signals: &[Signal]) -> (bool, bool) {
        let (sender, receiver) = smol::channel::unbounded();
        for signal in signals {
            sender.try_send(*signal).unwrap();
        }
        let finished = Cell::new(false);
        let work = async {
            // The signals come first.
            while !receiver.is_empty() {
                smol::future::yield_now().await;
            }
            for _ in 0..3 {
                smol::future::yield_now().await;
            }
            finished.set(true);
            Ok(Reply::Done)
        };
        let signal = async || receiver.recv().await.unwrap();
        let terminal = Terminal::new(false, true, true);
        let answer = smol::block_on(wait(work, interrupt, signal, &terminal));
        (answer.is_ok(), finished.get())
    }

    #[test]
    fn an_update_in_this_process_survives_the_first_interrupt_only() {
        use Signal::{SIGINT, SIGTERM};
        for (interrupt, signals, finishes) in [
            (Interrupt::Explains, &[][..], true),
            (Interrupt::Explains, &[SIGINT], true),
            (Interrupt::Explains, &[SIGINT, SIGINT], false),
            (Interrupt::Explains, &[SIGTERM], false),
            (Interrupt::Leaves, &[], true),
            (Interrupt::Leaves, &[SIGINT], false),
            (Interrupt::Ends, &[SIGINT], false),
        ] {
            let wanted = (finishes, finishes);
            assert_eq!(
                ends(interrupt, signals),
                wanted,
                "{interrupt:?} {signals:?}"
            );
        }
    }

    #[test]
    fn doctor_fails_with_a_failed_check_only() {
        let check = |result: &str| crate::api::CheckView {
            name: "keys".into(),
            result: result.into(),
            found: String::new(),
            hint: String::new(),
        };
        assert_eq!(
            code(&Reply::Doctor(vec![check("ok"), check("warning")])),
            exit::DONE
        );
        assert_eq!(
            code(&Reply::Doctor(vec![check("ok"), check("failed")])),
            exit::FAILURE
        );
    }
}
