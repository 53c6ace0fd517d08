//! What of that which is there stays, what a killed deploy left, and what must come back after a failure.

use super::Before;
use super::planner::{Networks, Planner};
use crate::engine::{ContainerState, ContainerStatus};
use crate::labels::{Labelled as _, PROBE, STORE_CHECK};
use crate::spec::{Ready, Wanted};

impl<'a> Planner<'a> {
    /// The generation of a killed deploy. A record that survived the deploy's own end means nothing.
    pub(super) fn pending(&self) -> Option<u32> {
        let serving = self.observed.current.as_ref().map_or(0, |current| current.generation);
        self.observed.pending.filter(|pending| *pending > serving)
    }

    /// Of several containers of one service with the wanted spec, a running one is kept.
    pub(super) fn choose_kept(&mut self, networks: &Networks) {
        for wanted in &self.wanted.containers {
            let fits = |container: &&ContainerState| {
                container.service() == wanted.service
                    && container.spec() == wanted.digest
                    && container.image == wanted.image()
                    && container.status != ContainerStatus::Other
                    // Just these: a further network that somebody connected by hand may be a way out.
                    && container.networks.len() == wanted.roles().len()
                    && wanted.roles().iter().all(|role| container.networks.contains(networks.by_role(role)))
            };
            let candidates = self.observed.containers.iter().filter(fits);
            if let Some(best) = candidates.max_by_key(|c| (is_up(c), c.generation())) {
                self.kept.insert(wanted.service.clone(), best);
            }
        }
    }

    /// Belongs to a generation that was admitted, or was there before sovai's memory begins.
    pub(super) fn is_admitted(&self, container: &ContainerState) -> bool {
        match &self.observed.current {
            Some(current) if current.containers.contains(&container.name) => true,
            _ => self.pending() != Some(container.generation()) && !is_helper(container.service()),
        }
    }

    pub(super) fn before(&self) -> Before {
        let mut before = Before::default();
        for container in &self.observed.containers {
            let remembered = self
                .observed
                .current
                .as_ref()
                .is_some_and(|current| current.containers.contains(&container.name));
            if !self.is_admitted(container) {
                before.leftovers.insert(container.name.clone());
            } else if remembered || is_up(container) {
                let service = container.service().to_owned();
                let wanted = self.wanted.containers.iter().find(|wanted| wanted.service == service);
                let ready = wanted
                    .and_then(|wanted| wanted.ready.clone())
                    .map(|ready| Ready { deadline: ready.own_deadline, ..ready });
                before.serving.insert(container.name.clone(), (service, ready));
            }
        }
        for network in &self.observed.networks {
            let remembered = self
                .observed
                .current
                .as_ref()
                .is_some_and(|current| current.networks.contains(&network.name));
            if !remembered && self.pending() == Some(network.generation()) {
                before.leftover_networks.insert(network.name.clone());
            }
        }
        before
    }

    /// Own containers that are not kept: leftovers of a killed deploy, and those of earlier generations.
    pub(super) fn not_wanted(&self) -> (Vec<&'a ContainerState>, Vec<&'a ContainerState>) {
        self.observed
            .containers
            .iter()
            .filter(|container| !self.kept.values().any(|kept| kept.id == container.id))
            .partition(|container| !self.is_admitted(container))
    }

    /// Whether a running container mounts a tree that was replaced since it was admitted: a damaged copy was healed, and
    /// the mount still holds the damaged one.
    pub(super) fn holds_old_tree(&self, wanted: &Wanted, container: &ContainerState) -> bool {
        let Some(model) = &wanted.model else { return false };
        let mounted = self.observed.current.as_ref().and_then(|current| current.trees.get(model.as_str()));
        match (mounted, self.observed.trees.get(model)) {
            (Some(mounted), Some(now)) => is_up(container) && mounted != now,
            _ => false,
        }
    }
}

pub(super) fn is_up(container: &ContainerState) -> bool {
    container.status == ContainerStatus::Running
}

/// Whether it may hold names and ports that its replacement needs.
pub(super) fn may_run(container: &ContainerState) -> bool {
    !matches!(container.status, ContainerStatus::Created | ContainerStatus::Exited)
}

pub(super) fn is_helper(service: &str) -> bool {
    service == STORE_CHECK || service == PROBE
}
