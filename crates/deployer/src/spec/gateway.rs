//! The gateway's container and its configuration.

use super::{INNER_URL, KEY_DIGESTS, KEYS_FOLDER, Ready, Wanted, digest, folder, helper};
use crate::blueprint::{Blueprint, Hidden};
use crate::engine::{BindMount, ContainerSpec, Restart};
use crate::labels::GATEWAY;
use sovai_core::RelPath;
use sovai_manifest::Auth;
use std::collections::BTreeMap;
use std::time::Duration;

/// Where the gateway finds its configuration.
const GATEWAY_CONFIG: &str = "/etc/sovai/config";
/// Where the gateway finds the digests of its keys: a folder of its own, so that a new key needs no new container.
const GATEWAY_KEYS: &str = "/etc/sovai/keys";
/// The gateway's port inside its container.
const GATEWAY_PORT: u16 = 8080;
/// Plain http on the container's own loopback, for the deploy question.
const GATEWAY_INNER: &str = "127.0.0.1:8081";
/// Metrics, on the internal network only.
const GATEWAY_METRICS: &str = "0.0.0.0:9090";
/// Memory of the gateway: it holds at most its connections' buffers.
const GATEWAY_MEMORY: u64 = 256 << 20;
/// How long the gateway may take to listen: it loads nothing.
const GATEWAY_DEADLINE: Duration = Duration::from_secs(30);

/// The gateway, when the manifest asks for one.
pub(super) fn gateway(blueprint: &Blueprint<'_>) -> Option<Wanted> {
    let gateway = blueprint.manifest.gateway.as_ref()?;
    let routes: serde_json::Map<String, serde_json::Value> = gateway
        .routes
        .iter()
        .filter_map(|(public, name)| {
            let service = blueprint.manifest.services.get(name)?;
            let profile = sovai_catalog::engine(service.engine.as_deref()?)?;
            let upstream = format!("http://{name}:{}", profile.port);
            Some((public.clone(), serde_json::json!({ "upstream": upstream, "model": service.model })))
        })
        .collect();
    let mut files = Vec::new();
    let mut add = |path: &str, bytes: &[u8]| {
        if let Ok(path) = RelPath::new(path) {
            files.push((path, Hidden(bytes.to_vec())));
        }
    };
    let tls = blueprint.tls.as_ref().map(|tls| {
        add("tls/cert.pem", &tls.cert);
        add("tls/key.pem", &tls.key.0);
        if let Some(anchors) = &tls.client_ca {
            add("tls/client-ca.pem", anchors);
        }
        serde_json::json!({
            "cert": format!("{GATEWAY_CONFIG}/tls/cert.pem"),
            "key": format!("{GATEWAY_CONFIG}/tls/key.pem"),
            "clientCa": tls.client_ca.as_ref().map(|_| format!("{GATEWAY_CONFIG}/tls/client-ca.pem")),
        })
    });
    let keys = (gateway.auth == Auth::Keys).then(|| format!("{GATEWAY_KEYS}/{KEY_DIGESTS}"));
    let config = serde_json::json!({
        "apiVersion": "sovai/v1",
        "kind": "GatewayConfig",
        "listen": format!("0.0.0.0:{GATEWAY_PORT}"),
        "inner": GATEWAY_INNER,
        "metrics": GATEWAY_METRICS,
        "tls": tls,
        "keys": keys,
        "routes": routes,
    });
    add("gateway.json", format!("{config:#}\n").as_bytes());
    let folder = folder("gateway", files);
    let mut mounts =
        vec![BindMount { source: blueprint.stack_dir.join(&folder.name), target: GATEWAY_CONFIG.to_owned() }];
    if keys.is_some() {
        mounts.push(BindMount {
            source: blueprint.stack_dir.join(KEYS_FOLDER),
            target: GATEWAY_KEYS.to_owned(),
        });
    }
    let template = ContainerSpec {
        args: vec!["gateway".to_owned(), "--config".to_owned(), format!("{GATEWAY_CONFIG}/gateway.json")],
        mounts,
        memory: GATEWAY_MEMORY.min(blueprint.host_memory),
        restart: Restart::UnlessStopped,
        aliases: vec![GATEWAY.to_owned()],
        publish: BTreeMap::from([(GATEWAY_PORT, gateway.listen)]),
        stop_timeout: 30,
        ..helper(blueprint, GATEWAY)
    };
    Some(Wanted {
        service: GATEWAY.to_owned(),
        digest: digest(&template),
        folders: vec![folder],
        ready: Some(Ready {
            url: format!("{INNER_URL}/healthz"),
            status: 200,
            body: None,
            deadline: GATEWAY_DEADLINE,
            own_deadline: GATEWAY_DEADLINE,
        }),
        model: None,
        waits: false,
        template,
    })
}
