use crate::engine::FakeEngine;
use crate::env::TestEnv;
use serde_json::Value;

fn check<'a>(value: &'a Value, name: &str) -> &'a Value {
    let checks = value["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no {name} in {value}"))
}

#[test]
fn an_engine_that_is_down_is_exit_6() {
    let env = TestEnv::new();
    let ran = env.run("doctor");
    assert_eq!(ran.code, 6, "{ran}");
    assert!(
        ran.stdout.starts_with("FAIL  engine        the container engine at unix://[ROOT]/no-engine.sock"),
        "{ran}"
    );
    assert!(ran.stdout.contains("hint: start the container engine"), "{ran}");
    assert!(ran.stdout.contains("\n\nthis host is not able to run sovai: "), "{ran}");
    let value = env.json("doctor");
    assert_eq!(value["kind"], "DoctorResult");
    assert_eq!(check(&value, "engine")["status"], "fail");
    assert_eq!(value["findings"][0]["type"], "check");
    for name in ["platform", "store", "disk", "memory", "accelerators", "clock", "port"] {
        assert!(check(&value, name)["detail"].is_string());
    }
}

#[test]
fn nothing_is_made() {
    let env = TestEnv::new();
    env.run("doctor");
    assert!(!env.root().join("store").exists());
    assert!(env.everything_below("home").is_empty());
    assert!(env.everything_below("work").is_empty());
}

#[test]
fn an_engine_that_answers_is_described() {
    let env = TestEnv::new();
    let engine = FakeEngine::start(env.root(), "1.41");
    let value = env.json(&format!("--host {} doctor", engine.host));
    let detail = check(&value, "engine")["detail"].as_str().unwrap();
    assert!(detail.contains("20.10.24") && detail.contains("API 1.41"), "{detail}");
    assert_eq!(check(&value, "confinement")["detail"], "seccomp");
    assert!(check(&value, "edge-network")["hint"].as_str().unwrap().contains("iptables"));
}

#[test]
fn an_engine_that_is_too_old_is_exit_6() {
    let env = TestEnv::new();
    let engine = FakeEngine::start(env.root(), "1.40");
    let value = env.json(&format!("--host {} doctor", engine.host));
    assert_eq!(value["exitCode"], 6);
    assert!(check(&value, "engine")["detail"].as_str().unwrap().contains("1.40"));
}

#[test]
fn a_store_that_cannot_be_is_exit_7() {
    let env = TestEnv::new();
    let engine = FakeEngine::start(env.root(), "1.41");
    env.write("file", "");
    let value = env.json(&format!("--host {} --store file doctor", engine.host));
    assert_eq!(value["exitCode"], 7);
    assert_eq!(check(&value, "store")["status"], "fail");
}
