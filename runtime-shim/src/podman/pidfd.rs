//! Processes by descriptor: told of their end without polling (pidfd_open(2), Linux 5.3).
//!
//! Never acts on a process by its number, which the kernel may have given to another by then.

use std::io;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use smol::Async;

/// A process, whatever becomes of its number.
pub(super) struct Process(Async<OwnedFd>);

/// The process with this number; none if there is no such, or the kernel has no pidfds.
pub(super) fn open(pid: u32) -> Option<Process> {
    let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
    let fd = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    // Only its readiness is asked for, so it need not be made non-blocking.
    Async::new_nonblocking(fd).ok().map(Process)
}

impl Process {
    /// Waits until the process has ended.
    ///
    /// # Errors
    /// What polling gives.
    pub(super) async fn ended(&self) -> io::Result<()> {
        self.0.readable().await
    }

    /// Kills it; one that has ended is fine.
    pub(super) fn kill(&self) {
        // Failing means that it has ended, or is not ours to kill: nothing more can be done.
        let _ = pidfd_send_signal(self.0.get_ref(), Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn tells_the_end_of_a_process() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let process = super::open(child.id()).unwrap();
        smol::block_on(async {
            assert!(smol::future::poll_once(process.ended()).await.is_none());
            process.kill();
            process.ended().await.unwrap();
        });
        child.wait().unwrap();
        assert!(super::open(u32::MAX).is_none());
    }
}
