//! The data files of the models, as they are built into the binary; a test compares the list with the folder.

macro_rules! catalog {
    ($name:literal) => {
        ($name, include_str!(concat!("../../../../manifests/catalog/", $name)))
    };
}

/// Names and texts of the files under `manifests/catalog/`.
pub(super) const FILES: &[(&str, &str)] = &[
    catalog!("deepseek-v3.toml"),
    catalog!("deepseek-v4.toml"),
    catalog!("glm.toml"),
    catalog!("gpt-oss.toml"),
    catalog!("kimi-k2.toml"),
    catalog!("minimax.toml"),
    catalog!("mistral.toml"),
    catalog!("qwen3.5.toml"),
    catalog!("qwen3.6.toml"),
    catalog!("qwen3.toml"),
    catalog!("seed-oss.toml"),
    catalog!("smollm2.toml"),
];
