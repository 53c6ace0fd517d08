//! Started is not ready, and ready is not yet answering: the waits of a deploy.

use crate::engine::{ContainerEngine, ContainerStatus, EngineError};
use crate::error::DeployError;
use crate::execute::{Executor, Question};
use crate::spec::Ready;
use serde::Deserialize;
use sovai_core::{Event, Reporter, Step};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often a container that is waited for is looked at. An engine that dies is noticed within this time.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Pause between two questions whether a service is ready, which are put inside the stack and cost the host nothing.
const ASK_EVERY: Duration = Duration::from_millis(25);
/// How long a service without a readiness of its own must keep running.
const SETTLE: Duration = Duration::from_secs(1);
/// Lines of a log that an error shows.
const LOG_LINES: usize = 20;
/// What the prober may take beyond the deadline that it was given.
const GRACE: Duration = Duration::from_secs(5);

/// Whom a wait is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Watched<'a> {
    /// The service, in messages.
    pub service: &'a str,
    /// Its container.
    pub container: &'a str,
    /// The container from inside which it is asked.
    pub prober: &'a str,
    /// Whether it was created in this run. Then any restart is an end; one that served before may have some behind it.
    pub fresh: bool,
}

/// A line that the prober writes.
#[derive(Debug, Deserialize)]
struct ProbeLine {
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    detail: Option<String>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    error: Option<String>,
}

/// Waits until a service is ready.
pub(crate) async fn ready<E: ContainerEngine>(
    executor: &Executor<'_, E>,
    watched: &Watched<'_>,
    ready: Option<&Ready>,
    reporter: &dyn Reporter,
) -> Result<(), DeployError> {
    let Some(ready) = ready else {
        let alone = Watched { prober: watched.container, ..*watched };
        return tokio::select! {
            ended = watch(executor, &alone) => Err(named(executor, watched, ended).await),
            () = tokio::time::sleep(SETTLE) => Ok(()),
        };
    };
    let request = serde_json::json!({
        "url": ready.url,
        "status": ready.status,
        "bodyContains": ready.body,
        "deadlineMs": millis(ready.deadline),
        "intervalMs": millis(ASK_EVERY),
    });
    let began = Instant::now();
    let last = Mutex::new(String::from("nothing"));
    let mut on_line = |line: &str| {
        let Ok(line) = serde_json::from_str::<ProbeLine>(line) else { return };
        let Some(state) = line.state.or(line.error) else { return };
        let seen = line.detail.unwrap_or(state);
        let total = millis(ready.deadline);
        let event =
            Event::progress(Step::WaitReady, watched.service, millis(began.elapsed()).min(total), total);
        reporter.report(event.message(seen.clone()));
        *last.lock().unwrap_or_else(PoisonError::into_inner) = seen;
    };
    let command = ["/sovai", "gateway", "probe"].map(str::to_owned);
    let stdin = request.to_string().into_bytes();
    let probe = executor.engine.exec(watched.prober, &command, stdin, &mut on_line);
    let result = tokio::select! {
        ended = watch(executor, watched) => return Err(named(executor, watched, ended).await),
        result = tokio::time::timeout(ready.deadline + GRACE, probe) => result,
    };
    match result {
        Ok(Ok(done)) if done.code == 0 => Ok(()),
        Ok(Ok(_)) | Err(_) => {
            // The question may have come to nothing because the one who asked is gone.
            if let Some(ended) = ended(executor, watched).await {
                return Err(ended);
            }
            Err(DeployError::NotReady {
                service: watched.service.to_owned(),
                waited: began.elapsed(),
                last: last.into_inner().unwrap_or_else(PoisonError::into_inner),
                log: log(executor, watched.container).await,
            })
        }
        Ok(Err(error)) => Err(died(executor, watched, error).await),
    }
}

/// Asks one real question and gives the answer's text.
pub(crate) async fn ask<E: ContainerEngine>(
    executor: &Executor<'_, E>,
    model: &str,
    url: &str,
    prober: &str,
    key: Option<&str>,
) -> Result<String, DeployError> {
    let Question { prompt, max_tokens, deadline } = executor.question;
    // The key goes by standard input: arguments and environment can be read from outside the container.
    let request = serde_json::json!({
        "url": url,
        "key": key,
        "model": model,
        "prompt": prompt,
        "maxTokens": max_tokens,
        "deadlineMs": millis(*deadline),
    });
    let answer = Mutex::new(None);
    let problem = Mutex::new(None);
    let mut on_line = |line: &str| {
        let Ok(line) = serde_json::from_str::<ProbeLine>(line) else { return };
        if line.text.is_some() {
            *answer.lock().unwrap_or_else(PoisonError::into_inner) = line.text;
        }
        if line.error.is_some() {
            *problem.lock().unwrap_or_else(PoisonError::into_inner) = line.error;
        }
    };
    let watched = Watched { service: prober, container: prober, prober, fresh: false };
    let command = ["/sovai", "gateway", "ask"].map(str::to_owned);
    let exec = executor.engine.exec(prober, &command, request.to_string().into_bytes(), &mut on_line);
    let result = tokio::select! {
        ended = watch(executor, &watched) => return Err(named(executor, &watched, ended).await),
        result = tokio::time::timeout(*deadline + GRACE, exec) => result,
    };
    let failed = |message: String, log| DeployError::NoAnswer { model: model.to_owned(), message, log };
    match result {
        Ok(Ok(done)) => {
            let answer = answer.into_inner().unwrap_or_else(PoisonError::into_inner);
            match answer {
                Some(text) if done.code == 0 => Ok(text),
                _ => {
                    let problem = problem.into_inner().unwrap_or_else(PoisonError::into_inner);
                    Err(failed(problem.unwrap_or(done.stderr), log(executor, prober).await))
                }
            }
        }
        Err(_) => {
            Err(failed(format!("no answer within {} s", deadline.as_secs()), log(executor, prober).await))
        }
        Ok(Err(error)) => Err(died(executor, &watched, error).await),
    }
}

/// Why a watch came to its end.
enum Ended {
    Container { name: String, code: Option<i64>, oom: bool },
    Gone(String),
    Engine(EngineError),
    Cancelled,
}

/// Looks at a container, and at the one that asks it, until one of them does not run any more.
async fn watch<E: ContainerEngine>(executor: &Executor<'_, E>, watched: &Watched<'_>) -> Ended {
    let (mut restarts, mut asker_restarts) = (watched.fresh.then_some(0), None);
    loop {
        if executor.cancel.is_cancelled() {
            return Ended::Cancelled;
        }
        if watched.prober != watched.container {
            match look(executor, watched.prober, asker_restarts).await {
                Ok(restarts) => asker_restarts = Some(restarts),
                Err(ended) => return ended,
            }
        }
        match look(executor, watched.container, restarts).await {
            Ok(now) => restarts = Some(now),
            Err(ended) => return ended,
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// How often a container was restarted, if it runs and that is still `restarts` times; else how it ended.
async fn look<E: ContainerEngine>(
    executor: &Executor<'_, E>,
    name: &str,
    restarts: Option<u64>,
) -> Result<u64, Ended> {
    match executor.engine.container(name).await {
        Err(error) => Err(Ended::Engine(error)),
        Ok(None) => Err(Ended::Gone(name.to_owned())),
        Ok(Some(state))
            if state.status == ContainerStatus::Running && restarts.is_none_or(|r| r == state.restarts) =>
        {
            Ok(state.restarts)
        }
        Ok(Some(state)) => {
            Err(Ended::Container { name: name.to_owned(), code: state.exit_code, oom: state.oom_killed })
        }
    }
}

async fn named<E: ContainerEngine>(
    executor: &Executor<'_, E>,
    watched: &Watched<'_>,
    ended: Ended,
) -> DeployError {
    match ended {
        Ended::Cancelled => DeployError::Interrupted,
        Ended::Engine(error) => DeployError::Engine(error),
        Ended::Gone(name) => DeployError::Ended { service: name, code: None, oom: false, log: Vec::new() },
        Ended::Container { name, code, oom } => {
            let service = if name == watched.container { watched.service.to_owned() } else { name.clone() };
            let (code, oom) = match code {
                None => next_end(executor, &name).await.unwrap_or((None, oom)),
                code => (code, oom),
            };
            DeployError::Ended { service, code, oom, log: log(executor, &name).await }
        }
    }
}

/// How a container that its restart policy has started again ends the next time: the engine has forgotten the last one.
/// What dies at its start does so again within this second; `None`: it did not.
async fn next_end<E: ContainerEngine>(executor: &Executor<'_, E>, name: &str) -> Option<(Option<i64>, bool)> {
    for _ in 0..20 {
        let state = executor.engine.container(name).await.ok()??;
        if state.exit_code.is_some() {
            return Some((state.exit_code, state.oom_killed));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    None
}

/// A call into a container failed: because it died, or for the engine's own reasons.
async fn died<E: ContainerEngine>(
    executor: &Executor<'_, E>,
    watched: &Watched<'_>,
    error: EngineError,
) -> DeployError {
    ended(executor, watched).await.unwrap_or(DeployError::Engine(error))
}

/// How one of the two containers ended, if one of them did. The one that asks is looked at first: without it nothing can
/// be said of the other.
async fn ended<E: ContainerEngine>(executor: &Executor<'_, E>, watched: &Watched<'_>) -> Option<DeployError> {
    for name in [watched.prober, watched.container] {
        if let Err(ended) = look(executor, name, None).await
            && !matches!(ended, Ended::Engine(_))
        {
            return Some(named(executor, watched, ended).await);
        }
    }
    None
}

async fn log<E: ContainerEngine>(executor: &Executor<'_, E>, name: &str) -> Vec<crate::engine::LogLine> {
    executor.engine.logs(name, Some(LOG_LINES)).await.unwrap_or_default()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
