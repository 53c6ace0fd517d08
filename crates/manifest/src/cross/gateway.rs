//! Rules on the gateway.

use super::Context;
use crate::diagnostic::{Sink, quoted};
use crate::format::parse_listen;
use crate::node::Node;
use sovai_catalog::suggest;

pub(super) fn gateway(node: &Node, context: &Context<'_>, sink: &mut Sink<'_>) {
    for entry in node.get("routes").map_or(&[] as &[_], Node::entries) {
        route(&entry.value, context, sink);
    }
    let Some(listen) = node.get("listen") else { return };
    let Some(Ok(address)) = listen.text().map(parse_listen) else { return };
    let tls = node.get("tls").is_some();
    let plaintext = node.entry("plaintext");
    if !address.ip().is_loopback() {
        if !tls && plaintext.is_none() {
            sink.error_hint(
                "SOV0090",
                &listen.span,
                format!("{} is not a loopback address and there is no TLS", address.ip()),
                "add `tls: { cert, key }`; or write `plaintext: allowed` if something in front speaks TLS"
                    .to_owned(),
            );
        }
        if node.get("auth").and_then(Node::text) == Some("none") {
            sink.warning(
                "SOV0091",
                &listen.span,
                "anybody who reaches this address may ask, as `auth: none` says",
                "delete `auth: none`, so that keys are needed".to_owned(),
            );
        }
    }
    if let Some(plaintext) = plaintext.filter(|_| tls) {
        sink.warning(
            "SOV0092",
            &plaintext.key_span,
            "`plaintext` has no effect beside `tls`",
            "delete it".to_owned(),
        );
    }
}

fn route(target: &Node, context: &Context<'_>, sink: &mut Sink<'_>) {
    let Some(name) = target.name() else { return };
    let Some(service) = context.services.iter().find(|service| service.key == name) else {
        let names = context.services.iter().map(|service| service.key.as_str());
        let hint = suggest(name, names).map(|near| format!("did you mean `{near}`?"));
        sink.error_hint("SOV0071", &target.span, format!("there is no service {}", quoted(name)), hint);
        return;
    };
    if service.value.get("engine").is_none() {
        sink.error_hint(
            "SOV0076",
            &target.span,
            format!("the service {} is no inference server", quoted(name)),
            "give it an `engine`, or name another service".to_owned(),
        );
    }
}
