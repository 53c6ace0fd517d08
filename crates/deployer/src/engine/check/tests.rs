use super::*;
use crate::docker::tests::full_spec;

fn broken(change: impl FnOnce(&mut ContainerSpec)) -> RuleError {
    let mut spec = full_spec();
    change(&mut spec);
    spec.check(None).unwrap_err()
}

#[test]
fn a_spec_that_keeps_the_rules_is_taken() {
    full_spec().check(None).unwrap();
    // Images that must run as any user rely on group 0.
    let mut spec = full_spec();
    spec.user = "2000:0".to_owned();
    spec.check(None).unwrap();
}

#[test]
fn nobody_is_root() {
    for user in
        ["0:0", "0:65532", "65532", "65532:00", "root:root", "00:1", "", "+1:1", "1:1:1", "4294967296:1"]
    {
        let user = user.to_owned();
        assert_eq!(broken(|spec| spec.user.clone_from(&user)), RuleError::User(user.clone()));
    }
    assert_eq!(broken(|spec| spec.groups = vec!["0".to_owned()]), RuleError::Group("0".to_owned()));
    assert_eq!(broken(|spec| spec.groups = vec!["video".to_owned()]), RuleError::Group("video".to_owned()));
}

#[test]
fn no_limit_can_mean_none() {
    assert!(matches!(broken(|spec| spec.memory = 0), RuleError::Limit { what: "memory", .. }));
    assert!(matches!(broken(|spec| spec.pids = 0), RuleError::Limit { what: "process", .. }));
    assert!(matches!(broken(|spec| spec.millicpus = Some(0)), RuleError::Limit { what: "CPU", .. }));
    assert!(matches!(broken(|spec| spec.log_rotation = (0, 1)), RuleError::Limit { .. }));
    assert!(matches!(broken(|spec| spec.log_rotation = (1, 0)), RuleError::Limit { .. }));
}

#[test]
fn nothing_that_gives_power_over_the_host_is_mounted() {
    let sources = [
        "/",
        "/var",
        "/var/run",
        "/run",
        "/var/run/docker.sock",
        "/run/docker.sock",
        "/run/podman/podman.sock",
        "/proc",
        "/proc/1",
        "/sys/fs/cgroup",
        "/dev",
        "/dev/kmsg",
        "/etc",
        "/root",
        "relative",
        "/srv/../etc",
    ];
    for source in sources {
        assert_eq!(
            broken(|spec| spec.mounts[0].source = source.into()),
            RuleError::Source(source.to_owned())
        );
    }
    let own = full_spec().check(Some(Path::new("/srv/weights/engine.sock")));
    assert_eq!(own, Err(RuleError::Source("/srv/weights".to_owned())));
}

#[test]
fn a_link_or_a_socket_does_not_get_around_that() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink("/proc", &link).unwrap();
    assert!(matches!(broken(|spec| spec.mounts[0].source.clone_from(&link)), RuleError::Source(_)));
    let socket = folder.path().join("any.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert!(matches!(broken(|spec| spec.mounts[0].source.clone_from(&socket)), RuleError::Source(_)));
}

#[test]
fn paths_inside_are_absolute_plain_and_there_once() {
    for target in ["/", "models", "/a/../b", "", "/tmp", "/tmp/"] {
        let target = target.to_owned();
        let error = broken(|spec| spec.mounts[0].target.clone_from(&target));
        assert!(matches!(error, RuleError::Target(_)), "{target}");
    }
    for option in ["suid", "size=1m,dev"] {
        let error = broken(|spec| {
            spec.tmpfs.insert("/x".to_owned(), option.to_owned());
        });
        assert!(matches!(error, RuleError::Tmpfs(_)), "{option}");
    }
}

#[test]
fn the_network_is_the_stacks_own() {
    for network in ["host", "bridge", "default", "none", "container:x", "ns:/proc/1/ns/net"] {
        let network = network.to_owned();
        let error = broken(|spec| spec.network = Some(network.clone()));
        assert_eq!(error, RuleError::Network(network));
    }
    assert_eq!(broken(|spec| spec.network = None), RuleError::NoNetwork);
    let free = "127.0.0.1:0".parse().unwrap();
    let error = broken(|spec| {
        spec.publish.insert(1, free);
    });
    assert_eq!(error, RuleError::Port);
}

#[test]
fn names_and_variables_cannot_change_a_request() {
    for text in ["", "a b", "a/../b", "/a", "a//b", "a?b", "a#b", "a%2fb", "a\n", "..", "\u{e4}"] {
        assert!(matches!(name(text), Err(RuleError::Name(_))), "{text}");
    }
    for text in ["sovai-x-g1-engine", "docker.io/a/b:1@sha256:ab", "sha256:ab", "registry:5000/a_b"] {
        name(text).unwrap();
    }
    for key in ["", "A=B", "A\0"] {
        let error = broken(|spec| {
            spec.env.insert(key.to_owned(), String::new());
        });
        assert!(matches!(error, RuleError::Env(_)));
    }
}
