//! `plan`, `deploy`, `status`, `logs`, `down`, as far as they come without an engine.

use crate::env::{FILES, IMAGE_PIN, TestEnv, WEIGHTS, manifest};
use sovai_core::Name;
use sovai_store::Store;

#[test]
fn without_an_engine_all_are_exit_6_and_say_so() {
    let env = TestEnv::new();
    env.pinned();
    for (line, kind) in [
        ("plan stack.yaml", "PlanResult"),
        ("deploy stack.yaml", "DeployResult"),
        ("status", "StatusResult"),
        ("status demo", "StatusResult"),
        ("status stack.yaml", "StatusResult"),
        ("logs demo", "LogsResult"),
        ("logs -f --tail 3 ./stack.yaml engine", "LogsResult"),
        ("down demo", "DownResult"),
    ] {
        let value = env.json(line);
        assert_eq!((&value["exitCode"], &value["kind"]), (&6.into(), &kind.into()), "{line}: {value}");
        let message = value["error"]["message"].as_str().unwrap();
        assert!(message.starts_with("the container engine at unix://"), "{line}: {message}");
        assert!(!value["error"]["hints"].as_array().unwrap().is_empty(), "{line}");
    }
}

#[test]
fn what_is_pinned_nowhere_is_exit_5() {
    let env = TestEnv::new();
    env.write("weights/m.gguf", WEIGHTS).write("stack.yaml", manifest("", "", IMAGE_PIN));
    insta::assert_snapshot!(env.run("deploy stack.yaml"), @r"
    exit 5
    --- stdout
    --- stderr
    error: model `assistant` is pinned neither in the manifest nor in its lock

    hint: pin it in the manifest, or make the lock: sovai lock stack.yaml
    ");
    assert_eq!(env.run("plan stack.yaml").code, 5);
}

#[test]
fn a_stack_that_another_sovai_works_on_is_exit_11() {
    let env = TestEnv::new();
    env.pinned();
    let store = Store::open(&env.root().join("store")).unwrap();
    let _held = store.stack(&Name::new("demo").unwrap()).lock("a test").unwrap();
    for command in ["deploy stack.yaml", "down demo"] {
        let ran = env.run(command);
        assert_eq!(ran.code, 11, "{ran}");
        assert!(ran.stderr.contains("is held by") && ran.stderr.contains("a test"), "{ran}");
        assert!(ran.stderr.contains("hint: wait until it has ended"), "{ran}");
    }
}

#[test]
fn a_manifest_that_is_not_there_or_invalid_is_told_from_a_name() {
    let env = TestEnv::new();
    env.write("bad.yaml", manifest("", FILES, IMAGE_PIN).replace("kind: Stack", "kind: Stock"));
    for command in ["plan", "deploy"] {
        assert_eq!(env.run(&format!("{command} none.yaml")).code, 2);
        assert_eq!(env.run(&format!("{command} bad.yaml")).code, 3);
    }
    for command in ["status", "logs", "down"] {
        assert_eq!(env.run(&format!("{command} none.yaml")).code, 2, "{command}: a path");
        assert_eq!(env.run(&format!("{command} folder/none")).code, 2, "{command}: a path");
        assert_eq!(env.run(&format!("{command} Not_A_Name")).code, 2, "{command}");
        assert_eq!(env.run(&format!("{command} bad.yaml")).code, 3, "{command}");
    }
}

#[test]
fn a_rule_that_cannot_be_judged_is_not_passed_over() {
    let env = TestEnv::new();
    env.pinned();
    let manifest = env.read("stack.yaml");
    let cases = [
        ("policy.yaml", 3, manifest.replace("spec:\n", "spec:\n  policy: policy.yaml\n")),
        ("model.sig", 5, manifest.replace("      license:", "      signatures: [model.sig]\n      license:")),
    ];
    for (named, code, text) in cases {
        env.write("ruled.yaml", text);
        for command in ["verify", "plan", "deploy"] {
            // `deploy` looks at the engine before it looks at signatures, and there is none here.
            let code = if (command, code) == ("deploy", 5) { 6 } else { code };
            let ran = env.run(&format!("{command} ruled.yaml"));
            assert_eq!(ran.code, code, "{command}: {ran}");
            assert!(code == 6 || ran.to_string().contains(named), "{command}: {ran}");
        }
    }
}
