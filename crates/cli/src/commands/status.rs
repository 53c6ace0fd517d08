//! `sovai status`: what is deployed and how it is, from labels alone.

use crate::args::StatusArgs;
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{Outcome, safe_line};
use crate::stack::stack_name;
use serde::Serialize;
use sovai_core::Name;
use sovai_deployer::docker::Docker;
use sovai_deployer::{ServiceStatus, StackStatus, status};
use sovai_store::Store;
use std::fmt::Write as _;

#[derive(Serialize)]
struct Body {
    stacks: Vec<StackStatus>,
}

/// Runs the command.
pub(crate) fn run(args: &StatusArgs, ctx: &Ctx) -> Result<Exit, CliError> {
    let name = args.target.as_ref().map(|target| stack_name(target, ctx)).transpose()?;
    let mut stacks = ctx.block_on(async {
        let engine = Docker::connect(Some(&ctx.settings.host)).await?;
        Ok::<_, CliError>(status(&engine, name.as_ref().map(AsRef::as_ref)).await?)
    })??;
    if let (Some(name), []) = (&name, &*stacks) {
        return Err(not_deployed(name.as_str()));
    }
    // Labels cannot tell of a container that is gone; the store can, where it is at hand.
    if let Some(store) = ctx.settings.store.as_deref().filter(|path| path.join("oci-layout").exists())
        && let Ok(store) = Store::open(store)
    {
        for stack in &mut stacks {
            if let Ok(name) = Name::new(&stack.stack) {
                stack.compare(&store.stack(&name))?;
            }
        }
    }
    let mut text = String::new();
    if stacks.is_empty() {
        text.push_str("no stack is deployed\n");
    }
    for stack in &stacks {
        let state = if stack.running { "running" } else { "not all of it runs" };
        let _ = writeln!(text, "stack {}: {state}", safe_line(&stack.stack));
        for service in &stack.services {
            let _ = writeln!(text, "  {}", line(service));
        }
        for name in &stack.missing {
            let _ = writeln!(text, "  container {} is not there any more: deploy again", safe_line(name));
        }
    }
    ctx.finish(Outcome { exit: Exit::Done, findings: Vec::new(), body: Body { stacks }, text })
}

/// A stack that no container carries the name of.
pub(crate) fn not_deployed(name: &str) -> CliError {
    CliError::new(Exit::Usage, format!("no stack called {name} is deployed"))
        .hint("`sovai status` lists what is deployed")
}

fn line(service: &ServiceStatus) -> String {
    let mut state = service.state.to_owned();
    if let Some(code) = service.exit_code {
        let _ = write!(state, " ({code}{})", if service.oom_killed { ", out of memory" } else { "" });
    }
    let image = service.image.0.short();
    let mut line = format!(
        "{:<20} {state:<14} generation {:<4} image {image}",
        safe_line(&service.service),
        service.generation
    );
    for address in &service.published {
        let _ = write!(line, "  {address}");
    }
    if service.restarts > 0 {
        let _ = write!(line, "  restarted {} times", service.restarts);
    }
    line
}
