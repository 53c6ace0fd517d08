//! The manifest that is written from scratch.

/// A manifest that is valid as it is, with a comment at every key that one starts with.
pub(super) const TEXT: &str = r#"# A model behind a gateway. `sovai validate` checks this file, `sovai lock` pins every file and image in the lock beside
# it, `sovai deploy` verifies and starts it. All keys: docs/manifest.md. Known models: `sovai catalog list`.
apiVersion: sovai/v1
kind: Stack
metadata:
  name: my-stack # containers and networks are called so

spec:
  # policy: ./policy.yaml # who is trusted, and which licences, formats and origins; without one the built-in policy holds

  models:
    assistant: # the model's name in this file
      # One file or a folder, relative to this file. Other sources: hf:ORG/NAME, modelscope:ORG/NAME, https://HOST/PATH,
      # s3://BUCKET/KEY, oci:REFERENCE.
      source: file:./weights/model.gguf
      # mirrors: # further places with the same bytes; believed only by digest
      #   - modelscope:ORG/NAME
      license: Apache-2.0 # SPDX, or LicenseRef-... as `sovai catalog show` writes it
      # publisher: NAME
      # usage: # limits of use, from the model's card
      #   - Not for medical advice.

  services:
    engine: # the service's name
      engine: llama.cpp # llama.cpp reads one GGUF file; vllm and sglang read a folder of safetensors
      image: sovai/engine-llama-cpp:local # scripts/engine-image.sh builds it
      model: assistant
      # args: [--threads, "8"] # after those of the engine's profile
      context: 4096 # tokens
      # parallelism:
      #   tensor: 2 # accelerators that share each layer
      #   sequences: 16 # requests served at once
      # accelerators:
      #   vendor: nvidia
      #   count: 2
      resources:
        memory: 4GiB

  gateway: # the stack's one door; clients need a key, which deploy makes
    listen: 127.0.0.1:8080 # other addresses than loopback need tls
    # tls:
    #   cert: ./tls/cert.pem
    #   key: ./tls/key.pem
    routes:
      assistant: engine # the model name that clients use: the service behind it
"#;
