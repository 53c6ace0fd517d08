use super::*;

fn codes(format: Format, texts: &[&str]) -> Vec<Option<&'static str>> {
    texts.iter().map(|text| check_text(format, text).err().map(|problem| problem.code)).collect()
}

fn all(format: Format, code: Option<&'static str>, texts: &[&str]) {
    for text in texts {
        assert_eq!(codes(format, &[text]), [code], "{text:?}");
    }
}

#[test]
fn sources() {
    let good = [
        "file:./a.gguf",
        "file:/abs/dir/",
        "file:../up",
        "file:name with space",
        "hf:org/name",
        "hf:o-1/n.2_x@main",
        "modelscope:ZhipuAI/GLM-5.2-FP8",
        "https://host.example/a",
        "s3://bucket/key",
        "oci:host:5000/a/b:tag",
    ];
    all(Format::Source, None, &good);
    for text in good {
        assert_eq!(parse_source(text).unwrap().to_string(), text, "a source is written back as it was");
    }
    all(
        Format::Source,
        Some("SOV0060"),
        &["", "a.gguf", "./a", "http://a/b", "ftp://a/b", ":a", "HF:org/name"],
    );
    let malformed = [
        "file:",
        "file:///etc",
        "file://host/a",
        "file:a\u{7}",
        "hf:",
        "hf:name",
        "hf:a/b/c",
        "hf:-a/b",
        "hf:a/b c",
        "hf:a/../b",
        "https:a/b",
        "https://",
        "https://host",
        "https:///a",
        "https://host/a b",
        "s3:bucket/key",
        "s3://bucket",
        "s3:///key",
        "oci:",
        "oci:A/b",
    ];
    all(Format::Source, Some("SOV0061"), &malformed);
    all(Format::Source, Some("SOV0037"), &["hf:a/b@", "hf:a/b@..", "hf:a/b@-x"]);
    let secret = parse_source("https://me:hunter2@host/a").unwrap_err();
    assert_eq!(secret.code, "SOV0067");
    assert!(!format!("{secret:?}").contains("hunter2"), "a secret is not shown again");
}

#[test]
fn names_of_sources_that_are_one_file() {
    let name = |text: &str| file_name_of(&parse_source(text).unwrap()).map(str::to_owned);
    assert_eq!(name("file:./w/a.gguf").as_deref(), Some("a.gguf"));
    assert_eq!(name("https://host/w/a.safetensors?download=1").as_deref(), Some("a.safetensors"));
    assert_eq!(name("s3://b/a.bin").as_deref(), Some("a.bin"));
    for folder in [
        "file:./w/a.gguf/",
        "file:./SmolLM2-1.7B",
        "hf:org/model.gguf",
        "oci:host.example/a.bin",
        "file:gguf",
    ] {
        assert_eq!(name(folder), None, "{folder}");
    }
}

#[test]
fn images() {
    let digest = format!("sha256:{}", "a".repeat(64));
    let good = [
        "web",
        "web:1",
        "sovai/engine-llama-cpp:local",
        "host:5000/a/b:v1.2",
        "localhost/a",
        "Reg.Example/a__b/c.d",
        "a/b---c",
        "192.168.0.1:5000/a",
    ];
    all(Format::Image, None, &good);
    for text in good {
        assert_eq!(parse_image(text), Ok((text, None)));
        let pinned = format!("{text}@{digest}");
        assert_eq!(parse_image(&pinned), Ok((text, Some(digest.parse().unwrap()))));
    }
    let bad = [
        "",
        ":tag",
        "Web",
        "a//b",
        "/a",
        "a/",
        "a:",
        "a:-x",
        "a b",
        "a/B",
        "a.-b",
        "-a",
        "a_",
        "a___b",
        "host:0/a",
        "host:99999/a",
        "host:/a",
        "-x.example/a",
        "a:b:c",
        "a\nb",
        "é",
        digest.as_str(),
    ];
    all(Format::Image, Some("SOV0064"), &bad);
    all(Format::Image, Some("SOV0064"), &[&"a".repeat(256), &format!("a:{}", "b".repeat(129))]);
    all(
        Format::Image,
        Some("SOV0031"),
        &["a@", "a@sha256:12", "a@sha512:00", &format!("a@{digest}@{digest}")],
    );
}

#[test]
fn numbers_sizes_and_cpus() {
    let count = Format::Count { min: 1, max: 10 };
    all(count, None, &["1", "10"]);
    all(count, Some("SOV0023"), &["0", "11", "-1", "+1", "01", "0x1", "99999999999999999999999", ""]);
    all(Format::Length, None, &["0", "9223372036854775807"]);
    all(Format::Length, Some("SOV0023"), &["9223372036854775808", "18446744073709551616"]);
    all(Format::Size(1 << 20), None, &["1MiB", "4GiB", "1048576", "8 GB"]);
    all(
        Format::Size(1 << 20),
        Some("SOV0032"),
        &["1", "4G", "4gib", "GiB", "-1MiB", "1.5GiB", "9999999TiB", ""],
    );
    assert_eq!(parse_cpus("1.5"), Ok(1500));
    assert_eq!(parse_cpus("0.001"), Ok(1));
    assert_eq!(parse_cpus("2."), Ok(2000));
    assert_eq!(parse_cpus("4096"), Ok(4_096_000));
    all(Format::Cpus, Some("SOV0038"), &["0", "0.0001", "-1", ".5", "4096.001", "1e3", ".inf", "99999", ""]);
}

#[test]
fn dates_exist() {
    all(Format::Date, None, &["2026-11-24", "2024-02-29", "2000-02-29"]);
    let bad = [
        "2026-02-29",
        "1900-02-29",
        "2026-13-01",
        "2026-00-10",
        "2026-04-31",
        "2026-1-1",
        "24-11-2026",
        "2026-11-24T",
        "",
        "--",
    ];
    all(Format::Date, Some("SOV0033"), &bad);
}

#[test]
fn addresses_names_and_paths() {
    all(Format::Listen, None, &["127.0.0.1:1", "[::1]:8080", "0.0.0.0:65535"]);
    all(
        Format::Listen,
        Some("SOV0039"),
        &["127.0.0.1:0", "127.0.0.1", ":80", "localhost:80", "::1:80", "1.2.3:4", "1.2.3.4:70000", ""],
    );
    all(Format::PublicName, None, &["a", "deepseek-ai/DeepSeek-V4", "gpt-oss:20b"]);
    all(Format::PublicName, Some("SOV0035"), &["", "a b", "é", "a\"b", &"a".repeat(129)]);
    all(Format::EnvKey, Some("SOV0036"), &["", "1A", "A-B", "A=B", "É", &"A".repeat(129)]);
    all(Format::HostPath, None, &["a", "../a b", "/etc/é"]);
    all(Format::HostPath, Some("SOV0052"), &["", "a\0", "file://a", &"a".repeat(4096)]);
    all(Format::Revision, None, &["main", "refs/pr/1", "v1.0_x", &"0".repeat(40)]);
    all(Format::Revision, Some("SOV0037"), &["", "a b", "/a", "a..b", "a//b", "--help", &"a".repeat(201)]);
    let hint = |text: &str| parse_name(text).unwrap_err().hint.unwrap();
    assert_eq!(hint("My_Model.v1"), "write `my-model-v1`");
    assert_eq!(hint("-a-"), "write `a`");
    assert!(hint("é").contains("1 to 63"));
}

#[test]
fn patterns_of_paths() {
    all(Format::Glob, None, &["*.safetensors", "onnx/*", "tokenizer*", "**/a?.json", "a b", "LICENSE", "…*"]);
    let many = "*".repeat(17);
    let long = "x".repeat(257);
    let bad = ["", "/a", "a/", "a//b", "../a", "./a", "{a,b}", "[ab]", "a\\b", "a\tb", &many, &long];
    all(Format::Glob, Some("SOV0053"), &bad);
}

#[test]
fn sources_of_images() {
    let good = [
        "engine",
        "registry",
        "oci-layout:./images",
        "oci-layout:/srv/a@vllm:v1",
        "docker-archive:a.tar",
        "docker-archive:a@b.tar@host:5000/x/y:tag",
    ];
    all(Format::ImageSource, None, &good);
    for text in good {
        assert_eq!(parse_image_source(text).unwrap().to_string(), text);
    }
    let bad = [
        "",
        "a.tar",
        "docker:a",
        "engine:a",
        "oci-layout:",
        "oci-layout:a@",
        "docker-archive:@n",
        "oci-layout:a@b c",
    ];
    all(Format::ImageSource, Some("SOV0068"), &bad);
}

#[test]
fn a_lock_names_a_commit_or_a_digest() {
    let digest = format!("sha256:{}", "0".repeat(64));
    all(Format::LockedRevision, None, &["main", &"c".repeat(40), &digest]);
    all(Format::LockedRevision, Some("SOV0031"), &["sha256:", "sha256:ABC"]);
    all(Format::LockedRevision, Some("SOV0037"), &["", "a:b"]);
}
