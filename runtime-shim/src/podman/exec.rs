//! Commands in running containers.
//!
//! Never leaves a command behind that took too long: it is killed by its descriptor.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::api::{Api, Call};
use super::http::within;
use super::{pidfd, stream};
use crate::{ContainerId, EXEC_OUTPUT_BYTES_MAX, ExecOutput, RuntimeError};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct NewExec<'a> {
    attach_stdout: bool,
    attach_stderr: bool,
    cmd: &'a [&'a str],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Start {
    detach: bool,
    tty: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Created {
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Session {
    running: bool,
    exit_code: i32,
    #[serde(default)]
    pid: u32,
}

pub(super) async fn exec(
    api: &Api,
    id: &ContainerId,
    command: &[&str],
    timeout_ms: u32,
) -> Result<ExecOutput, RuntimeError> {
    let session = NewExec {
        attach_stdout: true,
        attach_stderr: true,
        cmd: command,
    };
    let call = Call::post(&format!("containers/{}/exec", id.0)).json(&session)?;
    let session = api.ask::<Created>(call).await?.id;
    let limit = Duration::from_millis(u64::from(timeout_ms));
    match within(limit, run(api, &session)).await {
        Err(RuntimeError::TimedOut) => {
            end(api, &session).await?;
            Err(RuntimeError::TimedOut)
        }
        other => other,
    }
}

async fn run(api: &Api, session: &str) -> Result<ExecOutput, RuntimeError> {
    let start = Start {
        detach: false,
        tty: false,
    };
    let call = Call::post(&format!("exec/{session}/start"));
    let mut body = api.stream(call.json(&start)?.upgrade()).await?;
    let output = stream::output(&mut body, EXEC_OUTPUT_BYTES_MAX).await?;
    // The output may end before podman has noted the exit code.
    let mut pause = Duration::from_millis(5);
    loop {
        let session = look(api, session).await?;
        if !session.running {
            return Ok(ExecOutput {
                code: session.exit_code,
                output,
            });
        }
        smol::Timer::after(pause).await;
        pause = (pause * 2).min(Duration::from_millis(500));
    }
}

async fn look(api: &Api, session: &str) -> Result<Session, RuntimeError> {
    api.ask(Call::get(&format!("exec/{session}/json"))).await
}

/// Kills a command that took too long.
async fn end(api: &Api, session: &str) -> Result<(), RuntimeError> {
    let before = look(api, session).await?;
    let Some(process) = pidfd::open(before.pid).filter(|_| before.running) else {
        return Ok(());
    };
    // Opened by number: only if the session still has it, it is that process.
    let after = look(api, session).await?;
    if after.running && after.pid == before.pid {
        process.kill();
    }
    Ok(())
}
