//! The tables of manifest and lock.

use super::{Field, Format, Object, Shape};

pub(super) const fn required(name: &'static str, shape: Shape, doc: &'static str) -> Field {
    Field { name, required: true, shape, doc }
}

pub(super) const fn optional(name: &'static str, shape: Shape, doc: &'static str) -> Field {
    Field { name, required: false, shape, doc }
}

pub(super) const fn one(format: Format) -> Shape {
    Shape::Scalar(format)
}

pub(super) const fn list(item: &'static Shape) -> Shape {
    Shape::List { item, min: 0 }
}

const MIB: u64 = 1 << 20;

pub(super) const API_VERSION: Field = required(
    "apiVersion",
    one(Format::Const { text: "sovai/v1", code: "SOV0026" }),
    "Version of this format: `sovai/v1`.",
);

/// A whole manifest.
pub(crate) static MANIFEST: Object = Object {
    name: "manifest",
    noun: "a manifest",
    doc: "One stack: models, the services that serve them, and the gateway in front.",
    fields: &[
        API_VERSION,
        required("kind", one(Format::Const { text: "Stack", code: "SOV0027" }), "`Stack`."),
        required("metadata", Shape::Object(&METADATA), "What the stack is called."),
        required("spec", Shape::Object(&SPEC), "What the stack is made of."),
    ],
};

static METADATA: Object = Object {
    name: "metadata",
    noun: "`metadata`",
    doc: "What the stack is called.",
    fields: &[required(
        "name",
        one(Format::Name),
        "Name of the stack; containers, networks and the store use it.",
    )],
};

static SPEC: Object = Object {
    name: "spec",
    noun: "`spec`",
    doc: "What the stack is made of.",
    fields: &[
        optional(
            "models",
            Shape::Map { key: Format::Name, value: &Shape::Object(&MODEL), min: 0 },
            "Models by name.",
        ),
        required(
            "services",
            Shape::Map { key: Format::Name, value: &Shape::Object(&SERVICE), min: 1 },
            "Containers by name.",
        ),
        optional(
            "gateway",
            Shape::Object(&GATEWAY),
            "The stack's one door; without it nothing is published.",
        ),
        optional(
            "policy",
            one(Format::HostPath),
            "Policy file. Without one the built-in policy holds: trust level `digest`, no pickle, no remote code.",
        ),
    ],
};

static MODEL: Object = Object {
    name: "model",
    noun: "a model",
    doc: "A named set of files with digests.",
    fields: &[
        required(
            "source",
            one(Format::Source),
            "Where the bytes come from: `file:PATH`, `hf:ORG/NAME`, `modelscope:ORG/NAME`, `https://...`, `s3://BUCKET/KEY`, `oci:REFERENCE`.",
        ),
        optional(
            "mirrors",
            list(&Shape::Scalar(Format::Source)),
            "Further places with the same bytes; believed only by digest.",
        ),
        optional(
            "revision",
            one(Format::Revision),
            "Commit, tag or branch; only with `hf:` and `modelscope:`. Where the source names one after its `@`, both agree.",
        ),
        optional(
            "include",
            Shape::List { item: &Shape::Scalar(Format::Glob), min: 1 },
            "Only files whose path one of these patterns matches whole: `*` is any text, also with `/` in it, `?` one character. Only with a source of many files that the lock lists.",
        ),
        optional(
            "exclude",
            Shape::List { item: &Shape::Scalar(Format::Glob), min: 1 },
            "Not the files whose path one of these patterns matches, even where `include` does.",
        ),
        optional(
            "license",
            one(Format::License),
            "SPDX expression, or the id of a known licence outside SPDX (`LicenseRef-...`).",
        ),
        optional("publisher", one(Format::Text), "Who published the model."),
        optional(
            "signatures",
            list(&Shape::Scalar(Format::HostPath)),
            "Files with signatures over the model.",
        ),
        optional("lineage", Shape::Object(&LINEAGE), "Where the model descends from."),
        optional("usage", list(&Shape::Scalar(Format::Text)), "Limits of use, from the model card."),
        optional(
            "files",
            Shape::List { item: &Shape::Object(&FILE), min: 1 },
            "The pinned files. Left out where the lock pins them. A source that is one file has exactly one entry, with its base name.",
        ),
    ],
};

static FILE: Object = Object {
    name: "file",
    noun: "a file",
    doc: "One pinned file.",
    fields: &[
        required("path", one(Format::FilePath), "Path inside the model's folder, parts separated by `/`."),
        required("size", one(Format::Length), "Exact length in bytes."),
        required(
            "sha256",
            one(Format::Sha256),
            "SHA-256 of the whole file: 64 lower-case hexadecimal digits.",
        ),
    ],
};

static LINEAGE: Object = Object {
    name: "lineage",
    noun: "a lineage",
    doc: "Where a model descends from.",
    fields: &[
        optional("base", Shape::Object(&LINK), "The base model."),
        optional("quantisedBy", Shape::Object(&LINK), "Who quantised it."),
        optional("distilledFrom", Shape::Object(&LINK), "What it was distilled from."),
    ],
};

static LINK: Object = Object {
    name: "lineageLink",
    noun: "a link of a lineage",
    doc: "One step of a model's descent.",
    fields: &[
        required("name", one(Format::Text), "The model or maker named."),
        required(
            "claim",
            one(Format::OneOf(&["declared", "proven"])),
            "`declared`: somebody says so; `proven`: shown by digests or signatures.",
        ),
        optional("notes", list(&Shape::Object(&NOTE)), "Neutral notes, each with its date."),
    ],
};

static NOTE: Object = Object {
    name: "lineageNote",
    noun: "a note",
    doc: "A neutral, dated note.",
    fields: &[
        required("date", one(Format::Date), "`YYYY-MM-DD`."),
        required("text", one(Format::Text), "What was said or found."),
    ],
};

static SERVICE: Object = Object {
    name: "service",
    noun: "a service",
    doc: "One container role. With `engine` it is an inference server, without one a plain container under the same hardening.",
    fields: &[
        optional(
            "engine",
            one(Format::Engine),
            "Engine profile: how the server is run, probed and measured.",
        ),
        required("image", Shape::Either(Format::Image, &IMAGE), "`NAME`, `NAME@sha256:...`, or a mapping."),
        optional("model", one(Format::Name), "The model that is mounted, read-only. Needed with `engine`."),
        optional("args", list(&Shape::Scalar(Format::Raw)), "Arguments after those of the profile."),
        optional(
            "env",
            Shape::Map { key: Format::EnvKey, value: &Shape::Scalar(Format::Raw), min: 0 },
            "Environment. Never secrets.",
        ),
        optional("secrets", list(&Shape::Object(&SECRET)), "Secrets, given as files under `/run/secrets/`."),
        optional("depends", list(&Shape::Scalar(Format::Name)), "Services that must be ready first."),
        optional(
            "resources",
            Shape::Object(&RESOURCES),
            "Limits; what is left out takes the profile's or the built-in default.",
        ),
        optional("accelerators", Shape::Object(&ACCELERATORS), "Accelerators wanted."),
        optional(
            "context",
            one(Format::Count { min: 1, max: 100_000_000 }),
            "Context window in tokens. Only with `engine`.",
        ),
        optional(
            "parallelism",
            Shape::Object(&PARALLELISM),
            "How the engine splits its work. Only with `engine`.",
        ),
    ],
};

static IMAGE: Object = Object {
    name: "image",
    noun: "an image",
    doc: "An image in long form.",
    fields: &[
        required("name", one(Format::Image), "Reference without digest."),
        optional("digest", one(Format::Digest), "Digest of its manifest in a registry. Not with `id`."),
        optional("id", one(Format::Digest), "ID in a container engine. Not with `digest`."),
        optional(
            "platform",
            one(Format::OneOf(&["linux/amd64", "linux/arm64"])),
            "Platform; the host's own when left out.",
        ),
        optional(
            "source",
            one(Format::ImageSource),
            "Where `lock` and `pull` find it: `engine`, `registry`, `oci-layout:PATH[@NAME]`, `docker-archive:PATH[@NAME]`. When left out: the container engine if it has the image, else the registry that its name begins with.",
        ),
    ],
};

static SECRET: Object = Object {
    name: "secret",
    noun: "a secret",
    doc: "A secret that a container reads as a file.",
    fields: &[
        required("name", one(Format::Name), "File name under `/run/secrets/`."),
        required("file", one(Format::HostPath), "The file on the host."),
    ],
};

static RESOURCES: Object = Object {
    name: "resources",
    noun: "`resources`",
    doc: "Limits of one container.",
    fields: &[
        optional("memory", one(Format::Size(16 * MIB)), "Memory: `4GiB`, or bytes. At least 16 MiB."),
        optional("cpus", one(Format::Cpus), "CPUs, as in `1.5`."),
        // The kernel's PID_MAX_LIMIT on 64-bit machines.
        optional("pids", one(Format::Count { min: 1, max: 4_194_304 }), "Processes and threads."),
        optional("shm", one(Format::Size(MIB)), "Size of `/dev/shm`: `16GiB`, or bytes. At least 1 MiB."),
    ],
};

static ACCELERATORS: Object = Object {
    name: "accelerators",
    noun: "`accelerators`",
    doc: "Accelerators that a service wants: `count` or `ids`.",
    fields: &[
        required("vendor", one(Format::Vendor), "Vendor."),
        optional("count", one(Format::Count { min: 1, max: 1024 }), "Any so many. Not with `ids`."),
        optional(
            "ids",
            Shape::List { item: &Shape::Scalar(Format::Text), min: 1 },
            "Just these, as the vendor's tool names them. Not with `count`.",
        ),
    ],
};

static PARALLELISM: Object = Object {
    name: "parallelism",
    noun: "`parallelism`",
    doc: "How an engine splits its work.",
    fields: &[
        optional("tensor", one(Format::Count { min: 1, max: 1024 }), "Tensor parallel size."),
        optional("pipeline", one(Format::Count { min: 1, max: 1024 }), "Pipeline parallel size."),
        optional("data", one(Format::Count { min: 1, max: 1024 }), "Data parallel size."),
        optional("sequences", one(Format::Count { min: 1, max: 65_536 }), "Sequences served at once."),
    ],
};

static GATEWAY: Object = Object {
    name: "gateway",
    noun: "a gateway",
    doc: "The stack's one door: an OpenAI-compatible endpoint with an allow-list of routes.",
    fields: &[
        required(
            "listen",
            one(Format::Listen),
            "Address and port on the host: `127.0.0.1:8080`, `[::1]:8080`.",
        ),
        optional(
            "auth",
            one(Format::OneOf(&["keys", "none"])),
            "`keys` (the default): a key is needed. `none`: anybody may ask.",
        ),
        optional("tls", Shape::Object(&TLS), "TLS files."),
        optional(
            "plaintext",
            one(Format::OneOf(&["allowed"])),
            "`allowed`: plain http although `listen` is not a loopback address.",
        ),
        required(
            "routes",
            Shape::Map { key: Format::PublicName, value: &Shape::Scalar(Format::Name), min: 1 },
            "Model name that clients use: the service behind it.",
        ),
    ],
};

static TLS: Object = Object {
    name: "tls",
    noun: "`tls`",
    doc: "TLS files, PEM.",
    fields: &[
        required("cert", one(Format::HostPath), "Certificate chain."),
        required("key", one(Format::HostPath), "Private key."),
        optional("clientCa", one(Format::HostPath), "Clients must show a certificate under one of these."),
    ],
};

/// A whole lock.
pub(crate) static LOCK: Object = Object {
    name: "lock",
    noun: "a lock",
    doc: "Every file and image of a manifest resolved to size and digest.",
    fields: &[
        API_VERSION,
        required("kind", one(Format::Const { text: "Lock", code: "SOV0027" }), "`Lock`."),
        optional(
            "models",
            Shape::Map { key: Format::Name, value: &Shape::Object(&LOCKED_MODEL), min: 0 },
            "Models by name.",
        ),
        optional(
            "images",
            Shape::Map { key: Format::Image, value: &Shape::Object(&LOCKED_IMAGE), min: 0 },
            "Images by reference, as the manifest writes it (without digest).",
        ),
    ],
};

static LOCKED_MODEL: Object = Object {
    name: "lockedModel",
    noun: "a locked model",
    doc: "A model as it was resolved.",
    fields: &[
        optional(
            "revision",
            one(Format::LockedRevision),
            "The commit at a hub, or the digest of the model's manifest in a registry.",
        ),
        optional(
            "license",
            one(Format::Text),
            "The licence that the source states, in its words; where it states none, the manifest's.",
        ),
        optional(
            "licenseFiles",
            list(&Shape::Object(&LICENSE_FILE)),
            "The files with the licence's text, by their names.",
        ),
        required("files", list(&Shape::Object(&LOCKED_FILE)), "Its files."),
    ],
};

static LICENSE_FILE: Object = Object {
    name: "licenseFile",
    noun: "a licence file",
    doc: "A file with a licence's text; one of the model's files, or one that its source has beside them.",
    fields: &[
        required("path", one(Format::FilePath), "Path at the source."),
        required("sha256", one(Format::Sha256), "SHA-256 of the whole file."),
    ],
};

static LOCKED_FILE: Object = Object {
    name: "lockedFile",
    noun: "a locked file",
    doc: "A file as it was resolved.",
    fields: &[
        required("path", one(Format::FilePath), "Path inside the model's folder."),
        required("size", one(Format::Length), "Exact length in bytes."),
        required("sha256", one(Format::Sha256), "SHA-256 of the whole file."),
        required("source", one(Format::Source), "The model's source when this was resolved."),
    ],
};

static LOCKED_IMAGE: Object = Object {
    name: "lockedImage",
    noun: "a locked image",
    doc: "An image as it was resolved.",
    fields: &[
        required("platform", one(Format::OneOf(&["linux/amd64", "linux/arm64"])), "Its platform."),
        optional(
            "index",
            one(Format::Digest),
            "Digest of the image index that lists it, where its registry has one.",
        ),
        optional(
            "manifest",
            one(Format::Digest),
            "Digest of its manifest in a registry, for this platform; a local image has none.",
        ),
        required("config", one(Format::Digest), "ID in a container engine."),
    ],
};
