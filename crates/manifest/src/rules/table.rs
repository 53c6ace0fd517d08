//! The rules, ordered by code.

use super::{Example, Rule, manifest};

const fn rule(code: &'static str, title: &'static str, explanation: &'static str, example: Example) -> Rule {
    Rule { code, title, explanation, example }
}

/// Every rule, ordered by code.
pub fn rules() -> &'static [Rule] {
    &RULES
}

static RULES: [Rule; 81] = [
    rule(
        "SOV0001",
        "The file is UTF-8",
        "A file in another encoding is read differently by different programs.",
        Example::Made("a byte 0xff, which UTF-8 never has", || {
            b"apiVersion: sovai/v1\nkind: \xff\n".to_vec()
        }),
    ),
    rule(
        "SOV0002",
        "The file has at most 1 MiB, a lock 32 MiB",
        "Long before that a stack should be split, or its pins left to the lock.",
        Example::Made("a file of 1 MiB and one byte", || vec![b'#'; crate::MAX_BYTES + 1]),
    ),
    rule(
        "SOV0003",
        "No control characters",
        "YAML forbids them, and they make a text look different from what it is. A byte order mark is taken at the very start only.",
        Example::Made("a NUL byte", || b"apiVersion: sovai/v1\0\n".to_vec()),
    ),
    rule(
        "SOV0004",
        "No bidirectional control characters",
        "They reorder what people see, so that a reviewer approves another text than the one that is read.",
        Example::Made("U+202E in a comment", || "# a\u{202e}b\n".as_bytes().to_vec()),
    ),
    rule(
        "SOV0005",
        "The file is YAML",
        "YAML 1.2; it indents with spaces, never with tabs.",
        Example::Whole("apiVersion: sovai/v1\nkind: [Stack\n"),
    ),
    rule(
        "SOV0006",
        "One document a file",
        "A second document would be ignored by one reader and taken by another.",
        Example::Whole(
            "apiVersion: sovai/v1\nkind: Stack\nmetadata: { name: example }\nspec: { services: { web: { image: web } } }\n---\napiVersion: sovai/v1\nkind: Stack\nmetadata: { name: example }\nspec: { services: { web: { image: web } } }\n",
        ),
    ),
    rule(
        "SOV0007",
        "Values are nested at most 32 deep",
        "A manifest needs nine levels; deeper nesting is an attack or a slip.",
        Example::Made("forty opening brackets", || {
            format!("x-deep: {}{}\n", "[".repeat(40), "]".repeat(40)).into_bytes()
        }),
    ),
    rule(
        "SOV0008",
        "At most 50000 values and 4 MiB of text, aliases written out; in a lock 600000 and 32 MiB",
        "Aliases of aliases grow without bound from a few lines.",
        Example::Made("nine lines, each nine aliases of the one before", bomb),
    ),
    rule(
        "SOV0009",
        "At most 500 aliases, each of an anchor that is complete",
        "An alias that stands inside what it stands for has no end.",
        Example::Whole("x-loop: &loop [*loop]\n"),
    ),
    rule(
        "SOV0010",
        "A key is given once",
        "Readers disagree on which of two values counts.",
        Example::Whole(
            "apiVersion: sovai/v1\nkind: Stack\nkind: Stack\nmetadata: { name: example }\nspec: { services: { web: { image: web } } }\n",
        ),
    ),
    rule(
        "SOV0011",
        "No tags",
        "`!!str` and its like change what a value means in ways that readers disagree on.",
        Example::Whole(
            "apiVersion: sovai/v1\nkind: Stack\nmetadata: { name: !!str example }\nspec: { services: { web: { image: web } } }\n",
        ),
    ),
    rule(
        "SOV0012",
        "At most 100 problems are shown",
        "The rest is counted.",
        Example::Made("a hundred and one unknown keys", unknown_keys),
    ),
    rule(
        "SOV0020",
        "Only known keys",
        "A misspelt key would silently do nothing. Keys that start with `x-` are free in every mapping whose keys are fixed; where you choose the names yourself (`models`, `services`, `env`, `routes`), `x-` is part of a name.",
        Example::Model("sorce: file:./weights/model.gguf\n"),
    ),
    rule(
        "SOV0021",
        "Needed keys are there",
        "The message says which one.",
        Example::Service("engine: llama.cpp\nmodel: assistant\n"),
    ),
    rule(
        "SOV0022",
        "Values have the right type",
        "Text that looks like a number, or like true, false or null, is put in quotes, so that every YAML reader takes it for text. `no`, `off` and `yes` are text in YAML 1.2.",
        Example::Service(
            "engine: llama.cpp\nimage: sovai/engine-llama-cpp:local\nmodel: assistant\nenv: { PORT: 8080 }\n",
        ),
    ),
    rule(
        "SOV0023",
        "Numbers are plain decimals within bounds",
        "No sign, no `0` first, no `0x`.",
        Example::Service(
            "engine: llama.cpp\nimage: sovai/engine-llama-cpp:local\nmodel: assistant\ncontext: 0\n",
        ),
    ),
    rule(
        "SOV0024",
        "Values are among those allowed",
        "The message lists them.",
        Example::Gateway("listen: 127.0.0.1:8080\nauth: nobody\nroutes: { assistant: engine }\n"),
    ),
    rule(
        "SOV0025",
        "What must not be empty is not",
        "A stack without services, or a gateway without routes, does nothing.",
        Example::Gateway("listen: 127.0.0.1:8080\nroutes: {}\n"),
    ),
    rule(
        "SOV0026",
        "`apiVersion` is `sovai/v1`",
        "Another version needs another sovai.",
        Example::Whole(
            "apiVersion: sovai/v2\nkind: Stack\nmetadata: { name: example }\nspec: { services: { web: { image: web } } }\n",
        ),
    ),
    rule(
        "SOV0027",
        "`kind` is `Stack` in a manifest, `Lock` in a lock",
        "So that neither is taken for the other.",
        Example::Whole(
            "apiVersion: sovai/v1\nkind: Deployment\nmetadata: { name: example }\nspec: { services: { web: { image: web } } }\n",
        ),
    ),
    rule(
        "SOV0028",
        "Text is not too long and has no control characters",
        "4096 bytes for people's text, 65536 for an argument or a variable.",
        Example::Service(
            "engine: llama.cpp\nimage: sovai/engine-llama-cpp:local\nmodel: assistant\nargs: [\"\\0\"]\n",
        ),
    ),
    rule(
        "SOV0030",
        "Names are DNS labels",
        "1 to 63 of `a-z`, `0-9` and `-`, with a letter or digit first and last. They become names of containers and networks.",
        Example::Services(
            "Engine_1: { image: web }\nengine: { engine: llama.cpp, image: e, model: assistant }\n",
        ),
    ),
    rule(
        "SOV0031",
        "Digests are SHA-256 in lower-case hexadecimal",
        "64 digits; after `sha256:` where the key does not name the algorithm.",
        Example::Model(
            "source: file:./weights/\nfiles:\n  - { path: model.gguf, size: 1, sha256: E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855 }\n",
        ),
    ),
    rule(
        "SOV0032",
        "Sizes have a known unit",
        "`KiB`, `MiB`, `GiB`, `TiB`, `kB`, `MB`, `GB`, `TB`; a number without one means bytes, and too few are refused.",
        Example::Service(
            "engine: llama.cpp\nimage: sovai/engine-llama-cpp:local\nmodel: assistant\nresources: { memory: 4gb }\n",
        ),
    ),
    rule(
        "SOV0033",
        "Dates are `YYYY-MM-DD`",
        "And exist.",
        Example::Model(
            "source: file:./weights/model.gguf\nlineage:\n  base: { name: Base, claim: declared, notes: [{ date: 2026-02-30, text: Said so. }] }\n",
        ),
    ),
    rule(
        "SOV0035",
        "Model names of clients have 1 to 128 of `A-Z a-z 0-9 . _ - : /`",
        "They stand in requests and log lines.",
        Example::Gateway("listen: 127.0.0.1:8080\nroutes: { \"my model\": engine }\n"),
    ),
    rule(
        "SOV0036",
        "Names of variables have 1 to 128 of `A-Z a-z 0-9 _`, no digit first",
        "Others cannot be set by every shell.",
        Example::Service(
            "engine: llama.cpp\nimage: sovai/engine-llama-cpp:local\nmodel: assistant\nenv: { MY-VAR: x }\n",
        ),
    ),
    rule(
        "SOV0037",
        "Revisions are commits, tags or branches",
        "1 to 200 of `A-Z a-z 0-9 . _ - /`.",
        Example::Model("source: hf:org/name\nrevision: ../main\n"),
    ),
    rule(
        "SOV0038",
        "CPUs are a number with at most three decimals",
        "From 0.001 to 4096.",
        Example::Service(
            "engine: llama.cpp\nimage: sovai/engine-llama-cpp:local\nmodel: assistant\nresources: { cpus: 1.0005 }\n",
        ),
    ),
    rule(
        "SOV0039",
        "`listen` is an address and a port",
        "Names are not looked up, and port 0 is not fixed.",
        Example::Gateway("listen: localhost:8080\nroutes: { assistant: engine }\n"),
    ),
    rule(
        "SOV0040",
        "A path is not empty",
        "It names a file inside the model.",
        Example::Model(
            "source: file:./weights/\nfiles:\n  - { path: '', size: 1, sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 }\n",
        ),
    ),
    rule(
        "SOV0041",
        "A path is not absolute",
        "It stays inside the model's folder.",
        Example::Model(
            "source: file:./weights/\nfiles:\n  - { path: /etc/passwd, size: 1, sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 }\n",
        ),
    ),
    rule(
        "SOV0042",
        "A path has no empty part",
        "`a//b` and `a/` mean different things to different programs.",
        Example::Model(
            "source: file:./weights/\nfiles:\n  - { path: a//b, size: 1, sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 }\n",
        ),
    ),
    rule(
        "SOV0043",
        "A path has no `.` part",
        "One file has one path.",
        Example::Model(
            "source: file:./weights/\nfiles:\n  - { path: ./a, size: 1, sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 }\n",
        ),
    ),
    rule(
        "SOV0044",
        "A path has no `..` part",
        "It stays inside the model's folder.",
        Example::Model(
            "source: file:./weights/\nfiles:\n  - { path: ../a, size: 1, sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 }\n",
        ),
    ),
    rule(
        "SOV0045",
        "A path has no backslash",
        "It separates parts on some systems and not on others.",
        Example::Model(
            "source: file:./weights/\nfiles:\n  - { path: 'a\\b', size: 1, sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 }\n",
        ),
    ),
    rule(
        "SOV0046",
        "A path has no control character",
        "It would garble terminals and logs.",
        Example::Model(
            "source: file:./weights/\nfiles:\n  - { path: \"a\\tb\", size: 1, sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 }\n",
        ),
    ),
    rule(
        "SOV0047",
        "A path has no bidirectional or invisible character",
        "People would read another name than the one that is used.",
        Example::Model(
            "source: file:./weights/\nfiles:\n  - { path: \"a\\u202eb\", size: 1, sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 }\n",
        ),
    ),
    rule(
        "SOV0048",
        "A path is in Unicode normal form C",
        "So that one name has one spelling.",
        Example::Model(
            "source: file:./weights/\nfiles:\n  - { path: \"e\\u0301\", size: 1, sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 }\n",
        ),
    ),
    rule(
        "SOV0049",
        "A part of a path has at most 255 bytes",
        "File systems allow no more.",
        Example::Made("a file name of 256 letters", || long_path(&"x".repeat(256))),
    ),
    rule(
        "SOV0050",
        "A path has at most 3072 bytes and 64 parts",
        "The root that it is joined to needs room too.",
        Example::Made("a path of 65 parts", || long_path(&vec!["x"; 65].join("/"))),
    ),
    rule(
        "SOV0051",
        "Paths do not collide",
        "They differ in more than case and compatibility forms, and no file is another one's folder: some file systems could not hold both.",
        Example::Model(
            "source: file:./weights/\nfiles:\n  - { path: model.gguf, size: 1, sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 }\n  - { path: Model.GGUF, size: 1, sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 }\n",
        ),
    ),
    rule(
        "SOV0052",
        "A path on the host is one",
        "Not empty, no control character, no scheme, at most 4095 bytes.",
        Example::Model("source: file:./weights/model.gguf\nsignatures: ['']\n"),
    ),
    rule(
        "SOV0053",
        "A pattern of paths has `*` and `?` and no other signs",
        "`*` is any text, also with `/` in it, `?` one character; at most 256 bytes and 16 such signs. No brackets, braces or backslashes, no empty, `.` or `..` part.",
        Example::Model("source: hf:org/name\ninclude: ['*.{json,safetensors}']\n"),
    ),
    rule(
        "SOV0060",
        "A source has a known scheme",
        "`file:`, `hf:`, `modelscope:`, `https:`, `s3:`, `oci:`.",
        Example::Model("source: ./weights/model.gguf\n"),
    ),
    rule(
        "SOV0061",
        "A source is well-formed",
        "The message shows the form that its scheme has.",
        Example::Model("source: hf:SmolLM2\n"),
    ),
    rule(
        "SOV0062",
        "A source that is one file has one entry, with its base name",
        "A name that ends in `.gguf`, `.safetensors`, `.onnx`, `.bin`, `.pt` or `.pth` is one file; end a folder with such a name in `/`.",
        Example::Model(
            "source: file:./weights/model.gguf\nfiles:\n  - { path: other.gguf, size: 1, sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 }\n",
        ),
    ),
    rule(
        "SOV0063",
        "Only hubs have revisions, and each has one",
        "`hf:` and `modelscope:`; after `@` in the source, or under `revision`. Where both are written, they agree.",
        Example::Model("source: file:./weights/model.gguf\nrevision: main\n"),
    ),
    rule(
        "SOV0064",
        "An image is a reference",
        "`[HOST[:PORT]/]PATH[:TAG][@sha256:...]`, lower case.",
        Example::Service("engine: llama.cpp\nimage: Sovai/Engine\nmodel: assistant\n"),
    ),
    rule(
        "SOV0065",
        "An image is pinned once",
        "By a digest in its name, by `digest`, or by `id`.",
        Example::Service(
            "engine: llama.cpp\nimage: { name: web, digest: sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855, id: sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 }\nmodel: assistant\n",
        ),
    ),
    rule(
        "SOV0066",
        "Patterns choose among many files that the lock lists",
        "Not with a source of one file or a folder on this host, not beside `files`, at most 64 in a list.",
        Example::Model("source: file:./weights/model.gguf\nexclude: ['*.bin']\n"),
    ),
    rule(
        "SOV0067",
        "A source has no credentials",
        "Manifests are read by many.",
        Example::Model("source: https://me:secret@host.example/model.gguf\n"),
    ),
    rule(
        "SOV0068",
        "The source of an image is well-formed",
        "`engine`, `registry`, `oci-layout:PATH[@NAME]`, `docker-archive:PATH[@NAME]`; the last `@` begins the name.",
        Example::Service("engine: llama.cpp\nimage: { name: web, source: archive.tar }\nmodel: assistant\n"),
    ),
    rule(
        "SOV0069",
        "One image has one source",
        "Two services that use it say the same.",
        Example::Services(
            "engine: { engine: llama.cpp, image: { name: e, source: engine }, model: assistant }\nother: { image: e }\n",
        ),
    ),
    rule(
        "SOV0070",
        "A named model exists",
        "Under `spec.models`.",
        Example::Service("engine: llama.cpp\nimage: sovai/engine-llama-cpp:local\nmodel: asistant\n"),
    ),
    rule(
        "SOV0071",
        "A named service exists",
        "Under `spec.services`.",
        Example::Gateway("listen: 127.0.0.1:8080\nroutes: { assistant: engin }\n"),
    ),
    rule(
        "SOV0072",
        "Services do not wait for each other in a circle",
        "None of them could ever start.",
        Example::Services(
            "engine: { engine: llama.cpp, image: e, model: assistant, depends: [web] }\nweb: { image: web, depends: [engine] }\n",
        ),
    ),
    rule(
        "SOV0073",
        "The engine is known",
        "Engine profiles are data of this sovai.",
        Example::Service("engine: lama.cpp\nimage: sovai/engine-llama-cpp:local\nmodel: assistant\n"),
    ),
    rule(
        "SOV0074",
        "An engine has a model",
        "There is nothing else for it to serve.",
        Example::Service("engine: llama.cpp\nimage: sovai/engine-llama-cpp:local\n"),
    ),
    rule(
        "SOV0075",
        "The accelerator vendor is known",
        "Vendors are data of this sovai.",
        Example::Service(
            "engine: llama.cpp\nimage: sovai/engine-llama-cpp:local\nmodel: assistant\naccelerators: { vendor: nvida, count: 1 }\n",
        ),
    ),
    rule(
        "SOV0076",
        "Routes lead to inference servers",
        "A plain container answers no OpenAI request.",
        Example::Services("engine: { image: web, model: assistant }\n"),
    ),
    rule(
        "SOV0077",
        "Every model is used (warning)",
        "It would be verified and carried for nothing.",
        Example::Whole(
            "apiVersion: sovai/v1\nkind: Stack\nmetadata: { name: example }\nspec: { models: { idle: { source: hf:org/name } }, services: { web: { image: web } } }\n",
        ),
    ),
    rule(
        "SOV0078",
        "A model fits its engine",
        "llama.cpp reads one `.gguf` file, or all parts of a split one; others read a folder.",
        Example::Model("source: file:./weights/model.safetensors\n"),
    ),
    rule(
        "SOV0079",
        "A service has no reserved name",
        "`edge`, `gateway`, `internal`, `probe` and `store-check` are sovai's own containers and networks.",
        Example::Services(
            "gateway: { image: web }\nengine: { engine: llama.cpp, image: e, model: assistant }\n",
        ),
    ),
    rule(
        "SOV0080",
        "`context` and `parallelism` stand beside an engine",
        "A profile hands them over; a plain container has none.",
        Example::Services(
            "engine: { engine: llama.cpp, image: e, model: assistant }\nweb: { image: web, context: 4096 }\n",
        ),
    ),
    rule(
        "SOV0081",
        "No secrets in the environment",
        "Whoever may ask the container engine sees them. A name that ends in `_FILE`, `_PATH` or `_DIR` holds a path and is fine.",
        Example::Service(
            "engine: llama.cpp\nimage: sovai/engine-llama-cpp:local\nmodel: assistant\nenv: { HF_TOKEN: abc }\n",
        ),
    ),
    rule(
        "SOV0082",
        "No secrets in arguments",
        "Everybody on the host sees them.",
        Example::Service(
            "engine: llama.cpp\nimage: sovai/engine-llama-cpp:local\nmodel: assistant\nargs: [--api-key, abc]\n",
        ),
    ),
    rule(
        "SOV0083",
        "Accelerators have `count` or `ids`",
        "Any so many, or just these.",
        Example::Service(
            "engine: llama.cpp\nimage: sovai/engine-llama-cpp:local\nmodel: assistant\naccelerators: { vendor: nvidia }\n",
        ),
    ),
    rule(
        "SOV0084",
        "Lists of names have no name twice",
        "`depends`, `secrets`, `ids`.",
        Example::Services(
            "engine: { engine: llama.cpp, image: e, model: assistant, depends: [web, web] }\nweb: { image: web }\n",
        ),
    ),
    rule(
        "SOV0085",
        "Arguments do not repeat what the profile sets",
        "Readiness, routes and limits rely on it.",
        Example::Service(
            "engine: llama.cpp\nimage: sovai/engine-llama-cpp:local\nmodel: assistant\nargs: [--port, '9000']\n",
        ),
    ),
    rule(
        "SOV0086",
        "Variables do not change what the profile sets (warning)",
        "Profiles keep engines offline by variables.",
        Example::Service(
            "engine: llama.cpp\nimage: sovai/engine-llama-cpp:local\nmodel: assistant\nenv: { LLAMA_ARG_OFFLINE: '0' }\n",
        ),
    ),
    rule(
        "SOV0090",
        "A public address has TLS",
        "Keys and prompts would cross the network in clear text. `plaintext: allowed` says that something in front speaks TLS.",
        Example::Gateway("listen: 0.0.0.0:8080\nroutes: { assistant: engine }\n"),
    ),
    rule(
        "SOV0091",
        "A public address wants keys (warning)",
        "`auth: none` lets everybody in.",
        Example::Gateway(
            "listen: 0.0.0.0:8080\nauth: none\nplaintext: allowed\nroutes: { assistant: engine }\n",
        ),
    ),
    rule(
        "SOV0092",
        "`plaintext` does not stand beside `tls` (warning)",
        "It has no effect there.",
        Example::Gateway(
            "listen: 0.0.0.0:8080\nplaintext: allowed\ntls: { cert: cert.pem, key: key.pem }\nroutes: { assistant: engine }\n",
        ),
    ),
    rule(
        "SOV0100",
        "The licence is known (warning)",
        "An SPDX expression, a licence in the catalogue, or `LicenseRef-NAME`. The policy decides whether an unknown one is refused.",
        Example::Model("source: file:./weights/model.gguf\nlicense: apache-2.0\n"),
    ),
    rule(
        "SOV0110",
        "A policy names licences by their ids",
        "One SPDX id, or `LicenseRef-NAME`. A misspelt id would deny nothing, in silence; expressions and labels of hubs are no ids.",
        Example::Policy("licenses: { deny: [modified-mit] }\n"),
    ),
    rule(
        "SOV0111",
        "A pattern has `*` and no other signs",
        "At most eight `*`, each for any text; no `?`, brackets or braces, and no space at either end.",
        Example::Policy("origins: { sources: { allow: ['hf:{a,b}/*'] } }\n"),
    ),
    rule(
        "SOV0112",
        "A threshold can be met",
        "It counts different keys, so that it is at most the number of those that are listed.",
        Example::Policy(
            "trust: { roles: { publisher: { threshold: 2, keys: ['sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'] } } }\n",
        ),
    ),
    rule(
        "SOV0113",
        "No name is allowed and denied (warning)",
        "It is denied: `deny` beats `allow`.",
        Example::Policy("licenses: { allow: [MIT], deny: [MIT] }\n"),
    ),
    rule(
        "SOV0114",
        "A certificate rule says who the signer is",
        "An authority signs many certificates; without `subject`, `san` or `spki` each of them would be taken.",
        Example::Policy("trust: { certificates: [{ role: publisher, anchors: [ca.pem] }] }\n"),
    ),
    rule(
        "SOV0115",
        "Keys and digests are listed once",
        "A key counts once towards a threshold, and a text is one licence.",
        Example::Policy(
            "licenses:\n  texts:\n    - { id: LicenseRef-A, sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 }\n    - { id: LicenseRef-B, sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 }\n",
        ),
    ),
];

/// Nine lines, each nine aliases of the one before: 9^9 values when written out.
fn bomb() -> Vec<u8> {
    let mut text = b"x-0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_vec();
    for level in 1..9 {
        let alias = format!("*a{}", level - 1);
        text.extend(format!("x-{level}: &a{level} [{}]\n", vec![alias; 9].join(", ")).into_bytes());
    }
    text
}

fn unknown_keys() -> Vec<u8> {
    (0..101).flat_map(|number| format!("key{number}: x\n").into_bytes()).collect()
}

fn long_path(path: &str) -> Vec<u8> {
    let digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let model = format!("source: file:./weights/\nfiles: [{{ path: {path}, size: 1, sha256: {digest} }}]\n");
    manifest(&model, "engine: { engine: llama.cpp, image: e, model: assistant }\n", super::GATEWAY)
        .into_bytes()
}
