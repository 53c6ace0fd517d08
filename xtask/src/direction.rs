//! The direction of dependencies: who may depend on whom, and what must stay out of whom.

use crate::problem::{Problem, XtaskError};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;

/// What one crate may depend on.
struct Rule {
    /// Package name.
    package: &'static str,
    /// Workspace crates that it may name in `[dependencies]` or `[build-dependencies]`.
    may_use: &'static [&'static str],
    /// Crates that must not be reached from it by any path of ordinary dependencies.
    never: &'static [&'static [&'static str]],
}

/// Asynchronous work and the network belong to the deployer and the gateway.
const ASYNC: &[&str] = &["tokio", "bollard", "hyper", "futures-util", "rustls"];
/// The same without the crates of certificates.
const NETWORK: &[&str] = &["tokio", "bollard", "hyper", "futures-util"];
/// What could reach the internet stays out of what runs on the operator's side.
const DOWNLOADS: &[&str] = &["reqwest", "object_store"];
/// Talking to people belongs to the command line.
const TERMINAL: &[&str] = &["clap", "indicatif", "anstream", "clap_complete", "clap_mangen"];
/// Pure crates touch no file.
const FILES: &[&str] = &["fs-err", "rustix", "tempfile"];
/// The container engine's client belongs to the deployer.
const ENGINE: &[&str] = &["bollard"];

/// The table. A crate that is not in it is an error: its place is to be thought about when it is made.
const RULES: &[Rule] = &[
    Rule { package: "sovai-core", may_use: &[], never: &[ASYNC, TERMINAL, FILES] },
    Rule { package: "sovai-catalog", may_use: &["sovai-core"], never: &[ASYNC, TERMINAL, FILES] },
    Rule {
        package: "sovai-manifest",
        may_use: &["sovai-core", "sovai-catalog"],
        never: &[ASYNC, TERMINAL, FILES],
    },
    Rule { package: "sovai-store", may_use: &["sovai-core"], never: &[ASYNC, TERMINAL] },
    Rule { package: "sovai-formats", may_use: &["sovai-core"], never: &[ASYNC, TERMINAL, FILES] },
    Rule { package: "sovai-signing", may_use: &["sovai-core"], never: &[ASYNC, TERMINAL, FILES] },
    Rule {
        // From `sovai-signing` it takes the strict JSON reader.
        package: "sovai-listing",
        may_use: &["sovai-core", "sovai-signing"],
        never: &[ASYNC, TERMINAL, FILES],
    },
    Rule { package: "sovai-pki", may_use: &["sovai-core"], never: &[NETWORK, TERMINAL, FILES] },
    Rule {
        // It loads what was witnessed from the evidence log, and what is known of publishers and hubs from the catalogue.
        package: "sovai-trust",
        may_use: &[
            "sovai-core",
            "sovai-catalog",
            "sovai-evidence",
            "sovai-listing",
            "sovai-signing",
            "sovai-store",
        ],
        never: &[ASYNC, TERMINAL],
    },
    Rule {
        package: "sovai-evidence",
        may_use: &["sovai-core", "sovai-signing", "sovai-store"],
        never: &[ASYNC, TERMINAL],
    },
    Rule {
        package: "sovai-policy",
        may_use: &["sovai-core", "sovai-catalog", "sovai-formats", "sovai-manifest"],
        never: &[ASYNC, TERMINAL, FILES],
    },
    Rule {
        package: "sovai-verifier",
        // From `sovai-signing` it takes the list of files that a signature speaks for.
        may_use: &["sovai-core", "sovai-formats", "sovai-signing", "sovai-store"],
        never: &[ASYNC, TERMINAL],
    },
    Rule {
        package: "sovai-sbom",
        may_use: &["sovai-core", "sovai-catalog", "sovai-manifest"],
        never: &[ASYNC, TERMINAL, FILES],
    },
    Rule {
        // Of formats it takes where tensors lie: what changed in a weight file is told by tensor.
        package: "sovai-bundle",
        may_use: &["sovai-core", "sovai-formats", "sovai-signing", "sovai-store", "sovai-verifier"],
        never: &[ASYNC, TERMINAL],
    },
    Rule {
        package: "sovai-deployer",
        may_use: &[
            "sovai-core",
            "sovai-catalog",
            "sovai-manifest",
            "sovai-images",
            "sovai-store",
            "sovai-verifier",
        ],
        never: &[TERMINAL, DOWNLOADS],
    },
    Rule { package: "sovai-gateway", may_use: &["sovai-core"], never: &[TERMINAL, ENGINE, DOWNLOADS] },
    Rule { package: "sovai-http", may_use: &["sovai-core"], never: &[TERMINAL, ENGINE] },
    Rule {
        package: "sovai-registry",
        may_use: &["sovai-core", "sovai-http", "sovai-store"],
        never: &[TERMINAL, ENGINE],
    },
    Rule {
        package: "sovai-sources",
        may_use: &[
            "sovai-core",
            "sovai-http",
            "sovai-listing",
            "sovai-registry",
            "sovai-store",
            "sovai-verifier",
        ],
        never: &[TERMINAL, ENGINE],
    },
    Rule { package: "sovai-images", may_use: &["sovai-core", "sovai-store"], never: &[ASYNC, TERMINAL] },
    Rule {
        package: "sovai",
        may_use: &[
            "sovai-core",
            "sovai-catalog",
            "sovai-manifest",
            "sovai-store",
            "sovai-verifier",
            "sovai-deployer",
            "sovai-gateway",
            "sovai-formats",
            "sovai-signing",
            "sovai-pki",
            "sovai-trust",
            "sovai-policy",
            "sovai-evidence",
            "sovai-http",
            "sovai-registry",
            "sovai-sources",
            "sovai-images",
            "sovai-bundle",
            "sovai-sbom",
        ],
        never: &[],
    },
    // These look at the product from outside, as its users do: through the binary.
    Rule { package: "sovai-test-hub", may_use: &[], never: &[ENGINE] },
    Rule { package: "sovai-stub-engine", may_use: &[], never: &[TERMINAL, ENGINE] },
    Rule { package: "sovai-e2e", may_use: &["sovai-test-hub"], never: &[ENGINE] },
    Rule { package: "sovai-bench", may_use: &["sovai-test-hub"], never: &[ENGINE] },
    Rule { package: "xtask", may_use: &["sovai", "sovai-manifest", "sovai-policy"], never: &[] },
];

/// Ordinary dependencies between packages, by name. Two versions of one crate are one node.
#[derive(Debug, Default)]
struct Graph {
    members: BTreeSet<String>,
    edges: BTreeMap<String, BTreeSet<String>>,
}

/// Checks the workspace at `root`.
pub(crate) fn check(root: &Path) -> Result<Vec<Problem>, XtaskError> {
    Ok(judge(&read(root)?, RULES))
}

fn read(root: &Path) -> Result<Graph, XtaskError> {
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .other_options(vec![
            "--locked".to_owned(),
            "--filter-platform".to_owned(),
            "x86_64-unknown-linux-gnu".to_owned(),
        ])
        .exec()
        .map_err(|error| XtaskError::Metadata(Box::new(error)))?;
    Ok(Graph::new(&metadata))
}

impl Graph {
    fn new(metadata: &Metadata) -> Self {
        let names: BTreeMap<&PackageId, String> =
            metadata.packages.iter().map(|package| (&package.id, package.name.to_string())).collect();
        let name = |id: &PackageId| names.get(id).cloned().unwrap_or_default();
        let mut graph =
            Self { members: metadata.workspace_members.iter().map(name).collect(), edges: BTreeMap::new() };
        for node in metadata.resolve.iter().flat_map(|resolve| &resolve.nodes) {
            let is_member = metadata.workspace_members.contains(&node.id);
            let targets = node.deps.iter().filter(|dependency| {
                dependency.dep_kinds.iter().any(|kind| match kind.kind {
                    DependencyKind::Normal => true,
                    // What others run while they are built is not in our binary.
                    DependencyKind::Build => is_member,
                    _ => false,
                })
            });
            graph.edges.entry(name(&node.id)).or_default().extend(targets.map(|target| name(&target.pkg)));
        }
        graph
    }

    fn direct(&self, package: &str) -> impl Iterator<Item = &String> {
        self.edges.get(package).into_iter().flatten()
    }

    /// The shortest way from `start` to any of `goals`, both ends included.
    fn path(&self, start: &str, goals: &[&str]) -> Option<Vec<String>> {
        let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
        let mut queue = VecDeque::from([start]);
        while let Some(package) = queue.pop_front() {
            if package != start && goals.contains(&package) {
                let mut path = vec![package.to_owned()];
                let mut here = package;
                while let Some(previous) = came_from.get(here) {
                    path.insert(0, (*previous).to_owned());
                    here = previous;
                }
                return Some(path);
            }
            for next in self.direct(package) {
                if next != start && !came_from.contains_key(next.as_str()) {
                    came_from.insert(next, package);
                    queue.push_back(next);
                }
            }
        }
        None
    }
}

fn judge(graph: &Graph, rules: &[Rule]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for member in &graph.members {
        let Some(rule) = rules.iter().find(|rule| rule.package == member) else {
            problems.push(Problem::error(member, "has no place in the table of xtask/src/direction.rs"));
            continue;
        };
        for used in graph.direct(member).filter(|used| graph.members.contains(*used)) {
            if !rule.may_use.contains(&used.as_str()) {
                problems.push(Problem::error(member, format!("must not depend on {used}")));
            }
        }
        for group in rule.never {
            for forbidden in *group {
                if let Some(path) = graph.path(member, &[forbidden]) {
                    problems.push(Problem::error(
                        member,
                        format!("must not reach {forbidden}, but does: {}", path.join(" -> ")),
                    ));
                }
            }
        }
    }
    for rule in rules.iter().filter(|rule| !graph.members.contains(rule.package)) {
        problems.push(Problem::error(rule.package, "is in the table but not in the workspace"));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[Rule] = &[
        Rule { package: "low", may_use: &[], never: &[&["tokio"]] },
        Rule { package: "high", may_use: &["low"], never: &[] },
    ];

    fn graph(edges: &[(&str, &str)]) -> Graph {
        let mut graph = Graph { members: ["low", "high"].map(str::to_owned).into(), edges: BTreeMap::new() };
        for (from, to) in edges {
            graph.edges.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        graph
    }

    fn messages(graph: &Graph) -> Vec<String> {
        judge(graph, TABLE).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_good_graph_passes() {
        assert_eq!(messages(&graph(&[("high", "low"), ("high", "tokio"), ("low", "serde")])), [""; 0]);
    }

    #[test]
    fn the_wrong_direction_is_found() {
        assert_eq!(messages(&graph(&[("low", "high")])), ["error: low: must not depend on high"]);
    }

    #[test]
    fn a_forbidden_crate_is_found_through_others_by_the_shortest_way() {
        let edges =
            [("low", "a"), ("a", "b"), ("b", "c"), ("c", "tokio"), ("low", "d"), ("d", "tokio"), ("b", "a")];
        assert_eq!(
            messages(&graph(&edges)),
            ["error: low: must not reach tokio, but does: low -> d -> tokio"]
        );
    }

    #[test]
    fn a_crate_without_a_place_and_a_place_without_a_crate_are_found() {
        let mut unknown = graph(&[]);
        unknown.members.remove("high");
        unknown.members.insert("new".to_owned());
        assert_eq!(
            messages(&unknown),
            [
                "error: new: has no place in the table of xtask/src/direction.rs",
                "error: high: is in the table but not in the workspace",
            ]
        );
    }

    #[test]
    fn this_workspace_is_read_and_keeps_to_the_table() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let graph = read(root).unwrap();
        // Edges that must be there, so that an empty graph cannot pass.
        let way = graph.path("sovai", &["bollard"]).unwrap();
        assert_eq!(way, ["sovai", "sovai-deployer", "bollard"]);
        assert!(graph.path("sovai-gateway", &["tokio"]).is_some());
        assert_eq!(judge(&graph, RULES), []);
    }

    #[test]
    fn the_table_names_each_crate_once_and_has_no_circle() {
        let mut graph = Graph::default();
        for rule in RULES {
            assert!(graph.members.insert(rule.package.to_owned()), "{} stands twice", rule.package);
            graph
                .edges
                .insert(rule.package.to_owned(), rule.may_use.iter().map(|&name| name.to_owned()).collect());
        }
        for rule in RULES {
            for used in rule.may_use {
                assert!(graph.members.contains(*used), "{used} is not in the table");
                assert_eq!(
                    graph.path(used, &[rule.package]),
                    None,
                    "{used} and {} use each other",
                    rule.package
                );
            }
        }
    }
}
