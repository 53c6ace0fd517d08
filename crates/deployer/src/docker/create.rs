//! What is asked of the engine when a container or a network is made. All hardening stands here; nothing switches
//! any of it off.

use crate::engine::{ContainerSpec, NetworkSpec, Restart};
use bollard::models::{
    ContainerCreateBody, DeviceRequest, EndpointSettings, HealthConfig, HostConfig, HostConfigLogConfig,
    Mount, MountBindOptions, MountBindOptionsPropagationEnum, MountType, NetworkCreateRequest,
    NetworkingConfig, PortBinding, RestartPolicy, RestartPolicyNameEnum,
};
use std::collections::{BTreeMap, HashMap};

/// The body of a request for a container.
pub(super) fn container(spec: &ContainerSpec) -> ContainerCreateBody {
    let network = spec.network.clone().unwrap_or_else(|| "none".to_owned());
    let endpoint = EndpointSettings {
        aliases: (!spec.aliases.is_empty()).then(|| spec.aliases.clone()),
        ..EndpointSettings::default()
    };
    let networking = spec
        .network
        .as_ref()
        .map(|name| NetworkingConfig { endpoints_config: Some(HashMap::from([(name.clone(), endpoint)])) });
    ContainerCreateBody {
        hostname: Some(spec.hostname.clone()),
        user: Some(spec.user.clone()),
        attach_stdin: Some(false),
        attach_stdout: Some(false),
        attach_stderr: Some(false),
        open_stdin: Some(false),
        tty: Some(false),
        exposed_ports: Some(spec.publish.keys().map(|port| port_key(*port)).collect()),
        env: Some(spec.env.iter().map(|(key, value)| format!("{key}={value}")).collect()),
        entrypoint: spec.entrypoint.clone(),
        // Given also when empty, so that the image's own arguments never slip in.
        cmd: Some(spec.args.clone()),
        image: Some(spec.image.to_string()),
        // Readiness is probed by sovai; a check out of the image would run commands that nobody asked for.
        healthcheck: Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() }),
        labels: Some(unsorted(&spec.labels)),
        stop_timeout: Some(i64::from(spec.stop_timeout)),
        host_config: Some(host(spec, network)),
        networking_config: networking,
        ..ContainerCreateBody::default()
    }
}

fn host(spec: &ContainerSpec, network: String) -> HostConfig {
    let memory = i64::try_from(spec.memory).unwrap_or(i64::MAX);
    HostConfig {
        // The root file system cannot be written; what must be is a tmpfs of a bounded size.
        readonly_rootfs: Some(true),
        tmpfs: Some(unsorted(&spec.tmpfs)),
        // No capability, and no way to gain one. The engine's own seccomp and AppArmor profiles stay in force: they
        // are on unless something here named another.
        cap_drop: Some(vec!["ALL".to_owned()]),
        cap_add: Some(Vec::new()),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        privileged: Some(false),
        group_add: Some(spec.groups.clone()),
        devices: Some(Vec::new()),
        // Namespaces of its own.
        ipc_mode: Some("private".to_owned()),
        pid_mode: Some(String::new()),
        uts_mode: Some(String::new()),
        network_mode: Some(network),
        // The engine's own resolver knows the names of the stack. What it does not know it passes on, and to a resolver on
        // the host's loopback it does so from the host's side, for an internal network too (CVE-2024-29018): a way out.
        // A server that is named here is asked from inside the container, where nobody listens.
        dns: Some(vec!["127.0.0.1".to_owned()]),
        // Limits. Swap beyond the memory limit would let a container slow the whole host down.
        memory: Some(memory),
        memory_swap: Some(memory),
        nano_cpus: spec.millicpus.map(|millis| i64::from(millis) * 1_000_000),
        pids_limit: Some(i64::from(spec.pids)),
        oom_kill_disable: Some(false),
        shm_size: spec.shm.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
        // As mounts, not as binds: with a bind the engine would make a missing source as an empty folder.
        mounts: Some(spec.mounts.iter().map(mount).collect()),
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some(HashMap::from([
                ("max-size".to_owned(), spec.log_rotation.0.to_string()),
                ("max-file".to_owned(), spec.log_rotation.1.to_string()),
            ])),
        }),
        restart_policy: Some(RestartPolicy {
            name: Some(match spec.restart {
                Restart::No => RestartPolicyNameEnum::NO,
                Restart::UnlessStopped => RestartPolicyNameEnum::UNLESS_STOPPED,
            }),
            maximum_retry_count: None,
        }),
        auto_remove: Some(false),
        init: Some(false),
        publish_all_ports: Some(false),
        port_bindings: Some(
            spec.publish
                .iter()
                .map(|(inside, outside)| {
                    let binding = PortBinding {
                        host_ip: Some(outside.ip().to_string()),
                        host_port: Some(outside.port().to_string()),
                    };
                    (port_key(*inside), Some(vec![binding]))
                })
                .collect(),
        ),
        device_requests: spec.gpus.as_ref().map(|request| {
            vec![DeviceRequest {
                driver: Some(request.driver.clone()),
                count: request.count.map(i64::from),
                device_ids: (!request.ids.is_empty()).then(|| request.ids.clone()),
                capabilities: Some(vec![request.capabilities.clone()]),
                options: None,
            }]
        }),
        ..HostConfig::default()
    }
}

fn mount(mount: &crate::engine::BindMount) -> Mount {
    Mount {
        target: Some(mount.target.clone()),
        source: Some(mount.source.display().to_string()),
        typ: Some(MountType::BIND),
        read_only: Some(true),
        bind_options: Some(MountBindOptions {
            propagation: Some(MountBindOptionsPropagationEnum::RPRIVATE),
            ..MountBindOptions::default()
        }),
        ..Mount::default()
    }
}

/// The body of a request for a network.
pub(super) fn network(spec: &NetworkSpec) -> NetworkCreateRequest {
    NetworkCreateRequest {
        name: spec.name.clone(),
        driver: Some("bridge".to_owned()),
        internal: Some(spec.internal),
        // Attachable and ingress are of swarms.
        attachable: Some(false),
        ingress: Some(false),
        // What keeps engines from reaching out is written for IPv4; IPv6 would be a way around it.
        enable_ipv6: Some(false),
        options: Some(unsorted(&spec.options)),
        labels: Some(unsorted(&spec.labels)),
        ..NetworkCreateRequest::default()
    }
}

fn port_key(port: u16) -> String {
    format!("{port}/tcp")
}

fn unsorted(map: &BTreeMap<String, String>) -> HashMap<String, String> {
    map.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}
