//! A real open model in a real inference engine.

use crate::docker::{docker, inspect};
use crate::http::{chat, curl};
use crate::isolation::{connects_nowhere, python_probe};
use crate::setup::{Setup, alone, say};
use crate::stack::Stack;
use serde_json::{Value, json};
use std::path::PathBuf;

const FILE: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";
const SIZE: u64 = 98_362_432;
const SHA256: &str = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";

/// The real weights, and their pins.
pub(crate) fn weights(setup: &Setup) -> (PathBuf, Value) {
    let pins = json!([{ "path": FILE, "size": SIZE, "sha256": SHA256 }]);
    (setup.shared.weights.join(FILE), pins)
}

fn real(setup: &Setup) -> (Stack, Value) {
    let (path, pins) = weights(setup);
    let stack = Stack::new(setup);
    let mut manifest = stack.manifest();
    let spec = &mut manifest["spec"];
    spec["models"]["assistant"]["source"] = json!(format!("file:{}", path.display()));
    spec["models"]["assistant"]["files"] = pins;
    let (name, id) = &setup.shared.engine_image;
    spec["services"]["engine"]["image"] = json!({ "name": name, "id": id });
    spec["services"]["engine"]["context"] = json!(4096);
    spec["services"]["engine"]["resources"] = json!({ "memory": "2GiB", "pids": 200 });
    (stack, manifest)
}

#[test]
fn the_real_model_answers_from_inside_hardened_containers() {
    let Some(setup) = alone() else { return };
    let (stack, manifest) = real(&setup);
    let ran = stack.up(&manifest);
    assert!(ran.stdout.contains("Kuala Lumpur"), "{ran}");
    say(&format!("time: first deploy of the real stack, 94 MiB of weights: {:?}", ran.took));
    let again = stack.deploy().expect(0);
    say(&format!("time: deploy of the real stack again: {:?}", again.took));

    answers(&stack);
    for service in ["engine", "gateway"] {
        hardened(&inspect("container", &stack.container(service)), service);
    }
    let engine = inspect("container", &stack.container("engine"));
    assert_eq!(engine["HostConfig"]["Memory"], json!(2_u64 << 30));
    assert_eq!(engine["HostConfig"]["PidsLimit"], json!(200));
    assert_eq!(engine["NetworkSettings"]["Ports"], json!({}), "an engine publishes nothing");
    assert_eq!(engine["Image"], json!(setup.shared.engine_image.1));
    shut_in(&stack);
    connects_nowhere(&stack, python_probe);
}

fn answers(stack: &Stack) {
    assert!(stack.answers().contains("Kuala Lumpur"));
    let models = stack.get("/v1/models").expect(200).json();
    let names: Vec<&str> =
        models["data"].as_array().unwrap().iter().filter_map(|model| model["id"].as_str()).collect();
    assert_eq!(names, ["assistant"]);

    let body = chat("assistant", "What is the capital of Malaysia?", true);
    let stream = curl(&[
        "--no-buffer",
        "--header",
        &stack.bearer(),
        "--header",
        "Content-Type: application/json",
        "--data",
        &body,
        &stack.url("/v1/chat/completions"),
    ])
    .expect(200);
    let events: Vec<&str> = stream.body.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    assert_eq!(events.last().copied(), Some("[DONE]"), "{stream:?}");
    let text: String = events
        .iter()
        .filter_map(|event| serde_json::from_str::<Value>(event).ok())
        .filter_map(|event| Some(event.pointer("/choices/0/delta/content")?.as_str()?.to_owned()))
        .collect();
    assert!(text.contains("Kuala Lumpur"), "{text}");
    assert!(events.len() > 5, "a stream comes in pieces: {events:?}");
}

/// The engine's own record of how a container is shut in.
fn hardened(container: &Value, service: &str) {
    let (host, config) = (&container["HostConfig"], &container["Config"]);
    let raw = container.to_string();
    assert_eq!(host["ReadonlyRootfs"], true, "{service}");
    assert_eq!(host["CapDrop"], json!(["ALL"]), "{service}");
    assert!(host["CapAdd"].as_array().is_none_or(Vec::is_empty), "{service}: {}", host["CapAdd"]);
    let options: Vec<&str> =
        host["SecurityOpt"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(options.iter().any(|option| option.starts_with("no-new-privileges")), "{service}: {options:?}");
    assert!(!options.iter().any(|option| option.contains("unconfined")), "{service}: {options:?}");
    assert_eq!(config["User"], "65532:65532", "{service}");
    assert_eq!(host["Privileged"], false, "{service}");
    assert!(host["PidsLimit"].as_i64().is_some_and(|pids| (1..=4096).contains(&pids)), "{service}");
    let memory = host["Memory"].as_u64().unwrap();
    assert!(memory > 0, "{service}");
    assert_eq!(host["MemorySwap"].as_u64(), Some(memory), "{service}: swap beyond its memory");
    assert_eq!(host["RestartPolicy"]["Name"], "unless-stopped", "{service}");
    assert_eq!(host["LogConfig"]["Config"]["max-file"], "3", "{service}");
    assert!(host["LogConfig"]["Config"]["max-size"].is_string(), "{service}");
    for mode in ["NetworkMode", "PidMode", "IpcMode", "UTSMode", "UsernsMode"] {
        assert_ne!(host[mode], "host", "{service}: {mode}");
    }
    assert!(host["Devices"].as_array().is_none_or(Vec::is_empty), "{service}");
    assert!(!raw.contains("docker.sock"), "{service} is given the engine's socket");
    let binds = host["Binds"].as_array().cloned().unwrap_or_default();
    assert!(
        binds.iter().all(|bind| bind.as_str().unwrap().split(':').any(|o| o.split(',').any(|o| o == "ro")))
    );
    let mounts = container["Mounts"].as_array().unwrap();
    assert!(!mounts.is_empty(), "{service} mounts something");
    for mount in mounts {
        assert_eq!((&mount["Type"], &mount["RW"]), (&json!("bind"), &json!(false)), "{service}: {mount}");
    }
    if let Some(tmpfs) = host["Tmpfs"].as_object() {
        for (path, options) in tmpfs {
            let options = options.as_str().unwrap();
            assert!(options.contains("size=") && options.contains("nosuid"), "{service}: {path} {options}");
        }
    }
}

/// The same from inside: what the kernel says.
fn shut_in(stack: &Stack) {
    let script = r#"
import errno, json, os
def trial(work):
    try:
        work()
        return "done"
    except OSError as error:
        return errno.errorcode[error.errno]
status = dict(line.split(":\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\t" in line)
model = next(os.path.join(d, f) for d, _, fs in os.walk("/models") for f in fs)
print(json.dumps({
    "root": trial(lambda: os.open("/x", os.O_CREAT | os.O_WRONLY)),
    "beside": trial(lambda: os.open(os.path.dirname(model) + "/x", os.O_CREAT | os.O_WRONLY)),
    "model_mount_is_read_only": bool(os.statvfs(model).f_flag & os.ST_RDONLY),
    "model": trial(lambda: os.open(model, os.O_WRONLY)) in ("EROFS", "EACCES"),
    "tmp": trial(lambda: os.open("/tmp/x", os.O_CREAT | os.O_WRONLY)),
    "root_user": trial(lambda: os.setuid(0)),
    "chroot": trial(lambda: os.chroot("/tmp")),
    "uid": os.getuid(), "gid": os.getgid(),
    "caps": [status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")],
    "nnp": status["NoNewPrivs"], "seccomp": status["Seccomp"],
}))
"#;
    let seen = docker(&["exec", &stack.container("engine"), "python3", "-c", script]);
    let seen: Value = serde_json::from_str(&seen).unwrap();
    let none = "0000000000000000";
    let expected = json!({
        "root": "EROFS", "beside": "EROFS", "model": true, "model_mount_is_read_only": true, "tmp": "done", "root_user": "EPERM", "chroot": "EPERM",
        "uid": 65532, "gid": 65532, "caps": [none, none, none, none, none], "nnp": "1", "seccomp": "2",
    });
    assert_eq!(seen, expected);
    // The server itself, not only what is run beside it.
    let server = docker(&[
        "exec",
        &stack.container("engine"),
        "python3",
        "-c",
        "print(open('/proc/1/status').read())",
    ]);
    for line in
        ["NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000000", "Uid:\t65532\t65532\t65532\t65532"]
    {
        assert!(server.contains(line), "{line} is not in {server}");
    }
}
