//! From what is wanted and what is there to what is to be done.

use super::keep::{is_up, may_run};
use super::{Action, Before, Observed, Plan, What};
use crate::blueprint::{Blueprint, ModelRef};
use crate::engine::{ContainerSpec, ContainerState, ContainerStatus, NetworkSpec};
use crate::labels::{self, EDGE, GATEWAY, INTERNAL, Labelled, PROBE, STORE_CHECK};
use crate::spec::{self, SpecError, Wanted, WantedStack};
use crate::state::Current;
use sovai_core::{ImageId, Name};
use std::collections::{BTreeMap, BTreeSet};

/// Compares what is wanted with what is there. Pure.
pub fn plan(blueprint: &Blueprint<'_>, observed: &Observed) -> Result<Plan, SpecError> {
    let wanted = spec::wanted(blueprint)?;
    Ok(Planner::new(blueprint, observed, wanted).run())
}

pub(super) struct Planner<'a> {
    stack: &'a Name,
    blueprint: &'a Blueprint<'a>,
    pub(super) observed: &'a Observed,
    pub(super) wanted: WantedStack,
    /// Container that is kept for each service.
    pub(super) kept: BTreeMap<String, &'a ContainerState>,
    generation: u32,
    actions: Vec<Action>,
    cleanup: Vec<Action>,
}

impl<'a> Planner<'a> {
    fn new(blueprint: &'a Blueprint<'a>, observed: &'a Observed, wanted: WantedStack) -> Self {
        let stack = &blueprint.manifest.name;
        let mut planner = Self {
            stack,
            blueprint,
            observed,
            wanted,
            kept: BTreeMap::new(),
            generation: 0,
            actions: Vec::new(),
            cleanup: Vec::new(),
        };
        planner.generation = planner.next_generation();
        planner
    }

    /// A killed deploy's generation is completed under its own number; else the next one after all that is known.
    fn next_generation(&self) -> u32 {
        if let Some(pending) = self.pending() {
            return pending;
        }
        let seen = self.observed.containers.iter().map(Labelled::generation);
        let known = self.observed.current.as_ref().map(|current| current.generation);
        seen.chain(known).max().unwrap_or(0) + 1
    }

    fn push(&mut self, what: What, why: impl Into<String>) {
        self.actions.push(Action { what, why: why.into() });
    }

    fn clear(&mut self, what: What, why: impl Into<String>) {
        self.cleanup.push(Action { what, why: why.into() });
    }

    fn run(mut self) -> Plan {
        let networks = self.plan_networks();
        self.choose_kept(&networks);
        let before = self.before();
        let fresh: Vec<Wanted> =
            self.wanted.containers.iter().filter(|w| !self.kept.contains_key(&w.service)).cloned().collect();
        let (leftovers, stale) = self.not_wanted();
        let probe = self.needs_probe(&fresh);

        for container in &leftovers {
            self.push(What::RemoveLeftover(container.name.clone()), "left by a deploy that was cut off");
        }
        if !fresh.is_empty() || probe {
            self.prepare(&fresh);
        }
        let created: Vec<NetworkSpec> = networks.created.clone();
        for network in created {
            let why =
                if network.internal { "engines have no route out" } else { "only the gateway is published" };
            self.push(What::CreateNetwork(network), why);
        }
        for wanted in &fresh {
            self.create(wanted, &networks, &stale);
        }
        if probe {
            self.create_probe(&networks.internal);
        }
        // The door closes first, so that streams drain while their engine still runs.
        let mut ending: Vec<&ContainerState> = stale.iter().copied().filter(|c| may_run(c)).collect();
        ending.sort_by_key(|container| container.service() != GATEWAY);
        for container in ending {
            let why = if self.is_wanted(container.service()) {
                "its replacement takes over"
            } else {
                "no longer wanted"
            };
            self.push(What::StopContainer(container.name.clone()), why);
        }
        let woken = self.launch(&fresh);
        let changed = woken || !fresh.is_empty() || !networks.created.is_empty();
        if changed {
            self.ask();
        }
        if probe {
            let name = labels::container_name(self.stack, self.generation, PROBE);
            self.clear(What::RemoveContainer(name), "it was needed for readiness only");
        }
        for container in &stale {
            self.clear(What::RemoveContainer(container.name.clone()), "replaced or no longer wanted");
        }
        for network in &networks.unwanted {
            self.clear(What::RemoveNetwork(network.clone()), "no longer wanted");
        }
        self.finish(before, &networks, changed)
    }

    /// Networks that stay, those to be made, and those that nobody wants.
    fn plan_networks(&self) -> Networks {
        let mut networks = Networks::default();
        for wanted in &self.wanted.networks {
            let existing = self
                .observed
                .networks
                .iter()
                .find(|n| n.service() == wanted.role && n.spec() == wanted.digest);
            let name = if let Some(network) = existing {
                network.name.clone()
            } else {
                let spec = wanted.render(self.stack, self.generation);
                let name = spec.name.clone();
                networks.created.push(spec);
                name
            };
            match wanted.role {
                EDGE => networks.edge = name,
                _ => networks.internal = name,
            }
        }
        networks.unwanted = self
            .observed
            .networks
            .iter()
            .map(|network| network.name.clone())
            .filter(|name| *name != networks.internal && *name != networks.edge)
            .collect();
        networks
    }

    fn is_wanted(&self, service: &str) -> bool {
        self.wanted.containers.iter().any(|wanted| wanted.service == service)
    }

    /// Without a gateway something else must ask whether services are ready.
    fn needs_probe(&self, fresh: &[Wanted]) -> bool {
        let waits = |wanted: &Wanted| {
            self.kept.get(&wanted.service).is_some_and(|container| {
                !is_up(container) || !self.is_admitted(container) || self.holds_old_tree(wanted, container)
            })
        };
        !self.is_wanted(GATEWAY) && (!fresh.is_empty() || self.wanted.containers.iter().any(waits))
    }

    /// The image, the folders and the store check come before the first container.
    fn prepare(&mut self, fresh: &[Wanted]) {
        if !self.observed.gateway_image {
            self.push(
                What::LoadGatewayImage(self.blueprint.gateway_image.clone()),
                "made of this binary; not in the container engine",
            );
        }
        for folder in fresh.iter().flat_map(|wanted| &wanted.folders) {
            if !self.observed.folders.contains(&folder.name) {
                self.push(What::Publish(folder.clone()), "configuration for a new container");
            }
        }
        let check = ContainerSpec {
            name: labels::container_name(self.stack, self.generation, STORE_CHECK),
            labels: labels::labels(self.stack, self.generation, STORE_CHECK, ""),
            args: ["gateway", "nonce", "/nonce"].map(str::to_owned).to_vec(),
            ..spec::helper(self.blueprint, STORE_CHECK)
        };
        self.push(What::StoreCheck(Box::new(check)), "the engine must see this store");
        let mut loads = BTreeMap::new();
        for wanted in fresh {
            let service = self.blueprint.images.iter().find(|(name, _)| name.as_str() == wanted.service);
            if let Some(load) = service.and_then(|(_, image)| image.load.as_ref()) {
                loads.entry(load.id).or_insert_with(|| load.clone());
            }
        }
        for load in loads.into_values() {
            self.push(What::LoadImage(load), "not in the container engine");
        }
    }

    fn create(&mut self, wanted: &Wanted, networks: &Networks, stale: &[&ContainerState]) {
        let spec = wanted.render(self.stack, self.generation, &networks.internal, &networks.edge);
        let connect = wanted.roles()[1..]
            .iter()
            .map(|role| (networks.by_role(role).clone(), vec![wanted.service.clone()]))
            .collect();
        let why = match stale.iter().find(|old| old.service() == wanted.service) {
            None => "not there".to_owned(),
            Some(old) if old.image != wanted.image() => {
                format!("replaces {}: another image", old.name)
            }
            Some(old) if old.spec() != wanted.digest => {
                format!("replaces {}: its settings changed", old.name)
            }
            Some(old) if old.status == ContainerStatus::Other => {
                format!("replaces {}: it is paused or broken", old.name)
            }
            Some(old) => format!("replaces {}: its networks were changed by hand", old.name),
        };
        self.push(What::CreateContainer { spec: Box::new(spec), connect }, why);
    }

    fn create_probe(&mut self, internal: &str) {
        let name = labels::container_name(self.stack, self.generation, PROBE);
        let probe = ContainerSpec {
            name: name.clone(),
            labels: labels::labels(self.stack, self.generation, PROBE, ""),
            args: ["gateway", "idle"].map(str::to_owned).to_vec(),
            network: Some(internal.to_owned()),
            ..spec::helper(self.blueprint, PROBE)
        };
        self.push(
            What::CreateContainer { spec: Box::new(probe), connect: Vec::new() },
            "no gateway from inside which readiness could be asked",
        );
        self.push(What::StartContainer(name), "no gateway from inside which readiness could be asked");
    }

    /// Starts what does not run and waits for it; what depends on others only after these. Says whether anything is
    /// waited for. Starts that follow each other, and waits that follow each other, do not need each other.
    fn launch(&mut self, fresh: &[Wanted]) -> bool {
        let prober = self.prober();
        let mut waits = Vec::new();
        for wanted in self.wanted.containers.clone() {
            let is_fresh = fresh.iter().any(|fresh| fresh.service == wanted.service);
            let kept = self.kept.get(&wanted.service).copied();
            let container = match kept {
                Some(container) => container.name.clone(),
                None => labels::container_name(self.stack, self.generation, &wanted.service),
            };
            let remount = kept.is_some_and(|container| self.holds_old_tree(&wanted, container));
            if remount {
                self.push(
                    What::StopContainer(container.clone()),
                    "the store's copy of its model was replaced",
                );
            }
            let up = kept.is_some_and(is_up) && !remount;
            // A container of a killed deploy may run, but nobody has seen it ready yet.
            let seen_ready = kept.is_some_and(|container| self.is_admitted(container));
            if wanted.waits {
                self.flush(&mut waits);
            }
            if !up {
                let why = match (is_fresh, remount) {
                    (true, _) => "new",
                    (false, true) => "it mounts the new copy",
                    (false, false) => "it is not running",
                };
                self.push(What::StartContainer(container.clone()), why);
            }
            if up && seen_ready {
                continue;
            }
            waits.push(What::WaitReady {
                service: wanted.service,
                container,
                ready: wanted.ready,
                prober: prober.clone(),
            });
        }
        self.flush(&mut waits);
        self.actions.iter().any(|action| matches!(action.what, What::WaitReady { .. }))
    }

    fn flush(&mut self, waits: &mut Vec<What>) {
        for wait in waits.drain(..) {
            self.push(wait, "started is not ready");
        }
    }

    /// The container from inside which questions are asked.
    fn prober(&self) -> String {
        if !self.is_wanted(GATEWAY) {
            return labels::container_name(self.stack, self.generation, PROBE);
        }
        match self.kept.get(GATEWAY) {
            Some(gateway) => gateway.name.clone(),
            None => labels::container_name(self.stack, self.generation, GATEWAY),
        }
    }

    /// One real question for each engine: through the gateway where there is one.
    fn ask(&mut self) {
        let prober = self.prober();
        let manifest = self.blueprint.manifest;
        let mut asked = BTreeSet::new();
        let mut questions = Vec::new();
        if let Some(gateway) = &manifest.gateway {
            for (public, service) in &gateway.routes {
                if asked.insert(service) {
                    questions.push((public.clone(), spec::INNER_URL.to_owned()));
                }
            }
        } else {
            for (name, service) in &manifest.services {
                if let (Some(engine), Some(model)) = (&service.engine, &service.model)
                    && let Some(profile) = sovai_catalog::engine(engine)
                {
                    questions.push((model.to_string(), format!("http://{name}:{}", profile.port)));
                }
            }
        }
        for (model, url) in questions {
            self.push(What::Ask { model, url, prober: prober.clone() }, "ready is not yet answering");
        }
    }

    fn finish(self, before: Before, networks: &Networks, changed: bool) -> Plan {
        let serving = self.observed.current.as_ref().map_or(0, |current| current.generation);
        let newest_kept = self.kept.values().map(|container| container.generation()).max().unwrap_or(0);
        let generation = if changed { self.generation } else { serving.max(newest_kept) };
        let mut containers = BTreeSet::new();
        let mut images: BTreeMap<String, ImageId> = BTreeMap::new();
        for wanted in &self.wanted.containers {
            images.insert(wanted.service.clone(), wanted.image());
            containers.insert(match self.kept.get(&wanted.service) {
                Some(container) => container.name.clone(),
                None => labels::container_name(self.stack, self.generation, &wanted.service),
            });
        }
        let models: BTreeMap<Name, ModelRef> = self
            .wanted
            .containers
            .iter()
            .filter_map(|wanted| self.blueprint.models.get_key_value(wanted.model.as_ref()?))
            .map(|(name, model)| (name.clone(), model.clone()))
            .collect();
        let result = Current {
            generation,
            containers,
            networks: [&networks.internal, &networks.edge]
                .into_iter()
                .filter(|n| !n.is_empty())
                .cloned()
                .collect(),
            images,
            models: models.iter().map(|(name, model)| (name.to_string(), model.digest)).collect(),
            trees: models
                .keys()
                .filter_map(|name| Some((name.to_string(), *self.observed.trees.get(name)?)))
                .collect(),
        };
        Plan {
            stack: self.stack.clone(),
            generation,
            actions: self.actions,
            cleanup: self.cleanup,
            folders: self.wanted.containers.iter().flat_map(|w| &w.folders).map(|f| f.name.clone()).collect(),
            unchanged: self.kept.values().map(|container| container.name.clone()).collect(),
            models,
            result,
            before,
            gateway_image: self.blueprint.gateway_image.clone(),
        }
    }
}

/// Networks that stay, by name, those to be made, and those that nobody wants.
#[derive(Debug, Default)]
pub(super) struct Networks {
    internal: String,
    edge: String,
    created: Vec<NetworkSpec>,
    unwanted: Vec<String>,
}

impl Networks {
    pub(super) fn by_role(&self, role: &str) -> &String {
        if role == INTERNAL { &self.internal } else { &self.edge }
    }
}
