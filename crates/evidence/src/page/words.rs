//! How to check the folder without sovai, and what the words mean.

use super::Frame;
use crate::html::{facts, shown};
use maud::{Markup, html};

/// Signatures of all lines, with tools that every Linux has. `docs/evidence.md` prints the same.
pub(crate) const EACH_LINE: &str = r#"previous=null
while IFS= read -r line; do
  printf '%s' "$line" | sed 's/.*"payload":"\([^"]*\)".*/\1/' | base64 -d > payload
  printf '%s' "$line" | sed 's/.*"sig":"\([^"]*\)".*/\1/' | base64 -d > sig
  { printf 'DSSEv1 28 application/vnd.in-toto+json %s ' "$(wc -c < payload)"; cat payload; } > signed
  openssl pkeyutl -verify -rawin -pubin -inkey site.pub -in signed -sigfile sig > /dev/null || echo "NOT SIGNED: $line"
  grep -q "\"previous\":$previous" payload || echo "CHAIN BROKEN: $line"
  previous="\"sha256:$(printf '%s' "$line" | sha256sum | cut -d' ' -f1)\""
done < log.jsonl
echo "last line: $previous""#;

/// Key id of the site's key.
pub(crate) const KEY_ID: &str = "openssl pkey -pubin -in site.pub -outform DER | sha256sum";

pub(super) fn without_sovai(frame: &Frame<'_>) -> Markup {
    html! {
        section #check {
            h2 { "How to check this" }
            p { "With sovai, in the folder that this page lies in, where other.pub is the site’s public key as you got it another way:" }
            pre { "sovai evidence verify . --key other.pub" }
            p {
                "Without sovai, with tools that every Linux has. First, that the files are those that were written, and that the key \
                 is the one that you were told:"
            }
            pre { "sha256sum -c SHA256SUMS\n" (KEY_ID) }
            p { "The second command must print " code { (frame.key.to_string().trim_start_matches("sha256:")) } ". Then every line, its signature and its place in the chain:" }
            pre { (shown_block(EACH_LINE)) }
            p {
                "Nothing may be printed but the last line’s digest, which must be the one at the top of this page. "
                "Each payload is a statement in JSON: "
                code { "cat payload" } " shows the last one. The folder “reports” has all of them, one kind a file. "
                "The list SHA256SUMS is itself signed, in export.dsse.json, in the same way as each line."
            }
            p.note {
                "What this cannot show: a log is as honest as the host that wrote it. Whoever holds the host’s private key could have \
                 written another one from the first line on. So the digest of the last line is worth keeping elsewhere, on paper or at \
                 another site, from time to time."
            }
        }
    }
}

/// Lines of our own, as they are.
fn shown_block(text: &str) -> Markup {
    html! { @for (at, line) in text.lines().enumerate() { @if at > 0 { "\n" } (shown(line)) } }
}

pub(super) fn glossary() -> Markup {
    let rows = [
        ("stack", "what one description deploys: services, models, one gateway"),
        ("lock", "every file and image of a stack was resolved to its length and digest, and written down"),
        ("pull", "the bytes were brought to this host, and compared while they were written"),
        (
            "verify",
            "every byte was compared with what is pinned; signatures, formats, licence and policy were judged",
        ),
        ("deploy", "verified models were started behind the gateway, and answered a question"),
        ("down", "the stack was taken away"),
        ("bundle", "a stack on disks, whole and signed, to cross a gap between networks"),
        ("digest", "SHA-256: a number that no two different files share; sha256: and 64 digits"),
        ("finding", "one thing that verification has to say: a file that is missing, bytes that differ"),
        (
            "trust level",
            "how strongly a model’s origin is proven, from the strongest: publisher (its publisher signed it), \
          countersigned (others who are trusted here did), corroborated (independent sources show the same digests), hub-pinned \
          (its hub listed these digests at a commit), digest (the bytes are those that were pinned, by whom is open), unknown",
        ),
    ];
    let rows: Vec<(&str, Markup)> = rows.iter().map(|(word, meaning)| (*word, html! { (meaning) })).collect();
    html! {
        section #words {
            h2 { "Words" }
            (facts(&rows))
        }
    }
}
