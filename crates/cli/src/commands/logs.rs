//! `sovai logs`: what the services of a stack wrote, from labels alone.

use super::status::not_deployed;
use crate::args::LogsArgs;
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{Form, Outcome, Printer, safe_line};
use crate::stack::stack_name;
use futures_util::future::join_all;
use serde::Serialize;
use sovai_deployer::docker::Docker;
use sovai_deployer::engine::{ContainerEngine as _, LogLine};
use sovai_deployer::{ServiceStatus, status};

#[derive(Serialize)]
struct Body {
    stack: String,
    lines: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    service: String,
    stderr: bool,
    text: String,
}

/// Runs the command.
pub(crate) fn run(args: &LogsArgs, ctx: &Ctx) -> Result<Exit, CliError> {
    let name = stack_name(&args.target, ctx)?;
    let interrupt = ctx.interrupt()?.clone();
    let work = async {
        let engine = Docker::connect(Some(&ctx.settings.host)).await?;
        let stack =
            status(&engine, Some(name.as_str())).await?.pop().ok_or_else(|| not_deployed(name.as_str()))?;
        let services = chosen(stack.services, args.service.as_deref(), name.as_str())?;
        let width = services.iter().map(|service| service.service.len()).max().unwrap_or(0);
        if args.follow {
            return follow(&engine, &services, args.tail, width, ctx.out).await;
        }
        let mut lines = Vec::new();
        for service in services {
            for line in engine.logs(&service.container, args.tail).await? {
                lines.push(Line { service: service.service.clone(), stderr: line.stderr, text: line.text });
            }
        }
        let text = lines.iter().map(|line| shown(&line.service, width, &line.text)).collect();
        ctx.finish(Outcome {
            exit: Exit::Done,
            findings: Vec::new(),
            body: Body { stack: name.to_string(), lines },
            text,
        })
    };
    ctx.block_on(async {
        tokio::select! {
            result = work => result,
            // Whoever follows a log ends it so; that is no failure.
            () = interrupt.wait() => if args.follow { Ok(Exit::Done) } else { Err(crate::signals::interrupted()) },
        }
    })?
}

fn chosen(
    services: Vec<ServiceStatus>,
    wanted: Option<&str>,
    stack: &str,
) -> Result<Vec<ServiceStatus>, CliError> {
    let Some(wanted) = wanted else { return Ok(services) };
    let names: Vec<String> = services.iter().map(|service| service.service.clone()).collect();
    let chosen: Vec<_> = services.into_iter().filter(|service| service.service == wanted).collect();
    if chosen.is_empty() {
        return Err(CliError::new(
            Exit::Usage,
            format!("stack {stack} has no service called {}", safe_line(wanted)),
        )
        .hint(format!("its services: {}", names.join(", "))));
    }
    Ok(chosen)
}

/// Writes every line as it comes, of all services at once; with `-o json` one object a line.
async fn follow(
    engine: &Docker,
    services: &[ServiceStatus],
    tail: Option<usize>,
    width: usize,
    out: Printer,
) -> Result<Exit, CliError> {
    let streams = services.iter().map(|service| async move {
        let mut sink = |line: LogLine| write(out, service, width, line);
        engine.follow_logs(&service.container, tail, &mut sink).await
    });
    for ended in join_all(streams).await {
        ended?;
    }
    Ok(Exit::Done)
}

/// Whether more is wanted.
fn write(out: Printer, service: &ServiceStatus, width: usize, line: LogLine) -> bool {
    match out.form {
        Form::Text => out.stream(shown(&service.service, width, &line.text).as_bytes()),
        Form::Json => {
            let line = Line { service: service.service.clone(), stderr: line.stderr, text: line.text };
            serde_json::to_string(&line).is_ok_and(|line| out.stream(format!("{line}\n").as_bytes()))
        }
    }
}

fn shown(service: &str, width: usize, text: &str) -> String {
    format!("{:<width$} | {}\n", safe_line(service), safe_line(text))
}
