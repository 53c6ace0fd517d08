use super::*;
use serde_json::json;

fn state(state: &serde_json::Value, restarts: i64) -> ContainerState {
    let found = json!({
        "Id": "ab", "Name": "/x", "Image": format!("sha256:{}", "a".repeat(64)), "RestartCount": restarts,
        "State": state, "Config": {"Labels": {"k": "v"}},
        "HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}], "53/udp": [{"HostIp": "", "HostPort": "53"}]}},
        "NetworkSettings": {"Ports": {"80/tcp": null}, "Networks": {"b": {}, "a": {}}}
    });
    container("x", serde_json::from_value(found).unwrap()).unwrap()
}

#[test]
fn a_container_that_never_ran_has_no_exit_code() {
    let never = json!({"Status": "created", "ExitCode": 127, "Error": "no such file\u{1b}", "StartedAt": NEVER, "FinishedAt": NEVER});
    let found = state(&never, 0);
    assert_eq!(found.status, ContainerStatus::Created);
    assert_eq!(found.exit_code, None);
    assert_eq!(found.started_at, None);
    assert_eq!(found.error.as_deref(), Some("no such file\\x1b"));
    assert_eq!(found.name, "x");
    assert_eq!(found.networks, ["a", "b"]);
    assert_eq!(found.published, BTreeMap::from([(80, vec!["0.0.0.0:8080".parse().unwrap()])]));
}

#[test]
fn a_container_that_ended_has_one_and_one_that_runs_again_has_not() {
    let ended = json!({"Status": "exited", "ExitCode": 3, "OOMKilled": true, "Error": "", "StartedAt": "2026-01-01T00:00:00Z", "FinishedAt": "2026-01-01T00:00:01Z"});
    let found = state(&ended, 0);
    assert_eq!((found.exit_code, found.oom_killed, found.error), (Some(3), true, None));
    let again = json!({"Status": "running", "ExitCode": 0, "StartedAt": "2026-01-01T00:00:02Z", "FinishedAt": "2026-01-01T00:00:01Z"});
    let found = state(&again, 2);
    assert_eq!((found.status, found.exit_code, found.restarts), (ContainerStatus::Running, None, 2));
    let between = json!({"Status": "restarting", "ExitCode": 1, "FinishedAt": "2026-01-01T00:00:01Z"});
    assert_eq!(state(&between, 2).exit_code, Some(1));
    assert_eq!(state(&json!({"Status": "paused"}), 0).status, ContainerStatus::Other);
}

#[test]
fn a_port_that_the_engine_chose_wins_over_what_was_asked() {
    let map: PortMap = serde_json::from_value(json!({
        "80/tcp": [{"HostIp": "::1", "HostPort": "2"}, {"HostIp": "127.0.0.1", "HostPort": "1"}],
        "81/tcp": [], "82/tcp": [{"HostIp": "nonsense", "HostPort": "1"}], "x/tcp": [{"HostPort": "1"}]
    }))
    .unwrap();
    let places = vec!["127.0.0.1:1".parse().unwrap(), "[::1]:2".parse().unwrap()];
    assert_eq!(ports(map), BTreeMap::from([(80, places)]));
}

#[test]
fn an_id_may_lack_its_algorithm_but_not_its_digits() {
    let hex = "a".repeat(64);
    assert_eq!(id("x", Some(&hex)).unwrap(), id("x", Some(&format!("sha256:{hex}"))).unwrap());
    assert!(id("x", None).is_err());
    assert!(id("x", Some("sha512:ab")).is_err());
}

#[test]
fn what_the_engine_cannot_limit_is_listed() {
    let version =
        serde_json::from_value(json!({"Version": "1", "ApiVersion": "1.41", "Arch": "arm64"})).unwrap();
    let state = serde_json::from_value(json!({
        "MemoryLimit": true, "SwapLimit": false, "PidsLimit": false, "MemTotal": 5, "NCPU": 2,
        "Runtimes": {"runc": {}, "nvidia": {}}, "Architecture": "aarch64"
    }))
    .unwrap();
    let found = info(version, state);
    assert_eq!(found.missing_limits, ["swap", "pids"]);
    assert_eq!(found.runtimes, ["nvidia", "runc"]);
    assert_eq!((found.arch.as_str(), found.memory, found.cpus), ("arm64", 5, 2));
    assert_eq!(platform_arch("x86_64".to_owned()), "amd64");
}
