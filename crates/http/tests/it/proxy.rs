//! Proxies, which are named by variables of the process: so the request is made by a child of the test.

use crate::server::{Server, answer};
use crate::{block_on, client, get};
use std::process::Command;

/// Says what the child asks for; without it there is nothing to do.
const URL: &str = "SOVAI_TEST_URL";

/// Run by the test below as a process of its own, with variables set; asks for an address that only a proxy could reach.
#[test]
fn child() {
    if let Ok(url) = std::env::var(URL) {
        drop(block_on(client().send(get(&url))));
    }
}

fn ask(url: &str, variables: &[(&str, &str)]) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "proxy::child"]).env(URL, url);
    for name in [
        "HTTPS_PROXY",
        "https_proxy",
        "HTTP_PROXY",
        "http_proxy",
        "ALL_PROXY",
        "all_proxy",
        "NO_PROXY",
        "no_proxy",
    ] {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn https_goes_through_the_proxy_unless_the_host_is_excepted() {
    let proxy = Server::repeating(answer("502 Bad Gateway", "", ""));
    let address = format!("http://{}", proxy.address());
    // No such host: whoever does not go through the proxy asks nobody.
    let url = "https://models.invalid/x";
    ask(url, &[("HTTPS_PROXY", &address)]);
    assert_eq!(proxy.seen().len(), 1);
    assert!(proxy.seen()[0].starts_with("CONNECT models.invalid:443 "), "{:?}", proxy.seen());
    ask(url, &[("HTTPS_PROXY", &address), ("NO_PROXY", "models.invalid")]);
    ask(url, &[("HTTPS_PROXY", &address), ("NO_PROXY", ".invalid")]);
    ask(url, &[]);
    assert_eq!(proxy.seen().len(), 1, "{:?}", proxy.seen());
}
