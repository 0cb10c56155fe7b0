//! What the engine needs of the machine besides files and a runtime, as a port.
//!
//! Clocks, chance, free space and the threads for blocking work. Behind it, tests let hours pass
//! in no time. Never decides anything.

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use smol::{LocalExecutor, Task};

/// A future without lifetime or thread.
pub(crate) type Later<T> = Pin<Box<dyn Future<Output = T>>>;

/// Starts a task. All have one type, so the executor is compiled once.
pub(crate) fn spawn(
    executor: &LocalExecutor<'static>,
    work: impl Future<Output = ()> + 'static,
) -> Task<()> {
    let work: Later<()> = Box::pin(work);
    executor.spawn(work)
}

/// The machine.
pub(crate) trait Host {
    /// What the wall clock says: seconds since 1970-01-01 UTC. May be wrong by years.
    fn now_s(&self) -> u64;
    /// Milliseconds since some instant before; never goes back.
    fn now_ms(&self) -> u64;
    /// Waits so many milliseconds.
    fn sleep(&self, ms: u64) -> Later<()>;
    /// A random number.
    fn random(&self) -> u64;
    /// Bytes that may still be written to the file system of this path.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;
    /// Makes everything on the file system of this path durable.
    fn sync_fs(&self, path: &Path) -> Later<io::Result<()>>;
    /// The kernel's id of this boot.
    fn boot_id(&self) -> String;
    /// Runs something that blocks where it holds nothing up.
    fn run(&self, job: Box<dyn FnOnce() + Send>) -> Later<()>;
}

/// Runs `job` where it may block, and gives its result; none only if the thread was lost.
pub(crate) async fn blocking<T: Send + 'static>(
    host: &dyn Host,
    job: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    // A channel would be compiled anew for each type of result: 2 KiB each.
    let result = Arc::new(Mutex::new(None));
    let place = Arc::clone(&result);
    let work = host.run(Box::new(move || {
        let result = job();
        *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
    }));
    work.await;
    let result = result.lock().unwrap_or_else(PoisonError::into_inner).take();
    result.ok_or_else(|| io::Error::other("a worker thread was lost"))
}

/// As [`blocking`], for jobs that tell how far they are.
pub(crate) async fn blocking_with_progress<T: Send + 'static>(
    host: &dyn Host,
    job: impl FnOnce(&mut dyn FnMut(u64)) -> T + Send + 'static,
    progress: &dyn Fn(u64),
) -> io::Result<T> {
    let (told, heard) = smol::channel::unbounded();
    let work = blocking(host, move || {
        job(&mut |done| {
            let _ = told.try_send(done);
        })
    });
    let listen = async {
        while let Ok(done) = heard.recv().await {
            progress(done);
        }
    };
    let (result, ()) = smol::future::zip(work, listen).await;
    result
}

/// The machine that the agent runs on.
pub(crate) struct Machine {
    start: Instant,
}

impl Machine {
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Host for Machine {
    fn now_s(&self) -> u64 {
        crate::time::now_s()
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn sleep(&self, ms: u64) -> Later<()> {
        let timer = smol::Timer::after(Duration::from_millis(ms));
        Box::pin(async move {
            timer.await;
        })
    }

    fn random(&self) -> u64 {
        // The standard library seeds these from the kernel's randomness; jitter needs no more.
        use std::hash::{BuildHasher, Hasher, RandomState};
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_u64(self.now_ms());
        hasher.finish()
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let found = rustix::fs::statvfs(path)?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }

    fn sync_fs(&self, path: &Path) -> Later<io::Result<()>> {
        let path = path.to_path_buf();
        Box::pin(smol::unblock(move || {
            Ok(rustix::fs::syncfs(std::fs::File::open(path)?)?)
        }))
    }

    fn boot_id(&self) -> String {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
        id.unwrap_or_default().trim_end().to_owned()
    }

    fn run(&self, job: Box<dyn FnOnce() + Send>) -> Later<()> {
        Box::pin(smol::unblock(job))
    }
}
