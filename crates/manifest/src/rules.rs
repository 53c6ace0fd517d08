//! Every rule with its stable code, a reason and an example that breaks it.

mod table;

pub use table::rules;

/// A rule that a manifest, lock or policy keeps.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Stable code: `SOV0022`. A code is never used again for another rule.
    pub code: &'static str,
    /// What must hold, in one line.
    pub title: &'static str,
    /// Why, and what to do.
    pub explanation: &'static str,
    /// A text that breaks it.
    example: Example,
}

/// A text that breaks a rule: a part of a manifest, put into an otherwise good one.
#[derive(Debug, Clone, Copy)]
enum Example {
    /// The whole text.
    Whole(&'static str),
    /// What stands under `spec.models.assistant`.
    Model(&'static str),
    /// What stands under `spec.services.engine`.
    Service(&'static str),
    /// What stands under `spec.services`.
    Services(&'static str),
    /// What stands under `spec.gateway`.
    Gateway(&'static str),
    /// What stands under `spec` of a policy.
    Policy(&'static str),
    /// Made by a function, because it is long or not text; with words for it.
    Made(&'static str, fn() -> Vec<u8>),
}

const MODEL: &str = "source: file:./weights/model.gguf\n";
const SERVICE: &str = "engine: llama.cpp\nimage: sovai/engine-llama-cpp:local\nmodel: assistant\n";
const GATEWAY: &str = "listen: 127.0.0.1:8080\nroutes: { assistant: engine }\n";

impl Rule {
    /// Whether this is a rule of policies alone: its example is a policy and not a manifest.
    pub fn is_of_policies(&self) -> bool {
        matches!(self.example, Example::Policy(_))
    }

    /// A whole manifest, or a whole policy, that breaks this rule.
    pub fn example(&self) -> Vec<u8> {
        let service = |text: &str| format!("engine:\n{}", indent(text, 2));
        let text = match self.example {
            Example::Made(_, make) => return make(),
            Example::Whole(text) => text.to_owned(),
            Example::Model(text) => manifest(text, &service(SERVICE), GATEWAY),
            Example::Service(text) => manifest(MODEL, &service(text), GATEWAY),
            Example::Services(text) => manifest(MODEL, text, GATEWAY),
            Example::Gateway(text) => manifest(MODEL, &service(SERVICE), text),
            Example::Policy(text) => policy(text),
        };
        text.into_bytes()
    }

    /// The part of the example that matters, and where it stands.
    pub fn fragment(&self) -> (&'static str, &'static str) {
        match self.example {
            Example::Whole(text) => ("", text),
            Example::Model(text) => ("spec.models.assistant", text),
            Example::Service(text) => {
                // The usual lines say nothing about the rule.
                let rest = text.strip_prefix(SERVICE).filter(|rest| !rest.is_empty());
                ("spec.services.engine", rest.unwrap_or(text))
            }
            Example::Services(text) => ("spec.services", text),
            Example::Gateway(text) => ("spec.gateway", text),
            Example::Policy(text) => ("spec (of a policy)", text),
            Example::Made(words, _) => ("", words),
        }
    }

    /// Whether [`Rule::fragment`] is words about the example and not the example itself.
    pub fn is_described(&self) -> bool {
        matches!(self.example, Example::Made(..))
    }
}

/// A manifest with these parts.
fn manifest(model: &str, services: &str, gateway: &str) -> String {
    format!(
        "apiVersion: sovai/v1\nkind: Stack\nmetadata: {{ name: example }}\nspec:\n  models:\n    assistant:\n{}  \
         services:\n{}  gateway:\n{}",
        indent(model, 6),
        indent(services, 4),
        indent(gateway, 4)
    )
}

/// A policy with this under `spec`.
fn policy(spec: &str) -> String {
    format!("apiVersion: sovai/v1\nkind: Policy\nmetadata: {{ name: example }}\nspec:\n{}", indent(spec, 2))
}

fn indent(text: &str, by: usize) -> String {
    let lines: Vec<String> = text.lines().map(|line| format!("{:by$}{line}\n", "")).collect();
    lines.concat()
}

#[cfg(test)]
mod tests;
