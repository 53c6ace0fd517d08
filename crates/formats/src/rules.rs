//! The table of rules: what each code means, why it is a rule, and where it comes from.

use serde::Serialize;

/// How much a broken rule weighs where no policy says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The file is not what it claims to be.
    Error,
    /// To look at.
    Warning,
}

/// A rule of this crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// `SOV2xxx`; never given to another rule.
    pub code: &'static str,
    /// How much it weighs.
    pub severity: Severity,
    /// The rule in a few words.
    pub title: &'static str,
    /// What it means that it is broken, and what to do.
    pub explanation: &'static str,
    /// Where it comes from.
    pub source: &'static str,
}

/// Every rule, in the order of the codes.
pub const fn rules() -> &'static [Rule] {
    RULES
}

/// The rule of a code.
pub fn rule(code: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.code == code)
}

const SAFETENSORS: &str = "safetensors 0.8.0, src/tensor.rs";
const OURS: &str = "sovai";
const INDEX: &str = "transformers, sharded checkpoints (model.safetensors.index.json)";
const GGUF: &str = "ggml, docs/gguf.md";
const READERS: &str = "ggml, src/gguf.cpp";

const fn error(
    code: &'static str,
    title: &'static str,
    explanation: &'static str,
    source: &'static str,
) -> Rule {
    Rule { code, severity: Severity::Error, title, explanation, source }
}

const fn warning(
    code: &'static str,
    title: &'static str,
    explanation: &'static str,
    source: &'static str,
) -> Rule {
    Rule { code, severity: Severity::Warning, title, explanation, source }
}

const RULES: &[Rule] = &[
    error(
        "SOV2001",
        "a safetensors file has at least 8 bytes",
        "The file ends before the length of its header. It was cut off: bring it again.",
        SAFETENSORS,
    ),
    error(
        "SOV2002",
        "a safetensors header has at most 100,000,000 bytes",
        "The first 8 bytes announce a header that no reader takes. The file is damaged or is no safetensors file.",
        SAFETENSORS,
    ),
    error(
        "SOV2003",
        "a safetensors header lies inside its file",
        "The header that the first 8 bytes announce is longer than the file. It was cut off: bring it again.",
        SAFETENSORS,
    ),
    error(
        "SOV2004",
        "a safetensors header is JSON of one form",
        "The header is a JSON object of tensors, each with dtype, shape and data_offsets and nothing else, in UTF-8, \
         starting with `{`. Readers differ on anything else, so nothing else is taken.",
        "safetensors 0.8.0, README and src/tensor.rs; unknown members: sovai",
    ),
    error(
        "SOV2005",
        "no key stands twice in a safetensors header",
        "Of two tensors with one name, some readers take the first and some the last: what one tool checks is not what \
         another one loads.",
        "safetensors, README (duplicate keys are disallowed)",
    ),
    error(
        "SOV2006",
        "`__metadata__` is a map of texts",
        "Readers refuse other metadata, or fail on it.",
        SAFETENSORS,
    ),
    error(
        "SOV2007",
        "the type of a tensor is known",
        "The size of a tensor of an unknown type cannot be checked. If the type is new and the file comes from somebody \
         you trust, a newer sovai may know it.",
        "crates/formats/data/dtypes.toml",
    ),
    error(
        "SOV2008",
        "the size of a tensor is a whole number of bytes that fits into 64 bits",
        "The product of the dimensions overflows, or the tensor ends inside a byte. No honest tool writes that.",
        SAFETENSORS,
    ),
    error(
        "SOV2009",
        "a tensor has at most 64 dimensions",
        "No framework has more, and a reader with a fixed number of them would write past it.",
        OURS,
    ),
    error(
        "SOV2010",
        "every byte of a safetensors file belongs to a tensor",
        "Bytes between tensors are seen by no engine and could hold anything. No honest tool leaves them.",
        SAFETENSORS,
    ),
    error(
        "SOV2011",
        "tensors do not overlap",
        "Two tensors share bytes. No honest tool writes that.",
        SAFETENSORS,
    ),
    error(
        "SOV2012",
        "a tensor has the bytes that its shape and type need",
        "The offsets in the header contradict the shape. An engine that believes one of them reads the wrong bytes.",
        SAFETENSORS,
    ),
    error(
        "SOV2013",
        "a safetensors file is not cut off",
        "The file ends before its last tensor. Engines that map files read zeros or rubbish there, without a word: \
         bring the file again.",
        SAFETENSORS,
    ),
    error(
        "SOV2014",
        "nothing follows the last tensor of a safetensors file",
        "Bytes after the tensors are seen by no engine. An archive or program may be hidden there.",
        SAFETENSORS,
    ),
    error(
        "SOV2101",
        "an index of shards is JSON of one form",
        "The index is a JSON object with weight_map, a map from tensors to files, and it is of a size that can be checked.",
        INDEX,
    ),
    error(
        "SOV2102",
        "no key stands twice in an index",
        "Of two entries for one tensor, some readers take the first and some the last.",
        OURS,
    ),
    error(
        "SOV2103",
        "an index names files beside it",
        "A path with `/`, `..` or control characters would make an engine read a file outside the model.",
        OURS,
    ),
    error(
        "SOV2104",
        "every shard of the index is there",
        "The model is not complete: bring the missing shard.",
        INDEX,
    ),
    error(
        "SOV2105",
        "every tensor of the index is in a shard",
        "The index and the shards are not of one version of the model, or the shard is another one under this name.",
        INDEX,
    ),
    error(
        "SOV2106",
        "every tensor is in the shard that the index names",
        "The index and the shards are not of one version of the model.",
        INDEX,
    ),
    error(
        "SOV2107",
        "every tensor of a shard is in the index",
        "Some engines load by the index and some load whole shards: they would serve different models.",
        OURS,
    ),
    error(
        "SOV2108",
        "no tensor is in two shards",
        "Which of the two an engine loads depends on the order in which it reads.",
        OURS,
    ),
    error(
        "SOV2109",
        "every shard of the folder is in the index",
        "A shard that the index does not name is left over from another version, or was put there. Engines that load \
         every file would load it.",
        OURS,
    ),
    warning(
        "SOV2110",
        "the index says how many bytes the tensors have",
        "metadata.total_size is not the sum of the tensors. Some tools count shared tensors twice; compare with the \
         origin.",
        INDEX,
    ),
    error(
        "SOV2111",
        "a numbered set of files is complete",
        "Names such as model-00003-of-00046 say that there are 46 parts, and some are not there.",
        INDEX,
    ),
    error(
        "SOV2201",
        "a GGUF file is of version 2 or 3",
        "Version 1 was never in wide use, and later ones are not known.",
        GGUF,
    ),
    error(
        "SOV2202",
        "a GGUF header has at most 100,000 keys and 1,000,000 tensors",
        "Larger counts are damage or an attack on readers that believe them.",
        OURS,
    ),
    error(
        "SOV2203",
        "texts in a GGUF header have at most 16 MiB",
        "Larger lengths are damage or an attack on readers that believe them. Keys have at most 65,535 bytes, names of \
         tensors 128, the header 512 MiB.",
        OURS,
    ),
    error(
        "SOV2204",
        "arrays in a GGUF header have at most 16,000,000 elements, four deep",
        "Larger or deeper ones are damage or an attack on readers that believe them.",
        OURS,
    ),
    error(
        "SOV2205",
        "a GGUF header lies inside its file",
        "The file ends before its header. It was cut off: bring it again.",
        GGUF,
    ),
    error(
        "SOV2206",
        "values in a GGUF header have a known kind, and the expected one",
        "Readers that take a value of one kind for another one read the wrong bytes.",
        GGUF,
    ),
    error(
        "SOV2207",
        "no key or tensor stands twice in a GGUF header",
        "Of two with one name, some readers take the first and some the last.",
        READERS,
    ),
    error("SOV2208", "names and templates in a GGUF header are UTF-8", "The format says so.", GGUF),
    error(
        "SOV2209",
        "the alignment is a power of two of at most 64 KiB",
        "Other alignments have been used to make readers compute wrong places.",
        "ggml, docs/gguf.md; upper bound: sovai",
    ),
    error(
        "SOV2210",
        "a tensor of a GGUF file has at most 4 dimensions",
        "Readers have room for four.",
        READERS,
    ),
    error(
        "SOV2211",
        "the type of a tensor is known",
        "The size of a tensor of an unknown type cannot be checked. If the type is new and the file comes from somebody \
         you trust, a newer sovai may know it.",
        "crates/formats/data/ggml.toml",
    ),
    error(
        "SOV2212",
        "the size of a tensor fits into 64 bits, its rows are whole blocks",
        "Products that overflow have been used to make readers allocate too little.",
        READERS,
    ),
    error(
        "SOV2213",
        "tensors of a GGUF file start at a multiple of the alignment",
        "The format says so.",
        GGUF,
    ),
    error(
        "SOV2214",
        "tensors do not overlap",
        "Two tensors share bytes. No honest tool writes that.",
        READERS,
    ),
    error(
        "SOV2215",
        "nothing but padding lies between tensors",
        "Bytes between tensors are seen by no engine and could hold anything.",
        READERS,
    ),
    error(
        "SOV2216",
        "a GGUF file is not cut off",
        "The file ends before its last tensor. Engines that map files read zeros or rubbish there, without a word: \
         bring the file again.",
        READERS,
    ),
    error(
        "SOV2217",
        "nothing but padding follows the last tensor of a GGUF file",
        "Bytes after the tensors are seen by no engine. An archive or program may be hidden there.",
        OURS,
    ),
    error(
        "SOV2218",
        "parts of a split GGUF say the truth about themselves",
        "split.no and split.count contradict each other, or the name of the file: parts of two models may be mixed.",
        "llama.cpp, tools/gguf-split",
    ),
    error(
        "SOV2301",
        "a file is what its name says",
        "A pickle or program under the name of weights passes checks that look at names alone.",
        "CVE-2025-1889, CVE-2025-10155",
    ),
    error(
        "SOV2302",
        "no git-lfs pointer lies where a file should be",
        "The repository was copied without its large files: run `git lfs pull`, or download the files.",
        "git-lfs, docs/spec.md",
    ),
    error(
        "SOV2303",
        "a configuration file can be read",
        "A file that engines read as JSON, or a template, is not valid UTF-8 or JSON, so that it cannot be said what it \
         makes an engine do.",
        OURS,
    ),
    error(
        "SOV2304",
        "every file can be read",
        "The system gave an error. What was not read was not checked.",
        OURS,
    ),
    error(
        "SOV2305",
        "what is looked at is not too large",
        "The file is larger than what is read to look for code and templates, so it was not looked at.",
        OURS,
    ),
    warning(
        "SOV2401",
        "weights have no long runs of zeros",
        "Whole pages of zeros are what a damaged download or disk leaves. Some models have zero tensors for a reason.",
        "sovai; vmlx-swift #217",
    ),
    warning(
        "SOV2402",
        "weights have no NaN",
        "A value that is not a number spreads through every result.",
        OURS,
    ),
    warning(
        "SOV2403",
        "weights have no infinite values",
        "An infinite value spreads through every result.",
        OURS,
    ),
    warning(
        "SOV2404",
        "tensors are not constant",
        "Every element is the same. That is usual for norms and biases as they begin, and damage elsewhere.",
        OURS,
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_stand_once_and_in_order() {
        assert!(RULES.windows(2).all(|pair| pair[0].code < pair[1].code));
        assert!(RULES.iter().all(|rule| rule.code.starts_with("SOV2") && rule.code.len() == 7));
        assert_eq!(rule("SOV2014").map(|rule| rule.severity), Some(Severity::Error));
        assert_eq!(rule("SOV2999"), None);
    }

    #[test]
    fn the_documentation_has_every_rule() {
        let docs = include_str!("../../../docs/formats.md");
        for Rule { code, severity, title, explanation, .. } in RULES {
            let severity = if *severity == Severity::Error { "error" } else { "warning" };
            let line = format!("| {code} | {severity} | {title} | {explanation} |");
            assert!(docs.lines().any(|known| known == line), "{line}");
        }
    }

    /// Each code that an error can have is in the table.
    #[test]
    fn no_error_is_without_a_rule() {
        let source = include_str!("error.rs");
        let codes: Vec<&str> =
            source.match_indices("\"SOV2").map(|(at, _)| &source[at + 1..at + 8]).collect();
        assert!(codes.len() > 40);
        for code in codes {
            assert!(rule(code).is_some(), "{code}");
        }
    }
}
