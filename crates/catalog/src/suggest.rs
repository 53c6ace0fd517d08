//! "Did you mean".

/// Gives the candidate that was most likely meant by `word`, or nothing when none is near.
///
/// Near is: equal but for case and `-`, `_`, `.`; or at most a third of its letters wrong (at least one, a swap counts
/// as one).
pub fn suggest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Longer words are never a slip of one of ours; the distance costs the product of both lengths.
    if word.len() > 128 {
        return None;
    }
    let plain = fold(word);
    let mut best: Option<(usize, &'a str)> = None;
    for candidate in candidates {
        let distance = strsim::osa_distance(&plain, &fold(candidate));
        let allowed = (plain.chars().count().max(candidate.chars().count()) / 3).max(1);
        // One letter more or less than one letter is any word at all.
        if distance > allowed || distance >= plain.chars().count().max(1) {
            continue;
        }
        if best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// What two spellings of one word share.
fn fold(word: &str) -> String {
    word.chars().filter(|c| !matches!(c, '-' | '_' | '.')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let keys = ["source", "license", "files", "mirrors", "clientCa", "ids"];
        assert_eq!(suggest("sorce", keys), Some("source"));
        assert_eq!(suggest("licence", keys), Some("license"));
        assert_eq!(suggest("file", keys), Some("files"));
        assert_eq!(suggest("client_ca", keys), Some("clientCa"));
        assert_eq!(suggest("SOURCE", keys), Some("source"));
        assert_eq!(suggest("soucre", keys), Some("source"), "a swap of neighbours is one slip");
        assert_eq!(suggest("volumes", keys), None);
        assert_eq!(suggest("x", keys), None);
        assert_eq!(suggest("", keys), None);
        assert_eq!(suggest(&"x".repeat(100_000), keys), None);
        assert_eq!(suggest("llamacpp", ["llama.cpp", "vllm"]), Some("llama.cpp"));
    }
}
