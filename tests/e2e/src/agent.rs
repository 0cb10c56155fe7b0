//! The built `agent`, with all its folders and sockets in the sandbox.
//!
//! Never reads the machine's `/etc/coracle` or talks to an agent that runs there.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use crate::process::{Background, Outcome, run, wait_until};
use crate::{Keys, PodmanService, RelayServer, Sandbox, binary};

const START_DEADLINE: Duration = Duration::from_secs(30);
/// Generous: an update within a loaded machine.
const OUTPUT_DEADLINE: Duration = Duration::from_secs(120);

/// One device: the `agent` program with a state of its own. Several share a runtime.
pub struct Agent {
    sandbox: Sandbox,
    program: PathBuf,
    name: String,
    folder: PathBuf,
    runtime: String,
}

impl Agent {
    /// A device with the id `name` on a podman; nothing runs yet, and no key is trusted.
    ///
    /// # Errors
    /// When the program does not build, or the folders cannot be made.
    pub fn new(sandbox: &Sandbox, name: &str, podman: &PodmanService) -> Result<Self> {
        let folder = sandbox.folder(name)?;
        for inner in ["state", "keys"] {
            fs::create_dir_all(folder.join(inner))?;
        }
        fs::write(folder.join("agent.toml"), "")?;
        Ok(Self {
            sandbox: sandbox.clone(),
            program: binary("agent")?,
            name: name.to_owned(),
            folder,
            runtime: podman.runtime(),
        })
    }

    /// The same device with another build of the program.
    #[must_use]
    pub fn with_program(mut self, program: PathBuf) -> Self {
        self.program = program;
        self
    }

    /// Its `--state-dir`.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// Its `--keys-dir`.
    #[must_use]
    pub fn keys_dir(&self) -> PathBuf {
        self.folder.join("keys")
    }

    /// Its `--control-socket`.
    #[must_use]
    pub fn control_socket(&self) -> PathBuf {
        self.folder.join("agent.sock")
    }

    /// Its configuration file, empty at first.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.folder.join("agent.toml")
    }

    /// Its `--policy-file`; there is none at first.
    #[must_use]
    pub fn policy_file(&self) -> PathBuf {
        self.folder.join("policy.toml")
    }

    /// Trusts a release key.
    ///
    /// # Errors
    /// When the key cannot be copied.
    pub fn trust(&self, keys: &Keys) -> Result<()> {
        let name = keys
            .public
            .file_name()
            .context("a key without a file name")?;
        fs::copy(&keys.public, self.keys_dir().join(name))?;
        Ok(())
    }

    /// Runs `agent` with these arguments to its end.
    ///
    /// # Errors
    /// When it cannot be started; a failure of the command is in the outcome.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<Outcome> {
        run(self.command()?.args(arguments))
    }

    /// `agent apply BUNDLE`, with the daemon if one runs.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn apply(&self, bundle: &Path) -> Result<Outcome> {
        self.run(&[OsStr::new("apply"), bundle.as_os_str()])
    }

    /// `agent enroll` at a relay with a fresh token, with the daemon if one runs.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn enroll(&self, relay: &RelayServer, labels: &[&str]) -> Result<Outcome> {
        let (url, token, ca) = (relay.url(), relay.enroll_token(labels)?, relay.ca());
        let ca = ca.as_os_str();
        self.run(&[
            "enroll".as_ref(),
            url.as_ref(),
            "--token".as_ref(),
            token.as_ref(),
            "--relay-ca".as_ref(),
            ca,
        ])
    }

    /// Starts `agent` with these arguments and does not wait for its end.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<Running> {
        let log = tempfile::Builder::new()
            .prefix("output")
            .tempfile_in(&self.folder)?
            .into_temp_path();
        let mut command = self.command()?;
        let process = Background::start("the agent", command.args(arguments), &log)?;
        Ok(Running { process, _log: log })
    }

    /// `agent status --json`.
    ///
    /// # Errors
    /// When the command fails or prints no JSON.
    pub fn status(&self) -> Result<serde_json::Value> {
        self.run(&["status", "--json"])?.json()
    }

    /// Starts `agent run` and waits until its control socket answers.
    ///
    /// # Errors
    /// When it ends or does not listen in time.
    pub fn start(&self) -> Result<Daemon> {
        let log = self.folder.join("agent.log");
        let mut process = Background::start("the agent", self.command()?.arg("run"), &log)?;
        let socket = self.control_socket();
        process.wait_ready(START_DEADLINE, |_| {
            UnixStream::connect(&socket).ok().map(drop)
        })?;
        Ok(Daemon { process })
    }

    /// The program with the options that every call has, for those who start it themselves.
    ///
    /// # Errors
    /// When a folder cannot be made.
    pub fn command(&self) -> Result<Command> {
        let mut command = self.sandbox.command(&self.program)?;
        command
            .env("CORACLE_CONFIG", self.config_file())
            .env("CORACLE_STATE_DIR", self.state_dir())
            .env("CORACLE_KEYS_DIR", self.keys_dir())
            .env("CORACLE_CONTROL_SOCKET", self.control_socket())
            .env("CORACLE_POLICY_FILE", self.policy_file())
            .env("CORACLE_DEVICE_ID", &self.name)
            .env("CORACLE_RUNTIME", &self.runtime);
        Ok(command)
    }
}

/// A running `agent run`; asked to end when dropped. Its containers run on.
pub struct Daemon {
    process: Background,
}

impl Daemon {
    /// Its process id.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// What it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.output()
    }

    /// Asks it to end and returns its exit code.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub fn stop(mut self) -> Result<i32> {
        self.process.stop()
    }

    /// Ends it as `kill -9` does.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub fn kill(mut self) -> Result<()> {
        self.process.kill().map(drop)
    }
}

/// An `agent` command under way; asked to end when dropped.
pub struct Running {
    process: Background,
    _log: tempfile::TempPath,
}

impl Running {
    /// Waits until it has written this text, and gives all that it wrote.
    ///
    /// # Errors
    /// When it ends without, or does not write it in time.
    pub fn wait_for_text(&mut self, text: &str) -> Result<String> {
        let found = |output: &str| output.contains(text).then(|| output.to_owned());
        let waited = self.process.wait_ready(OUTPUT_DEADLINE, found);
        waited.with_context(|| format!("waiting for {text:?}"))
    }

    /// Stops its threads where they are, until [`Self::resume`].
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub fn pause(&mut self) -> Result<()> {
        self.process.signal(Signal::SIGSTOP)
    }

    /// Lets it go on after [`Self::pause`].
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub fn resume(&mut self) -> Result<()> {
        self.process.signal(Signal::SIGCONT)
    }

    /// Presses Ctrl-C.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub fn interrupt(&mut self) -> Result<()> {
        self.process.signal(Signal::SIGINT)
    }

    /// Ends it as `kill -9` does.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub fn kill(mut self) -> Result<()> {
        self.process.kill().map(drop)
    }

    /// Waits for its end; both of its outputs are in `stderr`, in the order of writing.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn finish(mut self) -> Result<Outcome> {
        let code = wait_until("the agent to end", OUTPUT_DEADLINE, || self.process.ended())?;
        Ok(Outcome {
            code,
            stdout: String::new(),
            stderr: self.process.output(),
        })
    }
}
