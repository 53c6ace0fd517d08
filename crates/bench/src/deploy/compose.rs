//! The file of Compose that makes the containers that sovai made, from what the container engine says of those.

use super::docker;
use crate::error::BenchError;
use serde_json::{Map, Value, json};

const GATEWAY: &str = "gateway";

/// A file of Compose (JSON is YAML) for the containers and networks of a stack of sovai's that runs now.
pub(crate) fn from_stack(stack: &str) -> Result<Value, BenchError> {
    let label = format!("label=sovai.stack={stack}");
    let inspect = |list: &[&str], inspect: &[&str]| {
        let ids = docker(list)?;
        let args: Vec<&str> = inspect.iter().copied().chain(ids.split_whitespace()).collect();
        serde_json::from_str::<Vec<Value>>(&docker(&args)?)
            .map_err(|error| BenchError::Unfit(format!("docker {}: {error}", args.join(" "))))
    };
    let containers = inspect(&["ps", "-q", "--no-trunc", "--filter", &label], &["container", "inspect"])?;
    let networks =
        inspect(&["network", "ls", "-q", "--no-trunc", "--filter", &label], &["network", "inspect"])?;
    Ok(file(&containers, &networks))
}

/// The gateway's image in that file, by its ID.
pub(crate) fn gateway_image(file: &Value) -> Result<String, BenchError> {
    file["services"][GATEWAY]["image"]
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| BenchError::Unfit("the stack has no gateway".to_owned()))
}

fn file(containers: &[Value], networks: &[Value]) -> Value {
    let named = |object: &Value| object["Labels"]["sovai.service"].as_str().unwrap_or("unnamed").to_owned();
    let services: Map<_, _> = containers
        .iter()
        .map(|container| (named(&container["Config"]), service(container, networks)))
        .collect();
    let nets: Map<_, _> = networks
        .iter()
        .map(|network| {
            let value = json!({
                "driver": network["Driver"],
                "internal": network["Internal"],
                "driver_opts": network["Options"],
            });
            (named(network), value)
        })
        .collect();
    json!({ "version": "2.4", "services": services, "networks": nets })
}

fn service(container: &Value, networks: &[Value]) -> Value {
    let (config, host) = (&container["Config"], &container["HostConfig"]);
    let id = container["Id"].as_str().unwrap_or_default();
    let mut nets = Map::new();
    for network in networks {
        let joined = &container["NetworkSettings"]["Networks"][network["Name"].as_str().unwrap_or_default()];
        let Some(aliases) = joined["Aliases"].as_array() else { continue };
        // The engine adds the container's short ID itself.
        let aliases: Vec<_> =
            aliases.iter().filter(|alias| !alias.as_str().is_some_and(|name| id.starts_with(name))).collect();
        let name = network["Labels"]["sovai.service"].as_str().unwrap_or("unnamed");
        nets.insert(name.to_owned(), json!({ "aliases": aliases }));
    }
    let mounts: Vec<_> = list(&host["Mounts"])
        .map(|mount| {
            json!({
                "type": mount["Type"],
                "source": mount["Source"],
                "target": mount["Target"],
                "read_only": mount["ReadOnly"],
            })
        })
        .collect();
    let tmpfs: Vec<_> = object(&host["Tmpfs"])
        .map(|(path, options)| format!("{path}:{}", options.as_str().unwrap_or_default()))
        .collect();
    let ports: Vec<_> = object(&host["PortBindings"])
        .flat_map(|(port, bindings)| {
            list(bindings).map(move |binding| {
                let text = |name: &str| binding[name].as_str().unwrap_or_default().to_owned();
                format!("{}:{}:{port}", text("HostIp"), text("HostPort"))
            })
        })
        .collect();
    json!({
        "image": container["Image"],
        "entrypoint": config["Entrypoint"],
        "command": config["Cmd"],
        "user": config["User"],
        "hostname": config["Hostname"],
        "environment": config["Env"],
        "healthcheck": { "disable": true },
        "stop_grace_period": format!("{}s", config["StopTimeout"].as_u64().unwrap_or(10)),
        "read_only": host["ReadonlyRootfs"],
        "cap_drop": host["CapDrop"],
        "security_opt": host["SecurityOpt"],
        "mem_limit": host["Memory"],
        "memswap_limit": host["MemorySwap"],
        "pids_limit": host["PidsLimit"],
        "restart": host["RestartPolicy"]["Name"],
        "logging": { "driver": host["LogConfig"]["Type"], "options": host["LogConfig"]["Config"] },
        "tmpfs": tmpfs,
        "volumes": mounts,
        "ports": ports,
        "networks": nets,
    })
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shuts_a_container_in_is_taken_over() {
        let container = json!({
            "Id": "f925827c1a3efbe0",
            "Image": "sha256:36",
            "Config": {
                "Labels": { "sovai.service": "gateway" }, "User": "65532:65532", "Hostname": "gateway", "Env": ["PATH=/"],
                "Entrypoint": ["/sovai"], "Cmd": ["gateway"], "StopTimeout": 30
            },
            "HostConfig": {
                "ReadonlyRootfs": true, "CapDrop": ["ALL"], "SecurityOpt": ["no-new-privileges"], "Memory": 5, "MemorySwap": 5,
                "PidsLimit": 64, "RestartPolicy": { "Name": "unless-stopped" }, "Tmpfs": { "/tmp": "rw,size=64m" },
                "LogConfig": { "Type": "json-file", "Config": { "max-file": "3" } },
                "Mounts": [{ "Type": "bind", "Source": "/s", "Target": "/t", "ReadOnly": true }],
                "PortBindings": { "8080/tcp": [{ "HostIp": "127.0.0.1", "HostPort": "81" }] }
            },
            "NetworkSettings": { "Networks": { "sovai-x-edge": { "Aliases": ["gateway", "f925827c1a3e"] } } }
        });
        let networks = [
            json!({ "Name": "sovai-x-edge", "Driver": "bridge", "Internal": false, "Options": { "o": "false" },
                "Labels": { "sovai.service": "edge" } }),
            json!({ "Name": "sovai-x-g1", "Driver": "bridge", "Internal": true, "Options": { "i": "true" },
                "Labels": { "sovai.service": "internal" } }),
        ];
        let file = file(&[container], &networks);
        let service = &file["services"]["gateway"];
        assert_eq!(service["read_only"], true);
        assert_eq!(service["cap_drop"], json!(["ALL"]));
        assert_eq!(service["security_opt"], json!(["no-new-privileges"]));
        assert_eq!(
            (&service["mem_limit"], &service["memswap_limit"], &service["pids_limit"]),
            (&json!(5), &json!(5), &json!(64))
        );
        assert_eq!(service["tmpfs"], json!(["/tmp:rw,size=64m"]));
        assert_eq!(
            service["volumes"][0],
            json!({"type": "bind", "source": "/s", "target": "/t", "read_only": true})
        );
        assert_eq!(service["ports"], json!(["127.0.0.1:81:8080/tcp"]));
        assert_eq!(service["networks"], json!({ "edge": { "aliases": ["gateway"] } }));
        assert_eq!(
            file["networks"]["internal"],
            json!({ "driver": "bridge", "internal": true, "driver_opts": { "i": "true" } })
        );
        assert_eq!(gateway_image(&file).unwrap(), "sha256:36");
    }
}
