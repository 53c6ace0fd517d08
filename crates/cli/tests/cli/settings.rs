use crate::env::TestEnv;

#[test]
fn a_flag_beats_a_variable_beats_a_file() {
    let env = TestEnv::new();
    env.pinned().write("sovai.toml", "output = 'json'");
    let first = |ran: crate::env::Ran| ran.stdout.chars().next();
    assert_eq!(first(env.run("validate stack.yaml")), Some('{'));
    let by_variable = env.finish(env.command(&["validate", "stack.yaml"]).env("SOVAI_OUTPUT", "text"));
    assert_eq!(first(by_variable), Some('v'));
    let by_flag = env.finish(env.command(&["-ojson", "validate", "stack.yaml"]).env("SOVAI_OUTPUT", "text"));
    assert_eq!(first(by_flag), Some('{'));
}

#[test]
fn a_wrong_file_is_exit_3_with_a_hint() {
    let env = TestEnv::new();
    env.pinned().write("sovai.toml", "outptu = 'json'");
    insta::assert_snapshot!(env.run("validate stack.yaml"), @r"
    exit 3
    --- stdout
    --- stderr
    error: configuration [ROOT]/work/sovai.toml: unknown key `outptu`

    hint: did you mean `output`?
    ");
    assert_eq!(env.json("validate stack.yaml")["error"]["hints"][0], "did you mean `output`?");
}

#[test]
fn a_wrong_variable_is_exit_2() {
    let env = TestEnv::new();
    let ran = env.finish(env.command(&["schema"]).env("SOVAI_THREADS", "none"));
    insta::assert_snapshot!(ran, @r"
    exit 2
    --- stdout
    --- stderr
    error: SOVAI_THREADS: expected a number from 1 to 1024, found `none`

    hint: set SOVAI_THREADS to such a value, or unset it
    ");
}

#[test]
fn a_fifo_in_the_place_of_a_configuration_does_not_block() {
    let env = TestEnv::new();
    rustix::fs::mkfifoat(rustix::fs::CWD, env.path("sovai.toml"), rustix::fs::Mode::from_raw_mode(0o600))
        .unwrap();
    let ran = env.run("schema");
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
}
