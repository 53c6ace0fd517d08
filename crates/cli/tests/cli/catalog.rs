//! The catalogue as a person meets it.

use crate::env::TestEnv;

#[test]
fn a_search_shows_a_table_and_no_hit_is_an_answer() {
    let env = TestEnv::new();
    insta::assert_snapshot!(env.run("catalog search kimi ascend"), @r"
    exit 0
    --- stdout
    id         parameters  license            context  size    tested
    kimi-k2.6  1T / 32B    Kimi-Modified-MIT  262144   595 GB  elsewhere
    kimi-k2.5  1T / 32B    Kimi-Modified-MIT  262144   595 GB  elsewhere
    2 models
    --- stderr
    ");
    insta::assert_snapshot!(env.run("catalog search deepseek-v4-flahs"), @r"
    exit 0
    --- stdout
    nothing in the catalogue has all of `deepseek-v4-flahs`; did you mean `deepseek-v4-flash`?
    --- stderr
    ");
    let value = env.json("catalog search nothing-of-the-kind");
    assert_eq!((&value["kind"], &value["exitCode"]), (&"CatalogResult".into(), &0.into()));
    assert_eq!(value["models"], serde_json::json!([]));
    assert_eq!(env.run("catalog search").code, 2);
}

#[test]
fn the_list_has_every_model_once() {
    let env = TestEnv::new();
    let value = env.json("catalog list");
    let ids: Vec<&str> =
        value["models"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    let text = env.run("catalog list").stdout;
    for id in &ids {
        assert_eq!(text.lines().filter(|line| line.split(' ').next() == Some(id)).count(), 1, "{id}");
    }
    assert!(text.ends_with(&format!("\n{} models\n", ids.len())), "{text}");
    for family in [
        "deepseek-v4-pro",
        "kimi-k2.6",
        "qwen3.6-27b",
        "glm-5.2",
        "minimax-m2.7",
        "seed-oss-36b",
        "gpt-oss-20b",
    ] {
        assert!(ids.contains(&family), "{family}");
    }
    for model in value["models"].as_array().unwrap() {
        assert!(["here", "elsewhere", "never"].contains(&model["tested"].as_str().unwrap()), "{model}");
    }
}

#[test]
fn a_page_has_every_fact_with_its_source() {
    let env = TestEnv::new();
    insta::assert_snapshot!("catalog_show_minimax", env.run("catalog show minimax-m2.7"));
    let kimi = env.run("catalog show moonshotai/Kimi-K2.6");
    assert_eq!(kimi.code, 0);
    assert!(kimi.stdout.contains("must prominently display"), "{kimi}");
    let seed = env.run("catalog show seed-oss-36b").stdout;
    assert!(seed.contains("Prohibited Uses: military use and surveillance"), "{seed}");
    let value = env.json("catalog show kimi-k2.6");
    let model = &value["models"][0];
    assert_eq!(model["context"]["value"], 262_144);
    assert!(model["context"]["source"].as_str().unwrap().starts_with("https://"));
    assert_eq!(model["variants"][1]["diskBytes"], "unknown");
    assert_eq!(value["licenses"][0]["id"], "LicenseRef-Kimi-Modified-MIT");
    assert!(value["licenses"][0]["duties"][0]["value"].as_str().unwrap().contains("100 million"));
}

#[test]
fn an_id_that_is_not_there_is_exit_2_with_the_nearest() {
    let env = TestEnv::new();
    insta::assert_snapshot!(env.run("catalog show kimi-k26"), @r"
    exit 2
    --- stdout
    --- stderr
    error: the catalogue has no model `kimi-k26`

    hint: did you mean `kimi-k2.6`?
    ");
    insta::assert_snapshot!(env.run("catalog show no-such-thing"), @r"
    exit 2
    --- stdout
    --- stderr
    error: the catalogue has no model `no-such-thing`

    hint: sovai catalog list
    ");
}
