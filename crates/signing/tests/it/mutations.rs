//! Seeded random damage: never a panic, never accepted unless what was signed is unchanged.

use crate::support::{bundle, good, key, vector};
use sovai_signing::dsse::Envelope;
use sovai_signing::oms::{Bundle, Compat};
use sovai_signing::statement::Statement;
use sovai_signing::{PrivateKey, PublicKey};
use std::time::{Duration, Instant};

/// Splitmix64 (Steele, Lea, Flood 2014): the same numbers on each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap()
    }
}

/// Flips, cuts, repeats, swaps or inserts.
fn mutate(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len());
        let to = at + random.below((bytes.len() - at).min(64));
        match random.below(6) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            1 => bytes.truncate(at),
            2 => drop(bytes.drain(at..to)),
            3 => {
                let piece = bytes[at..to].to_vec();
                bytes.splice(at..at, piece);
            }
            4 => bytes.insert(at, b" \"{}[]:,\\0\xff"[random.below(11)]),
            _ => {
                let other = random.below(bytes.len());
                if !bytes.is_empty() {
                    bytes.swap(at, other);
                }
            }
        }
    }
    bytes
}

#[test]
fn a_thousand_damaged_bundles() {
    let mut random = Random(4);
    let golden_key = sovai_signing::PublicKey::from_pem(&vector("golden.pub")).unwrap();
    let own = bundle(&good()).to_string().into_bytes();
    let mut harmless = 0;
    for (text, key) in [(vector("golden.sig"), &golden_key), (own, key().public())] {
        let original = Bundle::parse(&text, Compat::Strict).unwrap();
        for round in 0..1000 {
            let damaged = mutate(&text, &mut random);
            let started = Instant::now();
            for compat in [Compat::Strict, Compat::Compat] {
                let Ok(bundle) = Bundle::parse(&damaged, compat) else { continue };
                if bundle.verify_key(key).is_err() {
                    continue;
                }
                // Space between tokens, or the key's name, which nobody reads: what was signed is as it was.
                assert_eq!(bundle.payload(), original.payload(), "round {round}");
                assert_eq!(bundle.signature(), original.signature(), "round {round}");
                harmless += 1;
            }
            assert!(started.elapsed() < Duration::from_secs(1), "round {round}");
        }
    }
    assert!(harmless < 200, "{harmless} of 4000 changed nothing that counts");
}

#[test]
fn a_thousand_damaged_envelopes_statements_and_keys() {
    let mut random = Random(5);
    let envelope = Envelope::sign("text/plain", b"payload".to_vec(), &[key()]);
    let statement = good().to_string().into_bytes();
    let private = key().to_pkcs8_pem(None).unwrap();
    let public = key().public().to_pem();
    for round in 0..1000 {
        if let Ok(read) = Envelope::parse(&mutate(envelope.to_json().as_bytes(), &mut random))
            && !read.verified_by(std::slice::from_ref(key().public())).is_empty()
        {
            assert_eq!(
                (&read.payload, &read.payload_type),
                (&envelope.payload, &envelope.payload_type),
                "{round}"
            );
        }
        drop(Statement::parse(&mutate(&statement, &mut random)));
        drop(PrivateKey::from_pem(&mutate(private.as_bytes(), &mut random), Some(b"x")));
        if let Ok(read) = PublicKey::from_pem(&mutate(public.as_bytes(), &mut random)) {
            // Damage to the base64 gives another point or none.
            assert!(read == *key().public() || read.id() != key().public().id());
        }
    }
}
