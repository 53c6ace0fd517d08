//! From a tree that passed every rule to the typed manifest. Gives `None` only where a rule is missing.

use crate::format::{
    parse_cpus, parse_image, parse_image_source, parse_listen, parse_name, parse_path, parse_sha256,
    parse_size, parse_source,
};
use crate::node::Node;
use crate::{
    Accelerators, Auth, Claim, Gateway, Image, ImagePin, LicenseFile, Lineage, LineageLink, LineageNote,
    Lock, LockedFile, LockedImage, LockedModel, Manifest, Model, Parallelism, Resources, Secret, Service,
    Tls, Wanted,
};
use sovai_core::{FilePin, ImageId, Name};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Builds the typed manifest.
pub(crate) fn manifest(root: &Node) -> Option<Manifest> {
    let spec = root.get("spec")?;
    Some(Manifest {
        name: name(root.get("metadata")?.get("name")?)?,
        models: map(spec.get("models"), |key, node| Some((parse_name(key).ok()?, model(node)?)))?,
        services: map(spec.get("services"), |key, node| Some((parse_name(key).ok()?, service(node)?)))?,
        gateway: maybe(spec.get("gateway"), gateway)?,
        policy: maybe(spec.get("policy"), path)?,
    })
}

/// Builds the typed lock.
pub(crate) fn lock(root: &Node) -> Option<Lock> {
    Some(Lock {
        models: map(root.get("models"), |key, node| Some((parse_name(key).ok()?, locked_model(node)?)))?,
        images: map(root.get("images"), |key, node| Some((key.to_owned(), locked_image(node)?)))?,
    })
}

/// An optional value: absent is `Some(None)`, malformed is `None`.
#[expect(clippy::option_option, reason = "absent and malformed are two things; `?` tells them apart")]
pub(crate) fn maybe<T>(node: Option<&Node>, build: impl FnOnce(&Node) -> Option<T>) -> Option<Option<T>> {
    match node {
        None => Some(None),
        Some(node) => build(node).map(Some),
    }
}

pub(crate) fn map<K: Ord, V>(
    node: Option<&Node>,
    build: impl Fn(&str, &Node) -> Option<(K, V)>,
) -> Option<BTreeMap<K, V>> {
    node.map_or(&[] as &[_], Node::entries).iter().map(|entry| build(&entry.key, &entry.value)).collect()
}

pub(crate) fn list<T>(node: Option<&Node>, build: impl Fn(&Node) -> Option<T>) -> Option<Vec<T>> {
    node.map_or(&[] as &[_], Node::items).iter().map(|item| build(item)).collect()
}

pub(crate) fn text(node: &Node) -> Option<String> {
    node.text().map(str::to_owned)
}

fn name(node: &Node) -> Option<Name> {
    parse_name(node.text()?).ok()
}

pub(crate) fn path(node: &Node) -> Option<PathBuf> {
    node.text().map(PathBuf::from)
}

pub(crate) fn count(node: &Node) -> Option<u32> {
    node.text()?.parse().ok()
}

fn model(node: &Node) -> Option<Model> {
    let mut files = list(node.get("files"), |file| {
        Some(FilePin {
            path: parse_path(file.get("path")?.text()?).ok()?,
            size: file.get("size")?.text()?.parse().ok()?,
            sha256: parse_sha256(file.get("sha256")?.text()?).ok()?,
        })
    })?;
    files.sort();
    let source = |node: &Node| parse_source(node.text()?).ok();
    Some(Model {
        source: source(node.get("source")?)?,
        mirrors: list(node.get("mirrors"), source)?,
        revision: maybe(node.get("revision"), text)?,
        include: list(node.get("include"), text)?,
        exclude: list(node.get("exclude"), text)?,
        license: maybe(node.get("license"), text)?,
        publisher: maybe(node.get("publisher"), text)?,
        signatures: list(node.get("signatures"), path)?,
        lineage: maybe(node.get("lineage"), lineage)?,
        usage: list(node.get("usage"), text)?,
        files,
    })
}

fn lineage(node: &Node) -> Option<Lineage> {
    Some(Lineage {
        base: maybe(node.get("base"), link)?,
        quantised_by: maybe(node.get("quantisedBy"), link)?,
        distilled_from: maybe(node.get("distilledFrom"), link)?,
    })
}

fn link(node: &Node) -> Option<LineageLink> {
    Some(LineageLink {
        name: text(node.get("name")?)?,
        claim: match node.get("claim")?.text()? {
            "declared" => Claim::Declared,
            "proven" => Claim::Proven,
            _ => return None,
        },
        notes: list(node.get("notes"), |note| {
            Some(LineageNote { date: text(note.get("date")?)?, text: text(note.get("text")?)? })
        })?,
    })
}

fn service(node: &Node) -> Option<Service> {
    Some(Service {
        engine: maybe(node.get("engine"), text)?,
        image: image(node.get("image")?)?,
        model: maybe(node.get("model"), name)?,
        args: list(node.get("args"), text)?,
        env: map(node.get("env"), |key, value| Some((key.to_owned(), text(value)?)))?,
        secrets: list(node.get("secrets"), |secret| {
            Some(Secret { name: name(secret.get("name")?)?, file: path(secret.get("file")?)? })
        })?,
        depends: list(node.get("depends"), name)?,
        resources: maybe(node.get("resources"), resources)?.unwrap_or_default(),
        accelerators: maybe(node.get("accelerators"), accelerators)?,
        context: maybe(node.get("context"), count)?,
        parallelism: maybe(node.get("parallelism"), parallelism)?.unwrap_or_default(),
    })
}

fn image(node: &Node) -> Option<Image> {
    let (name, digest) = parse_image(node.get("name").unwrap_or(node).text()?).ok()?;
    let digest = digest.map(ImagePin::Digest);
    let long = maybe(node.get("digest"), |node| Some(ImagePin::Digest(node.text()?.parse().ok()?)))?;
    let id = maybe(node.get("id"), |node| Some(ImagePin::Id(node.text()?.parse().ok()?)))?;
    Some(Image {
        name: name.to_owned(),
        pin: digest.or(long).or(id),
        platform: maybe(node.get("platform"), text)?,
        source: maybe(node.get("source"), |node| parse_image_source(node.text()?).ok())?,
    })
}

fn resources(node: &Node) -> Option<Resources> {
    Some(Resources {
        memory: maybe(node.get("memory"), |node| parse_size(node.text()?, 0).ok())?,
        millicpus: maybe(node.get("cpus"), |node| parse_cpus(node.text()?).ok())?,
        pids: maybe(node.get("pids"), count)?,
        shm: maybe(node.get("shm"), |node| parse_size(node.text()?, 0).ok())?,
    })
}

fn accelerators(node: &Node) -> Option<Accelerators> {
    let wanted = match (node.get("count"), node.get("ids")) {
        (Some(number), None) => Wanted::Count(count(number)?),
        (None, ids) => Wanted::Ids(list(ids, text)?),
        _ => return None,
    };
    Some(Accelerators { vendor: text(node.get("vendor")?)?, wanted })
}

fn parallelism(node: &Node) -> Option<Parallelism> {
    Some(Parallelism {
        tensor: maybe(node.get("tensor"), count)?,
        pipeline: maybe(node.get("pipeline"), count)?,
        data: maybe(node.get("data"), count)?,
        sequences: maybe(node.get("sequences"), count)?,
    })
}

fn gateway(node: &Node) -> Option<Gateway> {
    Some(Gateway {
        listen: parse_listen(node.get("listen")?.text()?).ok()?,
        auth: match node.get("auth").and_then(Node::text) {
            None | Some("keys") => Auth::Keys,
            Some("none") => Auth::None,
            Some(_) => return None,
        },
        tls: maybe(node.get("tls"), |tls| {
            Some(Tls {
                cert: path(tls.get("cert")?)?,
                key: path(tls.get("key")?)?,
                client_ca: maybe(tls.get("clientCa"), path)?,
            })
        })?,
        routes: map(node.get("routes"), |key, target| Some((key.to_owned(), name(target)?)))?,
    })
}

fn locked_model(node: &Node) -> Option<LockedModel> {
    let mut files = list(node.get("files"), |file| {
        Some(LockedFile {
            path: parse_path(file.get("path")?.text()?).ok()?,
            size: file.get("size")?.text()?.parse().ok()?,
            sha256: parse_sha256(file.get("sha256")?.text()?).ok()?,
            source: text(file.get("source")?)?,
        })
    })?;
    files.sort();
    let mut license_files = list(node.get("licenseFiles"), |file| {
        Some(LicenseFile {
            path: parse_path(file.get("path")?.text()?).ok()?,
            sha256: parse_sha256(file.get("sha256")?.text()?).ok()?,
        })
    })?;
    license_files.sort();
    Some(LockedModel {
        revision: maybe(node.get("revision"), text)?,
        license: maybe(node.get("license"), text)?,
        license_files,
        files,
    })
}

fn locked_image(node: &Node) -> Option<LockedImage> {
    Some(LockedImage {
        platform: text(node.get("platform")?)?,
        index: maybe(node.get("index"), |node| node.text()?.parse().ok())?,
        manifest: maybe(node.get("manifest"), |node| node.text()?.parse().ok())?,
        config: ImageId(node.get("config")?.text()?.parse().ok()?),
    })
}
