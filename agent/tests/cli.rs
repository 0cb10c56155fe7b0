//! The program as a script meets it: exit codes, standard output and standard error, signals.
//!
//! Needs no container runtime: the daemon here has none to reach, and the client's daemon is a
//! scripted one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails so"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// A folder for one agent.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The agent in this folder, without anything of this machine's environment.
    fn agent(&self, arguments: &[&str]) -> Command {
        let mut agent = Command::new(env!("CARGO_BIN_EXE_agent"));
        std::fs::write(self.path("agent.toml"), "device_id = 'till-4'\n").unwrap();
        agent
            .env_clear()
            .env("CORACLE_CONFIG", self.path("agent.toml"))
            .env("CORACLE_STATE_DIR", self.path("state"))
            .env("CORACLE_KEYS_DIR", self.path("keys"))
            .env("CORACLE_CONTROL_SOCKET", self.path("agent.sock"))
            .env("CORACLE_RUNTIME", "podman:///nonexistent/podman.sock")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        agent
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.agent(arguments).output().unwrap()
    }
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn exit_codes_without_a_daemon() {
    let place = Place::new();
    for (line, code, first_of_err) in [
        ("", 2, "error: there is no command"),
        ("aply x", 2, "error: unknown command `aply`"),
        ("status --jsn", 2, "error: unknown flag `--jsn`"),
        ("apply", 2, "error: `agent apply` needs BUNDLE"),
        (
            "status --state-dir",
            2,
            "error: missing argument for option '--state-dir'",
        ),
        (
            "status --log-level loud",
            2,
            "error: --log-level does not fit",
        ),
        (
            "status --config /nonexistent/agent.toml",
            2,
            "error: /nonexistent/agent.toml cannot",
        ),
        ("--help", 0, ""),
        ("apply --help", 0, ""),
        ("--version", 0, ""),
        ("status", 0, ""),
        ("history", 0, ""),
        (
            "verify /nonexistent.bin",
            10,
            "error: no bundle can be verified",
        ),
        (
            "apply /nonexistent.bin",
            10,
            "error: no bundle can be verified",
        ),
        ("ps", 12, "error: "),
    ] {
        let arguments: Vec<&str> = line.split_whitespace().collect();
        let output = place.run(&arguments);
        assert_eq!(
            output.status.code(),
            Some(code),
            "agent {line}\n{}",
            err(&output)
        );
        assert!(
            err(&output).starts_with(first_of_err),
            "agent {line}: {}",
            err(&output)
        );
        assert_eq!(
            out(&output).is_empty(),
            code != 0,
            "agent {line}: {}",
            out(&output)
        );
    }
}

/// The token comes from each of its three places: where it is there, the address is what fails.
#[test]
fn an_enrolment_with_a_wrong_address_or_without_a_token_says_what_to_do() {
    let place = Place::new();
    let enroll = |url: &str, rest: &[&str], environment: Option<&str>, input: &str| {
        let mut agent = place.agent(&[&["enroll", url], rest].concat());
        if let Some(token) = environment {
            agent.env("CORACLE_ENROLL_TOKEN", token);
        }
        let mut child = agent.stdin(Stdio::piped()).spawn().unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        child.wait_with_output().unwrap()
    };
    let secret = "cet_9c1d4711";
    let (given, piped) = (["--token", secret], ["--token-file", "-"]);
    let nobody = "https://127.0.0.1:1";
    for (url, rest, environment, input, code, said) in [
        ("relay.example:8443", &given[..], None, "", 2, "an address"),
        ("relay.example", &given, None, "", 2, "an address"),
        ("https://", &given, None, "", 2, "an address"),
        ("ftp://relay.example", &given, None, "", 2, "an address"),
        ("https://u:p@relay.example", &given, None, "", 2, "password"),
        ("http://192.0.2.1", &given, None, "", 2, "with https"),
        (nobody, &given, None, "", 13, "the token is still good"),
        (nobody, &[], Some(secret), "", 13, "the token is still good"),
        (nobody, &piped, None, "cet_9c1d4711\n", 13, "is still good"),
        (nobody, &piped, None, "\n", 2, "the token is empty"),
        (nobody, &[], None, "", 2, "CORACLE_ENROLL_TOKEN"),
        (nobody, &[], Some(""), "", 2, "CORACLE_ENROLL_TOKEN"),
    ] {
        let output = enroll(url, rest, environment, input);
        let words = err(&output);
        let place = format!("{url} {rest:?} {environment:?} {input:?}: {words}");
        assert_eq!(output.status.code(), Some(code), "{place}");
        assert!(words.contains(said), "{place}");
        assert!(!words.contains("9c1d4711"), "{place}");
    }
    // It belongs to no relay after all that.
    let status = place.run(&["status", "--json"]);
    let status: Value = serde_json::from_str(&out(&status)).unwrap();
    assert_eq!(status["relay"]["url"], Value::Null, "{status}");
}

#[test]
fn json_alone_is_on_standard_output() {
    let place = Place::new();
    let output = place.run(&["status", "--json", "--labels", "site=a"]);
    let status: Value = serde_json::from_str(&out(&output)).unwrap();
    assert_eq!(status["device"]["id"], "till-4");
    assert_eq!(status["device"]["labels"]["site"], "a");
    assert_eq!(status["apps"], Value::Array(vec![]));

    for (arguments, code) in [
        (&["--json", "frobnicate"][..], 2),
        (&["frobnicate", "--json"], 2),
        (&["apply", "/nonexistent.bin", "--json"], 10),
        (&["status", "--json", "--config", "/nonexistent"], 2),
    ] {
        let output = place.run(arguments);
        let failure: Value = serde_json::from_str(&out(&output)).unwrap();
        assert_eq!(failure["error"]["code"], code, "{arguments:?}");
        assert!(failure["error"]["message"].is_string() && failure["error"]["hint"].is_string());
        assert!(
            err(&output).starts_with("error: "),
            "{arguments:?}: for people too"
        );
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    }
}

/// `agent run`, which is killed if the test fails.
struct Daemon {
    child: Child,
    told: UnixDatagram,
}

impl Daemon {
    fn start(place: &Place) -> Self {
        let told = UnixDatagram::bind(place.path("notify")).unwrap();
        let child = place
            .agent(&["run"])
            .env("NOTIFY_SOCKET", place.path("notify"))
            .env("WATCHDOG_USEC", "200000")
            .spawn()
            .unwrap();
        let daemon = Self { child, told };
        daemon.wait_for("READY=1");
        daemon
    }

    /// Waits until systemd would hear this.
    fn wait_for(&self, wanted: &str) {
        let mut message = [0; 4096];
        loop {
            let length = self.told.recv(&mut message).unwrap();
            if message[..length] == *wanted.as_bytes() {
                return;
            }
        }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_daemon_answers_tells_systemd_and_stops_cleanly() {
    let place = Place::new();
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut daemon = Daemon::start(&place);
        let output = place.run(&["status", "--json"]);
        assert_eq!(output.status.code(), Some(0), "{}", err(&output));
        assert_eq!(
            serde_json::from_str::<Value>(&out(&output)).unwrap()["device"]["id"],
            "till-4"
        );

        let second = place.run(&["run"]);
        assert_eq!(second.status.code(), Some(1), "one daemon for one state");

        daemon.wait_for("WATCHDOG=1");
        daemon.signal(signal);
        daemon.wait_for("STOPPING=1");
        assert_eq!(daemon.child.wait().unwrap().code(), Some(0));
        assert!(!place.path("agent.sock").exists());
        std::fs::remove_file(place.path("notify")).unwrap();
    }
}

#[test]
fn another_user_is_refused_even_where_the_socket_lets_them_in() {
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::process::CommandExt as _;
    const NOBODY: u32 = 65_534;
    if !nix::unistd::geteuid().is_root() {
        println!("not run: only root can become another user");
        return;
    }
    let place = Place::new();
    let mut daemon = Daemon::start(&place);
    let open = |path: &Path| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
    };
    let mut client = place.agent(&["status", "--json"]);
    client.uid(NOBODY).gid(NOBODY);
    open(place.0.path());
    match client.output() {
        Ok(output) => {
            assert_eq!(output.status.code(), Some(1), "{}", out(&output));
            assert!(
                err(&output).contains("Permission denied"),
                "{}",
                err(&output)
            );
            open(&place.path("agent.sock"));
            let output = client.output().unwrap();
            assert_eq!(output.status.code(), Some(1), "{}", out(&output));
            let refused = "error: only root and the agent's own user may ask it";
            assert!(err(&output).starts_with(refused), "{}", err(&output));
        }
        Err(e) => println!("not run: another user cannot run this program: {e}"),
    }
    daemon.signal(Signal::SIGTERM);
    daemon.child.wait().unwrap();
}

#[test]
fn a_killed_daemon_is_no_obstacle() {
    let place = Place::new();
    let mut daemon = Daemon::start(&place);
    daemon.signal(Signal::SIGKILL);
    daemon.child.wait().unwrap();
    assert!(place.path("agent.sock").exists());
    assert_eq!(
        place.run(&["status"]).status.code(),
        Some(0),
        "in its own process then"
    );
    std::fs::remove_file(place.path("notify")).unwrap();
    drop(Daemon::start(&place));
}

/// A daemon that does what a test says with the first connection and its request.
fn scripted(path: &Path, script: impl FnOnce(UnixStream, String) + Send + 'static) -> Joined {
    let listener = UnixListener::bind(path).unwrap();
    Joined(Some(std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut request = String::new();
        BufReader::new(&stream).read_line(&mut request).unwrap();
        script(stream, request);
    })))
}

struct Joined(Option<std::thread::JoinHandle<()>>);

impl Drop for Joined {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            assert!(thread.join().is_ok() || std::thread::panicking());
        }
    }
}

#[test]
fn a_failure_of_the_daemon_becomes_the_exit_code() {
    for code in [1, 10, 11, 12, 13, 14, 20, 21, 30] {
        let place = Place::new();
        let _daemon = scripted(&place.path("agent.sock"), move |mut stream, request| {
            assert!(
                request.starts_with("{\"request\":{\"apply\":{\"bundle\":\"/"),
                "{request}"
            );
            let failure =
                format!("{{\"failure\":{{\"code\":{code},\"message\":\"m\",\"hint\":\"h\"}}}}\n");
            stream.write_all(failure.as_bytes()).unwrap();
        });
        let output = place.run(&["apply", "x.bin"]);
        assert_eq!(output.status.code(), Some(code));
        let word = if code == 30 { "note" } else { "error" };
        assert_eq!(err(&output), format!("{word}: m\nhint: h\n"));
    }
}

#[test]
fn an_interrupt_stops_the_wait_and_says_so() {
    for (arguments, code, wanted) in [
        (
            &["apply", "x.bin"][..],
            1,
            "error: stopped waiting before the end",
        ),
        (&["logs", "--follow"], 0, ""),
        (&["status"], 1, "error: interrupted"),
    ] {
        let place = Place::new();
        let (sender, asked) = std::sync::mpsc::channel();
        let _daemon = scripted(&place.path("agent.sock"), move |mut stream, _| {
            sender.send(()).unwrap();
            // Until the client closes the connection.
            let _ = stream.read(&mut [0]);
        });
        let child = place.agent(arguments).spawn().unwrap();
        asked.recv().unwrap();
        kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert!(
            err(&output).starts_with(wanted),
            "{arguments:?}: {}",
            err(&output)
        );
    }
}

#[test]
fn a_daemon_that_dies_in_the_middle_is_a_failure_with_a_hint() {
    let place = Place::new();
    let _daemon = scripted(&place.path("agent.sock"), |mut stream, _| {
        let update = r#"{"update":{"progress":{"step":"stage","what":"","done":1,"total":2}}}"#;
        writeln!(stream, "{update}").unwrap();
    });
    let output = place.run(&["apply", "x.bin"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        err(&output),
        "Bringing the images in\nerror: the agent ended before it answered\n\
         hint: An update goes on when the agent starts again: see `agent status`.\n"
    );
}

#[test]
fn logs_come_as_lines_or_as_json_and_obey_nothing() {
    let line = r#"{"update":{"log":{"service":"nginx","stream":"stdout","at":"","text":"a\u001b[2J\r\nb"}}}"#;
    for (arguments, wanted) in [
        (&["logs"][..], "nginx: a\\u{1b}[2J\\r\\nb\n"),
        (
            &["logs", "--json"],
            "{\"service\":\"nginx\",\"stream\":\"stdout\",\"at\":\"\",\"text\":\"a\\u001b[2J\\r\\nb\"}\n",
        ),
    ] {
        let place = Place::new();
        let _daemon = scripted(&place.path("agent.sock"), move |mut stream, _| {
            writeln!(stream, "{line}\n{{\"reply\":\"done\"}}").unwrap();
        });
        let output = place.run(arguments);
        assert_eq!(
            (output.status.code(), out(&output).as_str()),
            (Some(0), wanted)
        );
    }
}

#[test]
fn a_reader_that_has_enough_ends_the_logs() {
    let place = Place::new();
    let _daemon = scripted(&place.path("agent.sock"), |mut stream, _| {
        let line = r#"{"update":{"log":{"service":"s","stream":"stdout","at":"","text":"x"}}}"#;
        // Until the client goes away, which it must do by itself.
        while writeln!(stream, "{line}").is_ok() {}
    });
    let mut child = place.agent(&["logs", "--follow"]).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut first)
        .unwrap();
    assert_eq!(first, "s: x\n");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
