//! Load for a time: connections that are always busy, spread over a thread for each core.
//!
//! Everything is connected and warm before the clock and the server's CPU time are read for the
//! first time. What is under way at the end is finished and counted, in both.

use std::sync::Arc;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use tokio::runtime::Builder;
use tokio::task::{JoinSet, LocalSet};

use crate::options::Options;
use crate::proc;

/// Most rounds of one connection: bounds the load, however fast the server is.
const ROUNDS_MAX: u64 = 1_000_000;

/// One kind of load.
pub(crate) trait Load: Send + Sync + 'static {
    /// What a connection keeps.
    type State: 'static;

    /// Prepares the connection of this number; not measured.
    async fn prepare(&self, connection: usize) -> Result<Self::State>;

    /// One unit of what is counted.
    async fn step(&self, state: &mut Self::State) -> Result<()>;
}

/// What was measured.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Measured {
    /// Units that were done.
    pub(crate) count: u64,
    /// Seconds that they took.
    pub(crate) seconds: f64,
    /// CPU seconds that the server took for them.
    pub(crate) cpu_seconds: f64,
}

/// Runs this load, as long and with as many connections as the options say.
///
/// # Errors
/// The first one of any connection: a load that partly fails measures nothing.
pub(crate) fn run<L: Load>(options: &Options, load: L) -> Result<Measured> {
    let load = Arc::new(load);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let threads = threads.min(options.connections);
    // Ready, go, done: this thread reads the clocks between.
    let barrier = Arc::new(Barrier::new(threads + 1));
    let workers: Vec<_> = (0..threads)
        .map(|first| {
            let connections = (first..options.connections).step_by(threads);
            let (load, barrier) = (Arc::clone(&load), Arc::clone(&barrier));
            let duration = options.duration;
            thread::spawn(move || -> Result<u64> {
                let runtime = Builder::new_current_thread().enable_all().build();
                let local = LocalSet::new();
                let prepared = runtime.context("a runtime").and_then(|runtime| {
                    let states = local.block_on(&runtime, prepare(&load, connections))?;
                    Ok((runtime, states))
                });
                barrier.wait();
                barrier.wait();
                // A thread that failed waits with the others, so that none waits for ever.
                let counted = prepared.and_then(|(runtime, states)| {
                    let until = Instant::now() + duration;
                    let counted = local.block_on(&runtime, steps(&load, states, until))?;
                    Ok((runtime, counted))
                });
                barrier.wait();
                counted.map(|(_, (count, _states))| count)
            })
        })
        .collect();
    barrier.wait();
    let before = proc::cpu_seconds(&options.pids);
    let start = Instant::now();
    barrier.wait();
    barrier.wait();
    let seconds = start.elapsed().as_secs_f64();
    let after = proc::cpu_seconds(&options.pids);
    let mut count = 0;
    for worker in workers {
        let Ok(counted) = worker.join() else {
            bail!("a thread of the load panicked");
        };
        count += counted?;
    }
    Ok(Measured {
        count,
        seconds,
        cpu_seconds: after? - before?,
    })
}

async fn prepare<L: Load>(
    load: &Arc<L>,
    connections: impl Iterator<Item = usize>,
) -> Result<Vec<L::State>> {
    let mut preparing = JoinSet::new();
    for connection in connections {
        let load = Arc::clone(load);
        preparing.spawn_local(async move { load.prepare(connection).await });
    }
    collect(preparing).await
}

/// Steps all connections until the time is over; the states come back, so that closing them is
/// not measured.
async fn steps<L: Load>(
    load: &Arc<L>,
    states: Vec<L::State>,
    until: Instant,
) -> Result<(u64, Vec<L::State>)> {
    let mut stepping = JoinSet::new();
    for mut state in states {
        let load = Arc::clone(load);
        stepping.spawn_local(async move {
            let mut count = 0;
            while count < ROUNDS_MAX && Instant::now() < until {
                load.step(&mut state).await?;
                count += 1;
            }
            Ok((count, state))
        });
    }
    let done = collect(stepping).await?;
    let count = done.iter().map(|(count, _)| count).sum();
    Ok((count, done.into_iter().map(|(_, state)| state).collect()))
}

async fn collect<T: 'static>(mut tasks: JoinSet<Result<T>>) -> Result<Vec<T>> {
    let mut all = Vec::new();
    while let Some(done) = tasks.join_next().await {
        all.push(done??);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[derive(Default)]
    struct Counter {
        prepared: AtomicU64,
        steps: AtomicU64,
        fails_at: Option<u64>,
    }

    impl Load for Arc<Counter> {
        type State = usize;

        async fn prepare(&self, connection: usize) -> Result<usize> {
            self.prepared.fetch_add(1, Ordering::SeqCst);
            Ok(connection)
        }

        async fn step(&self, _: &mut usize) -> Result<()> {
            let step = self.steps.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            if Some(step) == self.fails_at {
                bail!("broken");
            }
            Ok(())
        }
    }

    fn options() -> Options {
        let args = ["x", "--connections", "7", "--seconds", "1"];
        let mut options = Options::parse(lexopt::Parser::from_args(args)).unwrap();
        options.duration = std::time::Duration::from_millis(20);
        options
    }

    #[test]
    fn every_step_is_counted_once() {
        let counter = Arc::new(Counter::default());
        let measured = run(&options(), Arc::clone(&counter)).unwrap();
        assert_eq!(counter.prepared.load(Ordering::SeqCst), 7);
        assert_eq!(counter.steps.load(Ordering::SeqCst), measured.count);
        assert!(measured.count > 0);
    }

    #[test]
    fn one_failure_fails_the_run() {
        let counter = Arc::new(Counter {
            fails_at: Some(3),
            ..Counter::default()
        });
        let error = run(&options(), counter).unwrap_err();
        assert_eq!(error.to_string(), "broken");
    }
}
