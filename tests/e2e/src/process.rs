//! Starting, awaiting and ending other programs.
//!
//! Never leaves a program running that it started, and never uses a shell.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long a program may take to end after it was asked to.
const STOP_DEADLINE: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(20);

/// What a program said when it ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its exit code; 128 + the signal if one ended it.
    pub code: i32,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Outcome {
    /// The outcome, if the exit code is 0.
    ///
    /// # Errors
    /// Otherwise; the error holds what the program said.
    pub fn ok(self) -> Result<Self> {
        self.code(0)
    }

    /// The outcome, if the exit code is the expected one.
    ///
    /// # Errors
    /// Otherwise; the error holds what the program said.
    pub fn code(self, expected: i32) -> Result<Self> {
        if self.code != expected {
            bail!(
                "exit code {} instead of {expected}:\n{}{}",
                self.code,
                self.stdout,
                self.stderr
            );
        }
        Ok(self)
    }

    /// Standard output as JSON.
    ///
    /// # Errors
    /// When it is not JSON, or the exit code is not 0.
    pub fn json(self) -> Result<serde_json::Value> {
        let stdout = self.ok()?.stdout;
        serde_json::from_str(&stdout).with_context(|| format!("this is not JSON:\n{stdout}"))
    }
}

/// Runs a program to its end.
pub(crate) fn run(command: &mut Command) -> Result<Outcome> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| missing(command, error))?;
    Ok(Outcome {
        code: exit_code(output.status),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

fn exit_code(status: ExitStatus) -> i32 {
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

fn missing(command: &Command, error: std::io::Error) -> anyhow::Error {
    let program = command.get_program().to_string_lossy();
    if error.kind() == ErrorKind::NotFound {
        anyhow::anyhow!(
            "{program} is not installed: `cargo xtask test` installs what the tests need"
        )
    } else {
        anyhow::Error::new(error).context(format!("starting {program}"))
    }
}

/// Tries until `attempt` gives a value; for the world outside, where nothing can be awaited.
///
/// # Errors
/// When the deadline is over; the error names `what`.
pub fn wait_until<T>(
    what: &str,
    deadline: Duration,
    mut attempt: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = attempt()? {
            return Ok(value);
        }
        if start.elapsed() > deadline {
            bail!("waited {} s for {what} in vain", deadline.as_secs());
        }
        thread::sleep(POLL);
    }
}

/// A program in the background; ended when dropped.
pub struct Background {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Background {
    /// Starts a program in a process group of its own (so that Ctrl-C in a terminal reaches it
    /// only through us), with its output appended to the file `log`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let file = File::options().create(true).append(true).open(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0)
            .spawn()
            .map_err(|error| missing(command, error))?;
        Ok(Self {
            child,
            name: name.to_owned(),
            log: log.to_owned(),
        })
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written so far.
    #[must_use]
    pub fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its exit code, if it has ended.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn ended(&mut self) -> Result<Option<i32>> {
        Ok(self.child.try_wait()?.map(exit_code))
    }

    /// Waits until `ready` gives a value.
    ///
    /// # Errors
    /// When the program ends before, or the deadline is over; with what it wrote.
    pub fn wait_ready<T>(
        &mut self,
        deadline: Duration,
        mut ready: impl FnMut(&str) -> Option<T>,
    ) -> Result<T> {
        let name = self.name.clone();
        let waited = wait_until(&format!("{name} to be ready"), deadline, || {
            if let Some(code) = self.ended()? {
                bail!("{} ended with exit code {code}", self.name);
            }
            Ok(ready(&self.output()))
        });
        waited.with_context(|| format!("{name} wrote:\n{}", self.output()))
    }

    /// Sends a signal, if the program still runs.
    pub(crate) fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.ended()?.is_none() {
            kill(Pid::from_raw(i32::try_from(self.child.id())?), signal)?;
        }
        Ok(())
    }

    /// Asks the program to end, with force after a deadline, and returns its exit code.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub fn stop(&mut self) -> Result<i32> {
        self.signal(Signal::SIGTERM)?;
        let asked = wait_until(&format!("{} to end", self.name), STOP_DEADLINE, || {
            self.ended()
        });
        match asked {
            Ok(code) => Ok(code),
            Err(_) => self.kill(),
        }
    }

    /// Ends the program as `kill -9` does.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub fn kill(&mut self) -> Result<i32> {
        self.child.kill()?;
        Ok(exit_code(self.child.wait()?))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if thread::panicking() {
            let output = self.output();
            let lines: Vec<&str> = output.lines().collect();
            let tail = &lines[lines.len().saturating_sub(40)..];
            eprintln!(
                "--- the end of what {} wrote:\n{}",
                self.name,
                tail.join("\n")
            );
        }
        if let Err(error) = self.stop() {
            eprintln!("e2e: {}: {error:#}", self.name);
        }
    }
}
