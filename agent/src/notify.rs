//! Telling systemd how the daemon is: the protocol of sd_notify(3), a datagram per message.
//!
//! Does nothing where nobody listens. Never fails the daemon: a message that cannot be sent is
//! logged, and systemd has its own timeouts.

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The way to the service manager, if there is one.
pub(crate) struct Notifier {
    to: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// As the environment says: NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID.
    pub(crate) fn from_environment() -> Self {
        Self::new(&|name| env::var_os(name), std::process::id())
    }

    fn new(environment: &dyn Fn(&str) -> Option<OsString>, own_pid: u32) -> Self {
        let to = environment("NOTIFY_SOCKET")
            .filter(|name| !name.is_empty())
            .and_then(|name| {
                match address(name.as_bytes()).and_then(|to| Ok((UnixDatagram::unbound()?, to))) {
                    Ok(to) => Some(to),
                    Err(e) => {
                        log::warn!("NOTIFY_SOCKET cannot be used: {e}");
                        None
                    }
                }
            });
        let number = |name| environment(name)?.into_string().ok()?.parse::<u64>().ok();
        let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(own_pid));
        let watchdog = number("WATCHDOG_USEC").filter(|usec| ours && *usec > 1);
        Self {
            to,
            watchdog: watchdog.map(|usec| Duration::from_micros(usec / 2)),
        }
    }

    /// How often systemd must hear that the daemon is alive: half of its limit.
    pub(crate) fn watchdog(&self) -> Option<Duration> {
        self.watchdog.filter(|_| self.to.is_some())
    }

    /// The control socket answers.
    pub(crate) fn ready(&self) {
        self.send("READY=1");
    }

    /// What the daemon does, in words for `systemctl status`.
    pub(crate) fn status(&self, text: &str) {
        self.send(&format!("STATUS={}", text.trim_end().replace('\n', " ")));
    }

    /// The daemon is alive.
    pub(crate) fn alive(&self) {
        self.send("WATCHDOG=1");
    }

    /// The daemon is on its way out.
    pub(crate) fn stopping(&self) {
        self.send("STOPPING=1");
    }

    fn send(&self, message: &str) {
        if let Some((socket, to)) = &self.to
            && let Err(e) = socket.send_to_addr(message.as_bytes(), to)
        {
            log::debug!("not told to systemd: {e}");
        }
    }
}

/// A path, or `@name` for a name in the abstract space.
fn address(name: &[u8]) -> io::Result<SocketAddr> {
    match name {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(name)),
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(listener: &UnixDatagram) -> String {
        let mut message = [0; 256];
        let length = listener.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    }

    fn environment(socket: &str) -> impl Fn(&str) -> Option<OsString> {
        move |name| match name {
            "NOTIFY_SOCKET" => Some(socket.into()),
            "WATCHDOG_USEC" => Some("30000000".into()),
            "WATCHDOG_PID" => Some("7".into()),
            _ => None,
        }
    }

    #[test]
    fn messages_reach_a_path_and_an_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("coracle-notify-test-{}", std::process::id());
        let by_name = SocketAddr::from_abstract_name(&name).unwrap();
        for (listener, socket) in [
            (
                UnixDatagram::bind(&path).unwrap(),
                path.to_str().unwrap().to_owned(),
            ),
            (
                UnixDatagram::bind_addr(&by_name).unwrap(),
                format!("@{name}"),
            ),
        ] {
            let notifier = Notifier::new(&environment(&socket), 7);
            notifier.ready();
            notifier.status("two\nlines");
            notifier.alive();
            notifier.stopping();
            let wanted = ["READY=1", "STATUS=two lines", "WATCHDOG=1", "STOPPING=1"];
            assert_eq!(std::array::from_fn::<_, 4, _>(|_| told(&listener)), wanted);
        }
    }

    #[test]
    fn the_watchdog_is_for_this_process_only_and_halved() {
        let socket = "@coracle-nobody";
        let watchdog = |pid| Notifier::new(&environment(socket), pid).watchdog();
        assert_eq!(watchdog(7), Some(Duration::from_secs(15)));
        assert_eq!(watchdog(8), None);
        assert_eq!(Notifier::new(&|_| None, 7).watchdog(), None);
    }

    #[test]
    fn without_systemd_nothing_happens() {
        Notifier::new(&|_| None, 7).ready();
        Notifier::new(&environment("@coracle-nobody"), 7).ready();
        Notifier::new(&environment("vsock:2:1"), 7).ready();
    }
}
