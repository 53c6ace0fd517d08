//! The README of a volume: plain ASCII, for a stranger who found one disk and has no sovai.

use crate::index::Part;
use crate::plan::Plan;
use crate::volume::VolumeId;
use std::fmt::Write as _;

/// More blobs in pieces than this are not listed one by one.
const MOST_LINES: usize = 1000;

/// The text of one volume's README. It follows from the plan alone, and names no digest of the index, which names its own.
pub(crate) fn text(plan: &Plan, id: VolumeId) -> String {
    let contents = &plan.contents;
    let name = plan.name();
    let (data, parity) = (plan.volumes.len(), plan.parity);
    let mut text = String::new();
    // Writing to a string does not fail.
    let t = &mut text;
    let heading = format!("Stack {}, bundle {}", contents.stack, contents.sequence);
    let _ = writeln!(t, "{heading}\n{}\n", "=".repeat(heading.len()));
    let _ = match id {
        VolumeId::Data(number) => writeln!(t, "This is volume {number} of {data} ({id})."),
        VolumeId::Parity(number) => {
            writeln!(t, "This is volume {number} of {parity} of parity ({id}), beside {data} of data.")
        }
    };
    let _ = writeln!(
        t,
        "\nTogether the volumes hold one software stack: AI models, container images, and what is needed to\n\
         check and run them without the internet. They were written by sovai {}, a free program.\n\
         Nothing here runs by itself. Nothing here needs to be trusted before it was checked.",
        ascii(&contents.tool.version)
    );
    let _ = writeln!(t, "\nIn all volumes together:");
    for (name, model) in &contents.models {
        let license = model.license.as_deref().unwrap_or("not stated");
        let _ = writeln!(t, "  model {name}, {} bytes, licence {}", model.bytes, ascii(license));
        let _ = writeln!(t, "    from {}", ascii(&model.source));
    }
    for (name, image) in &contents.images {
        let _ = writeln!(t, "  image {}, {} bytes", ascii(name), image.bytes);
    }
    files(t, plan, id);
    with_sovai(t, plan);
    without_sovai(t, plan, id, &name);
    pieces(t, plan);
    if parity > 0 {
        let _ = writeln!(
            t,
            "\nLost or damaged volumes\n-----------------------\n\n\
             Any {parity} of the {} volumes can be made again from the others:\n\n    \
             ./sovai bundle repair FOLDER\n\n\
             where FOLDER holds the folders of all volumes that are left. How the numbers are computed is told\n\
             in docs/bundle-format.txt of the first volume.",
            data + usize::from(parity)
        );
    }
    text
}

fn files(t: &mut String, plan: &Plan, id: VolumeId) {
    let payload = id.payload(&plan.contents.stack, plan.contents.sequence);
    let what = if id.is_parity() { "what lost volumes are made again from" } else { "the files themselves" };
    let _ = writeln!(
        t,
        "\nThe files of this volume\n------------------------\n\n  \
         SHA256SUMS     digests of all of them but the signatures\n  \
         bundle.json    the index: each file of the bundle, its digest and where its bytes lie\n  \
         chunks.txt     digests (BLAKE3) of each {} bytes of each payload, to find damage\n  \
         signatures/    who vouches for bundle.json",
        plan.chunk_size
    );
    if plan.has_program(id) {
        let _ = writeln!(t, "  sovai          the program, for {}", plan.contents.platform);
    }
    let _ = writeln!(t, "  {payload}\n                 {what}");
}

fn with_sovai(t: &mut String, plan: &Plan) {
    if plan.program.is_none() {
        return;
    }
    let _ = writeln!(
        t,
        "\nWith sovai\n----------\n\n\
         Check the first volume as below before its program is run. Put the volumes' folders into one folder,\n\
         or name them one after the other:\n\n    \
         ./sovai bundle inspect VOLUME...    what it holds and who signed it\n    \
         ./sovai bundle verify VOLUME...     is every byte what was written\n    \
         ./sovai bundle import VOLUME...     bring it in, if its signers are trusted"
    );
}

fn without_sovai(t: &mut String, plan: &Plan, id: VolumeId, name: &str) {
    let payload = id.payload(&plan.contents.stack, plan.contents.sequence);
    let _ = writeln!(
        t,
        "\nWithout sovai\n-------------\n\n\
         1. Is this volume undamaged? In its folder:\n\n    \
         sha256sum -c SHA256SUMS\n\n\
         2. Who signed? Each file in signatures/ is a DSSE envelope. With the signer's public key in KEY.pub:\n\n    \
         f=signatures/NAME.dsse.json\n    \
         sed 's/.*\"payload\":\"\\([^\"]*\\)\".*/\\1/' $f | base64 -d > /tmp/payload\n    \
         sed 's/.*\"sig\":\"\\([^\"]*\\)\".*/\\1/' $f | base64 -d > /tmp/sig\n    \
         printf 'DSSEv1 28 application/vnd.in-toto+json %d ' $(wc -c < /tmp/payload) > /tmp/signed\n    \
         cat /tmp/payload >> /tmp/signed\n    \
         openssl pkeyutl -verify -pubin -inkey KEY.pub -rawin -in /tmp/signed -sigfile /tmp/sig   (ed25519)\n    \
         openssl dgst -sha256 -verify KEY.pub -signature /tmp/sig /tmp/signed                     (P-256)\n\n   \
         Then the digest in /tmp/payload must be that of the index: sha256sum bundle.json"
    );
    if id.is_parity() {
        return;
    }
    let _ = writeln!(
        t,
        "\n3. Unpack all volumes into one folder; of each:\n\n    \
         tar -xf {payload} -C FOLDER\n\n\
         4. Join the blobs that are in pieces, if any: see below. Each file under FOLDER/blobs/sha256 has its\n   \
         SHA-256 as its name; check with:\n\n    \
         cd FOLDER/blobs/sha256 && for f in *; do echo \"$f  $f\"; done | sha256sum -c --quiet\n\n\
         5. FOLDER/docs/CONTENTS.txt says which blob is which file of a model. FOLDER is an OCI image layout:\n"
    );
    for image in plan.contents.images.keys() {
        // A name that a shell would take apart is not written into a command.
        let harmless = image.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/:@".contains(&b));
        if harmless {
            let _ = writeln!(t, "    skopeo copy oci:FOLDER:{image} docker-archive:image.tar:{image}");
        }
    }
    let _ = writeln!(
        t,
        "    docker load -i image.tar\n\n\
         The manifest is FOLDER/{}; the other documents in FOLDER/docs explain it.\n\
         {name} is whole when all {} volumes of data were unpacked.",
        plan.contents.manifest,
        plan.volumes.len()
    );
}

/// How blobs that are split are joined.
fn pieces(t: &mut String, plan: &Plan) {
    let split: Vec<_> =
        plan.contents.items.iter().zip(&plan.parts).filter(|(_, parts)| parts.len() > 1).collect();
    if split.is_empty() {
        return;
    }
    let _ = writeln!(
        t,
        "\nBlobs in pieces\n---------------\n\nIn the folder that all volumes were unpacked into:\n"
    );
    for (item, parts) in split.iter().take(MOST_LINES) {
        let hex = item.sha256.hex();
        let based = parts.iter().any(|part| matches!(part, Part::Based { .. }));
        let _ = if based {
            writeln!(t, "    {hex}: needs what the other side has; see bundle.json")
        } else {
            writeln!(t, "    cat pieces/sha256/{hex}/* > blobs/sha256/{hex}")
        };
    }
    if split.len() > MOST_LINES {
        let _ = writeln!(t, "    and {} others in the same way", split.len() - MOST_LINES);
    }
}

/// The text with everything but plain ASCII escaped.
fn ascii(text: &str) -> String {
    text.chars()
        .map(
            |c| if c.is_ascii_graphic() || c == ' ' { c.to_string() } else { c.escape_default().to_string() },
        )
        .collect()
}
