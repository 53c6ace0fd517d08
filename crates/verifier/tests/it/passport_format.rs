//! The passport's file: one form, which an independent program writes too, and everything else is refused.

use crate::common::Model;
use crate::passport::{MIB, against, model, passport};
use sovai_core::Sha256;
use sovai_verifier::{Passport, PassportError};

#[test]
fn a_mutated_passport_is_refused() {
    let model = model();
    let json = passport(&model).to_json();
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    for round in 0..1000 {
        let mut mutant = json.clone();
        let at = random(mutant.len());
        match round % 5 {
            0 => mutant[at] ^= 1 << random(8),
            1 => mutant.truncate(at),
            2 => drop(mutant.remove(at)),
            3 => mutant.insert(at, mutant[at]),
            _ => {
                let with = random(mutant.len());
                mutant.swap(at, with);
            }
        }
        // Doubling or swapping equal bytes changes nothing.
        if mutant != json {
            let refused = Passport::parse(&mutant);
            assert!(refused.is_err(), "round {round}");
        }
    }
}

/// The passport's JSON after a change, with the seal that fits it.
fn sealed(json: &[u8], change: impl Fn(String) -> String) -> Vec<u8> {
    use sha2::Digest as _;
    let text = String::from_utf8(json.to_vec()).unwrap();
    let (body, _) = text.split_once(",\"digest\":").unwrap();
    let body = change(format!("{body}}}"));
    let digest = Sha256::from_bytes(sha2::Sha256::digest(&body).into());
    format!("{},\"digest\":\"{digest}\"}}\n", body.strip_suffix('}').unwrap()).into_bytes()
}

#[test]
fn a_passport_that_contradicts_itself_is_refused_also_when_it_is_sealed() {
    let model = model();
    let passport = passport(&model);
    let json = passport.to_json();
    assert_eq!(sealed(&json, |body| body), json);
    let cases: [(&str, &str, &str); 10] = [
        ("\"size\":2,", "\"size\":3,", "`model` of `the passport`"),
        ("\"chunkSize\":1048576", "\"chunkSize\":2097152", "`chunkSize` of `the passport`"),
        ("sovai/v1", "sovai/v2", "found `sovai/v2`"),
        ("\"kind\":\"Passport\"", "\"kind\":\"Passport\",\"kind\":\"Passport\"", "duplicate field `kind`"),
        ("\"kind\":\"Passport\"", "\"kind\":\"Passport\",\"more\":1", "unknown field `more`"),
        ("\"kind\":\"Passport\"", "\"kind\": \"Passport\"", "not written in the one form"),
        ("config.json", "../onfig.json", "is not the JSON of a passport"),
        ("config.json", "zonfig.json", "files sorted by path"),
        ("\"gitBlob\":\"9e26dfeeb6e641a33dae4961196235bdb965b21b\",", "", "`gitBlob` of `config.json`"),
        ("\"gitBlob\":\"9e26", "\"gitBlob\":\"9E26", "`gitBlob` of `config.json`"),
    ];
    for (from, to, expected) in cases {
        let changed = sealed(&json, |body| body.replacen(from, to, 1));
        assert_ne!(changed, json, "{from}");
        let error = Passport::parse(&changed).unwrap_err().to_string();
        assert!(error.contains(expected), "{from}: {error}");
    }
    // One value of a chunk, by one bit of its Base64.
    let changed = sealed(&json, |body| {
        let at = body.find("\"chunks\":\"").unwrap() + 10;
        let other = if body.as_bytes()[at] == b'A' { "B" } else { "A" };
        format!("{}{other}{}", &body[..at], &body[at + 1..])
    });
    let error = Passport::parse(&changed).unwrap_err();
    assert!(matches!(error, PassportError::Inconsistent { member: "blake3", .. }), "{error}");
    // One value too few, and one too many.
    for change in [|text: &str| text[44..].to_owned(), |text: &str| format!("{}{text}", &text[..128])] {
        let changed = sealed(&json, |body| {
            let at = body.find("\"chunks\":\"").unwrap() + 10;
            let end = at + body[at..].find('"').unwrap();
            format!("{}{}{}", &body[..at], change(&body[at..end]), &body[end..])
        });
        let error = Passport::parse(&changed).unwrap_err();
        assert!(matches!(error, PassportError::Inconsistent { member: "chunks", .. }), "{error}");
    }
    let error = Passport::parse(&vec![b' '; (48 << 20) + 1]).unwrap_err();
    assert!(matches!(error, PassportError::TooLarge { .. }), "{error}");
    let error = Passport::parse(b"{}").unwrap_err();
    assert!(matches!(error, PassportError::Unsealed), "{error}");
}

/// Made by `tests/vectors/passport.py`, which shares no code with us.
const VECTOR: &[u8] = include_bytes!("../vectors/passport.json");

#[test]
fn an_independent_program_makes_the_same_passport() {
    let sizes: [(&str, u64); 5] = [
        ("weights/model-00001.safetensors", 2 * MIB + 12_345),
        ("weights/model-00002.safetensors", MIB),
        ("model.gguf", MIB + 1),
        ("config.json", 700),
        ("README.md", 0),
    ];
    let model = Model::new(&[]);
    for (seed, (path, size)) in (0u64..).zip(sizes) {
        let bytes: Vec<u8> =
            (0..size).map(|i| u8::try_from((i * 7 + (i >> 8) + seed) % 251).unwrap()).collect();
        model.write(path, &bytes);
    }
    let json = passport(&model).to_json();
    assert_eq!(String::from_utf8(json).unwrap(), String::from_utf8(VECTOR.to_vec()).unwrap());
    assert_eq!(against(&model, &Passport::parse(VECTOR).unwrap()).findings, []);
}
