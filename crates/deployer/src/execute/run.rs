//! One run of a plan: the actions in their order, those that do not need each other at the same time.

use super::{Answer, Executor, Outcome};
use crate::engine::ContainerEngine;
use crate::error::DeployError;
use crate::images;
use crate::plan::{Action, Plan, What};
use crate::undo::Done;
use crate::wait::{self, Watched};
use futures_util::future::{join_all, try_join_all};
use sovai_core::{Event, EventKind, Reporter, Step};
use sovai_store::StackDir;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(super) struct Run<'a, E> {
    pub(super) executor: &'a Executor<'a, E>,
    pub(super) plan: &'a Plan,
    pub(super) stack: &'a StackDir,
    reporter: &'a dyn Reporter,
    done: Mutex<Done>,
    answers: Mutex<Vec<Answer>>,
}

/// The action that failed, in words, and why.
type Failed = (String, DeployError);

impl<'a, E: ContainerEngine> Run<'a, E> {
    pub(super) fn new(
        executor: &'a Executor<'a, E>,
        plan: &'a Plan,
        stack: &'a StackDir,
        reporter: &'a dyn Reporter,
    ) -> Self {
        Self { executor, plan, stack, reporter, done: Mutex::default(), answers: Mutex::default() }
    }

    /// What was done, for undoing it.
    pub(super) fn into_done(self) -> Done {
        self.done.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what was done.
    pub(super) fn done(&self, note: impl FnOnce(&mut Done)) {
        note(&mut locked(&self.done));
    }

    pub(super) async fn all(&self) -> Result<Outcome, Failed> {
        let at = |step: &str| {
            let step = step.to_owned();
            move |error| (step, error)
        };
        self.begin().map_err(at("record"))?;
        let key = self.keys().map_err(at("default key"))?;
        let secret = key.as_ref().map(|key| key.secret.as_str());
        for group in self.plan.actions.chunk_by(|one, next| go_together(&one.what, &next.what)) {
            if self.executor.cancel.is_cancelled() {
                return Err((in_words(&group[0]), DeployError::Interrupted));
            }
            self.together(group, secret).await?;
        }
        self.record().map_err(at("record"))?;
        // The new generation serves. What cannot be cleared away now is no reason to take it back.
        let mut leftovers = Vec::new();
        for action in &self.plan.cleanup {
            if self.reported(action, None).await.is_err() {
                leftovers.push(in_words(action));
            }
        }
        Ok(Outcome {
            generation: self.plan.generation,
            changed: !self.plan.is_empty(),
            answers: std::mem::take(&mut *locked(&self.answers)),
            key_made: key.as_ref().is_some_and(|key| key.made),
            key_file: key.map(|key| key.file),
            leftovers,
        })
    }

    /// Runs actions of one kind, which the planner puts side by side only where none needs another.
    async fn together(&self, group: &[Action], key: Option<&str>) -> Result<(), Failed> {
        let one = async |action| self.reported(action, key).await.map_err(|error| (in_words(action), error));
        if matches!(group[0].what, What::WaitReady { .. }) {
            // The first that cannot get ready ends the waiting for the others.
            return try_join_all(group.iter().map(one)).await.map(drop);
        }
        // What changes something is never left in the middle: each is carried to its end, then the first error counts.
        join_all(group.iter().map(one)).await.into_iter().collect()
    }

    async fn reported(&self, action: &Action, key: Option<&str>) -> Result<(), DeployError> {
        let (step, subject) = (step_of(&action.what), action.what.subject());
        self.reporter.report(Event::new(EventKind::Started, step, subject).message(action.why.as_str()));
        let result = self.act(action, key).await;
        let kind = if result.is_ok() { EventKind::Done } else { EventKind::Failed };
        self.reporter.report(Event::new(kind, step, subject));
        result
    }

    async fn act(&self, action: &Action, key: Option<&str>) -> Result<(), DeployError> {
        let engine = self.executor.engine;
        match &action.what {
            What::LoadGatewayImage(image) => self.load(image).await?,
            What::LoadImage(image) => {
                // Noted before the call: should its answer get lost, the image is looked for all the same.
                if engine.image(&image.id.to_string()).await?.is_none() {
                    self.done(|done| done.images.push(image.id.to_string()));
                }
                images::load_from_store(
                    engine,
                    self.executor.store,
                    image,
                    self.executor.cancel,
                    self.reporter,
                )
                .await?;
            }
            What::Publish(folder) => {
                let files: Vec<_> =
                    folder.files.iter().map(|(path, bytes)| (path.clone(), bytes.0.clone())).collect();
                self.done(|done| done.folders.push(folder.name.clone()));
                self.stack.publish_dir(&folder.name, &files)?;
            }
            What::StoreCheck(spec) => self.store_check(spec).await?,
            What::CreateNetwork(spec) => {
                let id = self.create_network(spec).await?;
                self.done(|done| done.networks.push(id));
            }
            What::CreateContainer { spec, connect } => self.create(spec, connect).await?,
            What::StopContainer(name) => {
                self.done(|done| done.stopped.push(name.clone()));
                engine.stop_container(name, Duration::from_secs(30)).await?;
            }
            What::StartContainer(name) => {
                self.done(|done| done.started.push(name.clone()));
                engine.start_container(name).await?;
            }
            What::WaitReady { service, container, ready, prober } => {
                let fresh = locked(&self.done).containers.contains(container);
                let watched = Watched { service, container, prober, fresh };
                wait::ready(self.executor, &watched, ready.as_ref(), self.reporter).await?;
            }
            What::Ask { model, url, prober } => {
                let text = wait::ask(self.executor, model, url, prober, key).await?;
                locked(&self.answers).push(Answer { model: model.clone(), text });
            }
            What::RemoveLeftover(name) | What::RemoveContainer(name) => engine.remove_container(name).await?,
            What::RemoveNetwork(name) => engine.remove_network(name).await?,
        }
        Ok(())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn in_words(action: &Action) -> String {
    let (verb, object) = action.what.words();
    format!("{verb} {object}")
}

/// Whether two actions that follow each other run at the same time: those of one kind do. The store check needs no
/// network, and no network needs it. Stops are apart: an engine that ended while its gateway drains would cut the streams. So are loads of images, which share
/// one disk.
fn go_together(one: &What, next: &What) -> bool {
    let kind = |what| match step_of(what) {
        Step::CreateNetwork => Step::StoreCheck,
        step => step,
    };
    kind(one) == kind(next) && ![Step::StopContainer, Step::LoadImage].contains(&kind(one))
}

const fn step_of(what: &What) -> Step {
    match what {
        What::LoadGatewayImage(_) => Step::GatewayImage,
        What::LoadImage(_) => Step::LoadImage,
        What::Publish(_) => Step::Store,
        What::StoreCheck(_) => Step::StoreCheck,
        What::CreateNetwork(_) => Step::CreateNetwork,
        What::CreateContainer { .. } => Step::CreateContainer,
        What::StopContainer(_) => Step::StopContainer,
        What::StartContainer(_) => Step::StartContainer,
        What::WaitReady { .. } => Step::WaitReady,
        What::Ask { .. } => Step::Ask,
        What::RemoveLeftover(_) | What::RemoveContainer(_) => Step::RemoveContainer,
        What::RemoveNetwork(_) => Step::RemoveNetwork,
    }
}
