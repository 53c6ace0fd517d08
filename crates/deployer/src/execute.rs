//! Runs a plan, step by step, and undoes what it did when a step fails.

mod calls;
mod records;
mod run;
mod store_check;

use crate::engine::ContainerEngine;
use crate::error::{DeployError, Failure};
use crate::plan::Plan;
use run::Run;
use sovai_core::{Name, Reporter};
use sovai_store::Store;
use sovai_verifier::{Cancel, Receipt};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// A plan whose models all have receipts. Only such a plan can be run.
#[derive(Debug)]
pub struct AdmittedPlan {
    plan: Plan,
}

impl Plan {
    /// Demands a receipt for each model that a container of this plan mounts.
    pub fn admit(self, receipts: &BTreeMap<Name, Receipt>) -> Result<AdmittedPlan, DeployError> {
        for (name, model) in &self.models {
            let fits = receipts.get(name).is_some_and(|receipt| {
                receipt.model() == name
                    && receipt.model_digest() == model.digest
                    && receipt.tree() == model.tree
            });
            if !fits {
                return Err(DeployError::NotVerified { model: name.clone() });
            }
        }
        Ok(AdmittedPlan { plan: self })
    }
}

impl AdmittedPlan {
    /// The plan itself.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
}

/// What a plan is run with.
#[expect(missing_debug_implementations, reason = "holds a function")]
pub struct Executor<'a, E> {
    /// The container engine.
    pub engine: &'a E,
    /// The store.
    pub store: &'a Store,
    /// Makes the archive of the image made of this binary; called only when it must be loaded.
    pub gateway_archive: &'a dyn Fn() -> Vec<u8>,
    /// Asked between steps and while waiting.
    pub cancel: &'a Cancel,
    /// The deploy question.
    pub question: &'a Question,
}

/// The question that every deploy asks once.
#[derive(Debug, Clone)]
pub struct Question {
    /// What is asked.
    pub prompt: String,
    /// Longest answer in tokens.
    pub max_tokens: u32,
    /// How long the answer may take.
    pub deadline: Duration,
}

impl Default for Question {
    fn default() -> Self {
        Self {
            prompt: "What is the capital of Malaysia?".to_owned(),
            max_tokens: 32,
            deadline: Duration::from_mins(2),
        }
    }
}

/// What a deploy came to.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// The generation that serves now.
    pub generation: u32,
    /// Whether anything was changed.
    pub changed: bool,
    /// Model and its answer to the deploy question.
    pub answers: Vec<Answer>,
    /// File with the default key, where keys are asked for.
    pub key_file: Option<PathBuf>,
    /// Whether that file was made now.
    pub key_made: bool,
    /// What could not be cleared away after the new generation had answered, in words; the next deploy tries again.
    pub leftovers: Vec<String>,
}

/// A model's answer.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Answer {
    /// The name that clients use.
    pub model: String,
    /// What it said.
    pub text: String,
}

impl<E: ContainerEngine> Executor<'_, E> {
    /// Runs the plan to its end, or undoes it.
    pub async fn run(&self, admitted: &AdmittedPlan, reporter: &dyn Reporter) -> Result<Outcome, Failure> {
        let plan = &admitted.plan;
        let stack = self.store.stack(&plan.stack);
        let run = Run::new(self, plan, &stack, reporter);
        match run.all().await {
            Ok(outcome) => Ok(outcome),
            Err((step, cause)) => {
                let done = run.into_done();
                let restored = done.undo(self, &plan.stack, &stack, &plan.before, reporter).await;
                Err(Failure { stack: plan.stack.clone(), step, cause: Box::new(cause), restored })
            }
        }
    }
}
