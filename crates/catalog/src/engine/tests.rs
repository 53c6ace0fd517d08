use super::*;

const CONTEXT: ArgContext<'static> = ArgContext {
    model_path: "/models/assistant",
    model_name: "assistant",
    port: 8080,
    context: None,
    tensor: None,
    pipeline: None,
    data: None,
    sequences: None,
    threads: None,
};

#[test]
fn every_profile_is_whole() {
    for profile in engines() {
        let name = &profile.name;
        assert!(profile.source.starts_with("https://"), "{name}");
        for date in std::iter::once(&profile.date).chain(profile.facts.iter().map(|fact| &fact.date)) {
            assert!(date.len() == 10 && date.starts_with("20"), "{name}: {date}");
        }
        assert!(!profile.facts.is_empty(), "{name}");
        assert!(profile.health.path.starts_with('/'), "{name}");
        assert!(profile.port >= 1024, "{name}: a user that is not root cannot bind lower ones everywhere");
        assert!(profile.start_period_s < profile.deadline_s, "{name}");
        let (uid, gid) = profile.user.split_once(':').expect("uid:gid");
        assert!(uid.parse::<u32>().unwrap() > 0 && gid.parse::<u32>().is_ok(), "{name}: not root");
        let tmp = &profile.tmpfs["/tmp"];
        assert!(tmp.contains("nosuid") && tmp.contains("nodev") && tmp.contains("size="), "{name}: {tmp}");
        assert!(
            profile.env.keys().any(|key| key.contains("OFFLINE")),
            "{name}: an engine is told to stay offline"
        );
        let full = ArgContext {
            context: Some(1),
            tensor: Some(1),
            pipeline: Some(1),
            data: Some(1),
            sequences: Some(1),
            threads: Some(1),
            ..CONTEXT
        };
        let words: usize = profile.args.iter().map(|group| group.0.len()).sum();
        assert_eq!(profile.render_args(&full).len(), words, "{name}: a placeholder that nobody fills");
        assert!(!profile.render_args(&full).iter().any(|word| word.contains('{')), "{name}");
    }
    assert_eq!(engine("llama.cpp").unwrap().tested, Tested::Here);
    assert!(engine("llama").is_none());
}

#[test]
fn a_typo_in_a_data_file_is_an_error() {
    let text = include_str!("../../data/engines/vllm.toml").replace("deadline_s", "dead_line_s");
    assert!(toml::from_str::<EngineProfile>(&text).is_err());
}

#[test]
fn llama_cpp_arguments() {
    let profile = engine("llama.cpp").unwrap();
    assert_eq!(profile.entrypoint, None);
    let context = ArgContext { model_path: "/models/assistant/m.gguf", ..CONTEXT };
    insta::assert_snapshot!(profile.render_args(&context).join(" "), @"-m /models/assistant/m.gguf --host 0.0.0.0 --port 8080 --alias assistant --metrics");
    let context = ArgContext { context: Some(4096), sequences: Some(2), threads: Some(8), ..context };
    insta::assert_snapshot!(profile.render_args(&context).join(" "), @"-m /models/assistant/m.gguf --host 0.0.0.0 --port 8080 --alias assistant --metrics -c 4096 --parallel 2");
}

#[test]
fn vllm_arguments() {
    let profile = engine("vllm").unwrap();
    assert_eq!(profile.entrypoint.as_deref(), Some(["vllm".to_owned(), "serve".to_owned()].as_slice()));
    let context = ArgContext {
        port: profile.port,
        context: Some(131_072),
        tensor: Some(8),
        pipeline: Some(2),
        data: Some(4),
        sequences: Some(16),
        ..CONTEXT
    };
    insta::assert_snapshot!(profile.render_args(&context).join(" "), @"/models/assistant --host 0.0.0.0 --port 8000 --served-model-name assistant --max-model-len 131072 --tensor-parallel-size 8 --pipeline-parallel-size 2 --data-parallel-size 4 --max-num-seqs 16");
}

#[test]
fn sglang_arguments() {
    let profile = engine("sglang").unwrap();
    let context = ArgContext { port: profile.port, tensor: Some(8), ..CONTEXT };
    insta::assert_snapshot!(profile.render_args(&context).join(" "), @"--model-path /models/assistant --host 0.0.0.0 --port 30000 --served-model-name assistant --enable-metrics --tp-size 8");
}

#[test]
fn the_profile_of_llama_cpp() {
    let mut profile = engine("llama.cpp").unwrap().clone();
    profile.facts.clear();
    profile.args.clear();
    insta::assert_debug_snapshot!(profile, @r#"
EngineProfile {
    name: "llama.cpp",
    summary: "llama.cpp's server: GGUF models on CPUs and GPUs",
    source: "https://github.com/ggml-org/llama.cpp/tree/master/tools/server",
    date: "2026-11-24",
    tested: Here,
    model: File {
        suffix: ".gguf",
    },
    entrypoint: None,
    args: [],
    port: 8080,
    health: Health {
        path: "/health",
        status: 200,
        body: Some(
            "\"status\":\"ok\"",
        ),
    },
    metrics: Some(
        "/metrics",
    ),
    env: {
        "LLAMA_ARG_OFFLINE": "1",
    },
    tmpfs: {
        "/tmp": "rw,noexec,nosuid,nodev,size=64m,mode=1777",
    },
    user: "65532:65532",
    shm: None,
    memory: None,
    pids: 512,
    start_period_s: 10,
    deadline_s: 900,
    stop_timeout_s: 10,
    facts: [],
}
"#);
}

#[test]
fn options_of_the_profile_are_known() {
    let options: Vec<_> = engine("llama.cpp").unwrap().options().collect();
    assert_eq!(options, ["-m", "--host", "--port", "--alias", "--metrics", "-c", "--parallel"]);
    assert!(!engine("vllm").unwrap().options().any(|option| option.contains("model_path")));
}

#[test]
fn the_file_for_the_engine_is_found() {
    let gguf = ModelShape::File { suffix: ".gguf".into() };
    assert_eq!(gguf.main_file(["LICENSE", "a.gguf"]), Ok(Some("a.gguf")));
    assert_eq!(gguf.main_file(["README.md"]), Err(ShapeError::NoneWithSuffix(".gguf".into())));
    let parts = ["q/m-00002-of-00003.gguf", "q/m-00001-of-00003.gguf", "q/m-00003-of-00003.gguf"];
    assert_eq!(gguf.main_file(parts), Ok(Some("q/m-00001-of-00003.gguf")));
    assert!(matches!(gguf.main_file(["a.gguf", "b.gguf"]), Err(ShapeError::SeveralWithSuffix { .. })));
    assert!(gguf.main_file(["a-00001-of-00002.gguf", "b-00002-of-00002.gguf"]).is_err());
    assert_eq!(ModelShape::Folder.main_file(["config.json"]), Ok(None));
}
