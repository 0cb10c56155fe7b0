//! SIGINT and SIGTERM as something to wait for, through signalfd(2).

use std::io;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use smol::Async;

/// The signals that ask this process to end.
pub(super) struct Signals(Async<SignalFd>);

impl Signals {
    /// From now on, they wait to be taken instead of ending the process. Must come before any
    /// thread is started, since threads inherit what is blocked.
    ///
    /// # Errors
    /// If the kernel has no descriptor left.
    pub(super) fn take() -> io::Result<Self> {
        let mut set = SigSet::empty();
        set.add(Signal::SIGINT);
        set.add(Signal::SIGTERM);
        set.thread_block()?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        Ok(Self(Async::new_nonblocking(SignalFd::with_flags(
            &set, flags,
        )?)?))
    }

    /// Waits for the next one.
    pub(super) async fn next(&self) -> Signal {
        loop {
            match self.0.get_ref().read_signal() {
                Ok(Some(got)) if got.ssi_signo == Signal::SIGINT as u32 => return Signal::SIGINT,
                Ok(Some(_)) => return Signal::SIGTERM,
                Ok(None) => {}
                Err(e) => log::warn!("signals: {e}"),
            }
            if self.0.readable().await.is_err() {
                // Without them the process still ends by SIGKILL; it must not end by itself.
                std::future::pending::<()>().await;
            }
        }
    }
}
