//! Logs and commands: what comes as a stream.

use super::error::{Purpose, translate};
use super::lines::{EXEC_LINE, LOG_LINE, Lines, escape};
use super::{Docker, segment};
use crate::engine::{EngineError, ExecResult, LogLine};
use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::future::{Either, select};
use futures_util::{Stream, StreamExt as _};
use std::collections::VecDeque;
use std::pin::pin;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;

/// How many lines of a command's standard error are kept for messages.
const STDERR_LINES: usize = 20;

/// Between two looks at a command whose output has ended but which the engine still counts as running.
const REAP: Duration = Duration::from_millis(20);

impl Docker {
    /// All lines from the last `tail` on; `follow`: until the container ends or `sink` has enough.
    pub(super) async fn read_logs(
        &self,
        name: &str,
        tail: Option<usize>,
        follow: bool,
        sink: &mut (dyn FnMut(LogLine) -> bool + Send),
    ) -> Result<(), EngineError> {
        let what = format!("read the log of container {name}");
        segment(&what, name)?;
        let tail = tail.map_or_else(|| "all".to_owned(), |lines| lines.to_string());
        let options =
            LogsOptionsBuilder::default().stdout(true).stderr(true).follow(follow).tail(&tail).build();
        // The head of the answer comes at once, however long the rest takes.
        let client = self.client.clone().with_timeout(self.deadlines.read);
        each_line(client.logs(name, Some(options)), LOG_LINE, &mut |stderr, text| {
            sink(LogLine { stderr, text: escape(&text) })
        })
        .await
        .map_err(|error| self.place(&what, Purpose::Plain, error))
    }

    /// Runs a command; see [`crate::engine::ContainerEngine::exec`].
    pub(super) async fn run_command(
        &self,
        name: &str,
        command: &[String],
        stdin: Vec<u8>,
        on_line: &mut (dyn FnMut(&str) + Send),
    ) -> Result<ExecResult, EngineError> {
        let what = format!("run a command in container {name}");
        segment(&what, name)?;
        let config = ExecConfig {
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(false),
            cmd: Some(command.to_vec()),
            privileged: Some(false),
            ..ExecConfig::default()
        };
        let write = self.deadlines.write;
        let exec = self.call(&what, Purpose::Plain, write, self.client.create_exec(name, config)).await?.id;
        segment(&what, &exec)?;
        let options = StartExecOptions { detach: false, tty: false, output_capacity: None };
        let start = self.client.start_exec(&exec, Some(options));
        let (output, mut input) = match self.call(&what, Purpose::Plain, write, start).await? {
            StartExecResults::Attached { output, input } => (output, input),
            StartExecResults::Detached => {
                return Err(self.place(&what, Purpose::Plain, Error::RequestTimeoutError));
            }
        };
        let mut stderr = VecDeque::new();
        let read = async {
            each_line(output, EXEC_LINE, &mut |is_stderr, text| {
                if is_stderr {
                    if stderr.len() == STDERR_LINES {
                        stderr.pop_front();
                    }
                    stderr.push_back(escape(&text));
                } else {
                    on_line(&text);
                }
                true
            })
            .await
        };
        // Both ways at once: a command that writes before it has read everything would block on a full pipe.
        let feed = async {
            input.write_all(&stdin).await?;
            input.shutdown().await
        };
        let done = match select(pin!(read), pin!(feed)).await {
            Either::Left((done, _)) => done,
            // That writing failed says only that the command did not want all of it.
            Either::Right((_, read)) => read.await,
        };
        done.map_err(|error| self.place(&what, Purpose::Plain, error))?;
        let code = self.exit_code(&what, &exec).await?;
        Ok(ExecResult { code, stderr: Vec::from(stderr).join("\n") })
    }

    async fn exit_code(&self, what: &str, exec: &str) -> Result<i64, EngineError> {
        let ask = async {
            loop {
                let state = self.client.inspect_exec(exec).await?;
                match state.exit_code {
                    Some(code) if state.running != Some(true) => return Ok(code),
                    _ => tokio::time::sleep(REAP).await,
                }
            }
        };
        self.call(what, Purpose::Plain, self.deadlines.read, ask).await
    }

    pub(super) fn place(&self, what: &str, purpose: Purpose, error: Error) -> EngineError {
        translate(&self.host, what, purpose, error)
    }
}

/// Puts the lines of both streams together, each for itself, in the order in which they end.
async fn each_line(
    stream: impl Stream<Item = Result<LogOutput, Error>>,
    longest: usize,
    sink: &mut (dyn FnMut(bool, String) -> bool + Send),
) -> Result<(), Error> {
    let mut stream = pin!(stream);
    let (mut out, mut err) = (Lines::new(longest), Lines::new(longest));
    while let Some(part) = stream.next().await {
        let (is_stderr, bytes) = match part? {
            LogOutput::StdErr { message } => (true, message),
            LogOutput::StdOut { message } | LogOutput::Console { message } | LogOutput::StdIn { message } => {
                (false, message)
            }
        };
        let lines = if is_stderr { &mut err } else { &mut out };
        if !lines.push(&bytes, |line| sink(is_stderr, line)) {
            return Ok(());
        }
    }
    if let Some(line) = out.finish()
        && !sink(false, line)
    {
        return Ok(());
    }
    if let Some(line) = err.finish() {
        sink(true, line);
    }
    Ok(())
}
