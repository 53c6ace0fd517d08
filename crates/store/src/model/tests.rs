use super::*;
use proptest::prelude::*;
use sovai_core::RelPath;

fn pin(path: &str, size: u64, byte: u8) -> FilePin {
    FilePin { path: RelPath::new(path).unwrap(), size, sha256: Sha256::from_bytes([byte; 32]) }
}

#[test]
fn a_manifest_is_these_bytes_and_stays_so() {
    let pins = [pin("weights/model.gguf", 7, 0xbb), pin("config.json", 2, 0xaa)];
    let artifact = ModelArtifact::new(&pins);
    let (aa, bb) = ("aa".repeat(32), "bb".repeat(32));
    let config = format!(
        r#"{{"descriptor":{{}},"config":{{}},"modelfs":{{"type":"layers","diffIds":["sha256:{aa}","sha256:{bb}"]}}}}"#
    );
    assert_eq!(String::from_utf8(artifact.config.clone()).unwrap(), config);
    let manifest = format!(
        concat!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","#,
            r#""artifactType":"application/vnd.cncf.model.manifest.v1+json","#,
            r#""config":{{"mediaType":"application/vnd.cncf.model.config.v1+json","digest":"{config}","size":{size}}},"#,
            r#""layers":[{{"mediaType":"application/vnd.cncf.model.weight.config.v1.raw","digest":"sha256:{aa}","size":2,"#,
            r#""annotations":{{"org.cncf.model.filepath":"config.json"}}}},"#,
            r#"{{"mediaType":"application/vnd.cncf.model.weight.v1.raw","digest":"sha256:{bb}","size":7,"#,
            r#""annotations":{{"org.cncf.model.filepath":"weights/model.gguf"}}}}]}}"#
        ),
        config = artifact.config_digest,
        size = config.len(),
        aa = aa,
        bb = bb
    );
    assert_eq!(String::from_utf8(artifact.manifest.clone()).unwrap(), manifest);
    // sha256sum of those bytes: trees on disk carry this name, so a change here is a change of format.
    assert_eq!(artifact.digest.hex(), "08895ab39fc8f3f145521a40e389970a7fee0e0f0dc14357c8644296e3068724");
    assert_eq!(model_manifest(&pins), (artifact.manifest, artifact.digest));
}

#[test]
fn media_types_follow_from_file_names() {
    let kind = |name: &str| layer_media_type(name).strip_prefix("application/vnd.cncf.model.").unwrap();
    for name in ["model.safetensors", "SmolLM2.Q4_1.gguf", "weights.bin", "noext", "pytorch_model.pt"] {
        assert_eq!(kind(name), "weight.v1.raw", "{name}");
    }
    for name in ["config.json", "Tokenizer.JSON", "merges.txt", "tokenizer.model", "chat_template.jinja"] {
        assert_eq!(kind(name), "weight.config.v1.raw", "{name}");
    }
    for name in ["README.md", "LICENSE", "LICENSE.txt", "Notice", "USE_POLICY.md", "figure.png"] {
        assert_eq!(kind(name), "doc.v1.raw", "{name}");
    }
    for name in ["modeling_x.py", "run.sh"] {
        assert_eq!(kind(name), "code.v1.raw", "{name}");
    }
}

proptest! {
    #[test]
    fn the_digest_follows_from_the_pins_alone(
        files in proptest::collection::btree_map("[a-z]{1,8}(\\.json|\\.gguf)?", (any::<u64>(), any::<u8>()), 0..8),
        swap in any::<prop::sample::Index>(),
    ) {
        let pins: Vec<FilePin> = files.iter().map(|(p, (size, byte))| pin(p, *size, *byte)).collect();
        let (bytes, digest) = model_manifest(&pins);
        prop_assert_eq!(sha256(&bytes), digest);
        let mut other = pins.clone();
        if !other.is_empty() {
            let at = swap.index(other.len());
            other.rotate_left(at);
            prop_assert_eq!(model_manifest(&other).1, digest);
            other[at].size ^= 1;
            prop_assert_ne!(model_manifest(&other).1, digest);
        }
    }
}
