use super::*;
use crate::listing::{Listing, ListingKind};
use crate::revocation::{ListedModel, RevocationList};
use crate::store::Details;
use crate::witness::Record;
use sovai_evidence::Log;
use sovai_signing::dsse::Envelope;
use sovai_signing::statement::PAYLOAD_TYPE;
use sovai_signing::{Algorithm, PrivateKey};
use sovai_store::Store;

/// 2025-11-25T00:00:00Z.
const NOW: u64 = 1_764_028_800;
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

struct Place {
    _dir: tempfile::TempDir,
    store: Store,
    pins: Vec<FilePin>,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let pin = |path: &str, byte| FilePin {
            path: RelPath::new(path).unwrap(),
            size: 1,
            sha256: Sha256::from_bytes([byte; 32]),
        };
        Self { _dir: dir, store, pins: vec![pin("config.json", 1), pin("w.safetensors", 2)] }
    }

    fn trust(&self) -> TrustStore {
        TrustStore::open(&self.store).unwrap()
    }

    fn key(&self, role: Role, publisher: Option<&str>) -> KeyId {
        let key = PrivateKey::generate(Algorithm::P256).unwrap();
        let details = Details {
            name: Some(format!("the {role}")),
            publisher: publisher.map(str::to_owned),
            expires: None,
        };
        self.trust().add(key.public(), role, &details, NOW).unwrap();
        key.public().id()
    }

    fn seen(&self, address: &str, pins: &[FilePin]) {
        let record = Record {
            source: address.parse().unwrap(),
            time: NOW - 60,
            place: "desk-7".to_owned(),
            list: None,
            listing: Listing::of_pins(ListingKind::Folder, pins).unwrap(),
        };
        let key = sovai_evidence::site_key(&self.store).unwrap();
        Log::open(&self.store).append(&record.to_statement(), &key).unwrap();
    }

    fn level<'a>(
        &'a self,
        signatures: &'a [SignedBy<'a>],
        change: impl FnOnce(&mut LevelInput<'_>),
    ) -> Level {
        let trust = self.trust();
        let witnesses = trust.witnesses(NOW).unwrap();
        let git_blobs = BTreeMap::new();
        let mut input = LevelInput {
            basis: Basis::Pins,
            matches: true,
            pins: &self.pins,
            digests: &[],
            git_blobs: &git_blobs,
            publisher: Some("DeepSeek"),
            source: Some("file:./weights"),
            revision: None,
            resolved_at_hub: false,
            signatures,
            witnesses: &witnesses,
            sources: DEFAULT_SOURCES,
            demands: &[],
            system: NOW,
        };
        change(&mut input);
        trust.level(&input)
    }
}

fn by(key: KeyId) -> SignedBy<'static> {
    SignedBy { key, what: "model.sig", when: Some(NOW - 5), certified: None }
}

#[test]
fn without_anybody_who_vouches_it_is_a_digest_and_says_what_is_missing() {
    let place = Place::new();
    let level = place.level(&[], |_| {});
    assert_eq!(level.level, TrustLevel::Digest);
    assert_eq!(level.why, ["every byte is what was pinned"]);
    let signed = place.level(&[], |input| input.basis = Basis::Signature);
    assert_eq!(signed.why, ["every byte is what was signed"]);
    let refused = place.level(&[], |input| (input.basis, input.pins) = (Basis::Passport, &[]));
    assert_eq!(refused.missing, ["a passport that holds, signed by a key that is trusted"]);
    assert_eq!(
        level.missing,
        [
            "for `hub-pinned`: the digests that a hub lists for a full commit; record them with `sovai trust witness`"
        ]
    );
    assert_eq!(level.notes, ["no publisher signature is known for weights of DeepSeek"]);
    assert!(level.vouchers.is_empty() && level.refusals.is_empty());
    assert_eq!(place.level(&[], |input| input.matches = false).level, TrustLevel::Unknown);
    assert_eq!(place.level(&[], |input| input.pins = &[]).level, TrustLevel::Unknown);
}

#[test]
fn what_is_known_of_a_publisher_is_found_by_the_source_too() {
    let place = Place::new();
    for (publisher, source, name) in [
        (None, "hf:deepseek-ai/DeepSeek-R1", "DeepSeek"),
        (None, "hf:moonshotai/Kimi-K2", "Moonshot AI"),
        (Some("qwen"), "file:x", "Qwen"),
    ] {
        let level = place.level(&[], |input| (input.publisher, input.source) = (publisher, Some(source)));
        assert_eq!(level.notes, [format!("no publisher signature is known for weights of {name}")]);
    }
    let level = place.level(&[], |input| (input.publisher, input.source) = (Some("nobody"), None));
    assert!(level.notes.is_empty());
}

#[test]
fn signatures_give_the_levels_of_their_roles() {
    let place = Place::new();
    let countersigner = place.key(Role::Countersigner, None);
    let level = place.level(&[by(countersigner)], |_| {});
    assert_eq!(level.level, TrustLevel::Countersigned);
    assert_eq!(level.why, ["signed by 1 key of the role countersigner, of 1 needed"]);
    let voucher = &level.vouchers[0];
    assert!(voucher.name.starts_with("the countersigner (key "), "{}", voucher.name);
    assert_eq!((voucher.role, voucher.when), (Some(Role::Countersigner), Some(NOW - 5)));
    assert_eq!(level.missing, ["for `publisher`: a signature by 1 trusted key of the publisher DeepSeek"]);

    let publisher = place.key(Role::Publisher, Some("deepseek-ai"));
    let level = place.level(&[by(publisher), by(countersigner)], |_| {});
    assert_eq!(level.level, TrustLevel::Publisher);
    assert_eq!((level.vouchers.len(), level.missing.len(), level.refusals.len()), (2, 0, 0));
    assert_eq!(
        level.notes,
        [
            "that the key is one of DeepSeek is the word of whoever added it to this store: the catalogue knows none"
        ],
        "and not that no signature is known"
    );
    let other = place.level(&[by(publisher)], |input| input.publisher = Some("Qwen"));
    assert_eq!(other.level, TrustLevel::Digest);
    assert_eq!(other.refusals[0].code, codes::KEY_OF_OTHER_PUBLISHER);

    // Roles that do not vouch for models give no level.
    for role in [Role::Bundle, Role::Border, Role::Site, Role::Revocation] {
        let key = place.key(role, None);
        let level = place.level(&[by(key)], |_| {});
        assert_eq!((level.level, level.refusals[0].code), (TrustLevel::Digest, codes::KEY_UNKNOWN), "{role}");
    }
}

#[test]
fn a_threshold_is_not_met_by_one_key_in_many_signatures() {
    let place = Place::new();
    let one = place.key(Role::Countersigner, None);
    place.trust().set_threshold(Role::Countersigner, 2).unwrap();
    let level = place.level(&[by(one), by(one), by(one)], |_| {});
    assert_eq!(level.level, TrustLevel::Digest);
    let two = place.key(Role::Countersigner, None);
    assert_eq!(place.level(&[by(one), by(two)], |_| {}).level, TrustLevel::Countersigned);
    assert_eq!(
        level.missing[0],
        "for `countersigned`: 1 of 2 keys signed; a signature by 1 more trusted key of the role countersigner"
    );
    assert!(level.missing[1].starts_with("for `hub-pinned`: "), "{:?}", level.missing);
    assert_eq!(level.missing.len(), 2);
}

#[test]
fn unknown_revoked_and_expired_keys_do_not_count_and_are_named() {
    let place = Place::new();
    let stranger = PrivateKey::generate(Algorithm::P256).unwrap().public().id();
    assert_eq!(place.level(&[by(stranger)], |_| {}).refusals[0].code, codes::KEY_UNKNOWN);
    let key = place.key(Role::Countersigner, None);
    place.trust().revoke(key, None, NOW).unwrap();
    let level = place.level(&[by(key)], |_| {});
    assert_eq!((level.level, level.refusals[0].code), (TrustLevel::Digest, codes::KEY_REVOKED));
    assert_eq!(level.refusals.len(), 1, "once, though two roles were tried");
    let expiring = PrivateKey::generate(Algorithm::P256).unwrap();
    let details = Details { expires: Some("2025-11-25".parse().unwrap()), ..Details::default() };
    place.trust().add(expiring.public(), Role::Countersigner, &details, NOW).unwrap();
    let expiring = expiring.public().id();
    assert_eq!(place.level(&[by(expiring)], |_| {}).level, TrustLevel::Countersigned);
    let level = place.level(&[by(expiring)], |input| input.system = NOW + 86_400);
    assert_eq!((level.level, level.refusals[0].code), (TrustLevel::Digest, codes::KEY_EXPIRED));
}

#[test]
fn two_independent_sources_corroborate_and_two_mirrors_of_one_hub_do_not() {
    let place = Place::new();
    let pins = place.pins.clone();
    place.seen(&format!("hf:deepseek-ai/x@{COMMIT}"), &pins);
    let level = place.level(&[], |_| {});
    assert_eq!(level.level, TrustLevel::HubPinned);
    assert_eq!(
        level.why[0],
        format!(
            "the pins are those recorded for hf:deepseek-ai/x@{COMMIT} on desk-7, 2025-11-24T23:59:00Z, from a folder that was said to come from there"
        )
    );
    place.seen("https://cdn.huggingface.co/x", &pins);
    let level = place.level(&[], |_| {});
    assert_eq!(level.level, TrustLevel::HubPinned);
    assert_eq!(level.sources.len(), 2);
    place.seen("modelscope:deepseek-ai/x@master", &pins);
    let level = place.level(&[], |_| {});
    assert_eq!(level.level, TrustLevel::Corroborated);
    assert_eq!(level.why, ["the same digests were seen at 2 independent sources"]);
    assert!(
        level
            .vouchers
            .iter()
            .all(|voucher| voucher.whereabouts == "desk-7" && voucher.when == Some(NOW - 60))
    );
    assert_eq!(place.level(&[], |input| input.sources = 3).level, TrustLevel::HubPinned);
    assert_eq!(
        place.level(&[], |input| input.sources = 0).level,
        TrustLevel::Corroborated,
        "never less than two"
    );
}

#[test]
fn a_source_that_lacks_or_differs_in_a_file_does_not_corroborate() {
    let place = Place::new();
    let mut pins = place.pins.clone();
    place.seen("hf:a/b@main", &pins);
    place.seen("https://one.example/x", &pins[1..]);
    let level = place.level(&[], |_| {});
    assert_eq!(level.level, TrustLevel::Digest);
    assert_eq!(level.sources[1].not_witnessed[0].as_str(), "config.json");
    pins[0].sha256 = Sha256::from_bytes([7; 32]);
    place.seen("https://two.example2/x", &pins);
    let level = place.level(&[], |_| {});
    assert_eq!(level.level, TrustLevel::Digest);
    assert_eq!(level.refusals[0].code, codes::SOURCE_DIFFERS);
    assert!(level.refusals[0].message.contains("config.json"));
    // A source of another model that has a file of the same name says nothing of this one.
    for pin in &mut pins {
        pin.sha256 = Sha256::from_bytes([8; 32]);
    }
    place.seen("https://three.example3/x", &pins);
    assert!(place.level(&[], |_| {}).sources.iter().all(|source| !source.source.contains("three")));
}

#[test]
fn a_branch_pins_nothing_and_a_resolved_commit_does() {
    let place = Place::new();
    let of = |revision: &'static str, resolved: bool| {
        place
            .level(&[], |input| {
                input.source = Some("hf:deepseek-ai/x");
                input.revision = Some(revision);
                input.resolved_at_hub = resolved;
            })
            .level
    };
    assert_eq!(of(COMMIT, true), TrustLevel::HubPinned);
    assert_eq!(of("main", true), TrustLevel::Digest);
    assert_eq!(of(COMMIT, false), TrustLevel::Digest, "what a manifest claims proves nothing");
}

#[test]
fn a_revoked_model_or_file_is_refused_whoever_signed_it() {
    let place = Place::new();
    let revoker = PrivateKey::generate(Algorithm::Ed25519).unwrap();
    place.trust().add(revoker.public(), Role::Revocation, &Details::default(), NOW).unwrap();
    let signer = place.key(Role::Countersigner, None);
    let list = RevocationList {
        number: 1,
        issued: NOW,
        keys: Vec::new(),
        models: vec![ListedModel {
            digest: place.pins[1].sha256,
            name: Some("x".to_owned()),
            reason: "poisoned".to_owned(),
        }],
    };
    let payload = list.to_statement().unwrap().to_json().into_bytes();
    let bytes = Envelope::sign(PAYLOAD_TYPE, payload, &[&revoker]).to_json();
    place.trust().apply_list(bytes.as_bytes(), NOW).unwrap();
    let level = place.level(&[by(signer)], |_| {});
    assert_eq!(level.level, TrustLevel::Unknown);
    assert!(level.revoked().unwrap().message.ends_with(", listed as x, is revoked: poisoned"));
    assert_eq!(level.revocations.unwrap().number, 1);
    let level = place.level(&[], |input| {
        // As the digest of a whole model.
        let digest: &'static [Sha256] = Box::leak(Box::new([input.pins[1].sha256]));
        (input.pins, input.digests) = (&[], digest);
    });
    assert!(level.revoked().is_some());

    // The same with a clock that was set back: it is said.
    let level = place.level(&[], |input| input.system = NOW - 1000);
    assert_eq!(level.refusals[0].code, codes::CLOCK_BEHIND);
}

#[test]
fn a_policy_raises_what_the_store_asks_and_never_lowers_it() {
    let place = Place::new();
    let key = PrivateKey::generate(Algorithm::P256).unwrap().public().clone();
    let certified =
        |role| SignedBy { certified: Some(Certified { role, subject: "CN=Release" }), ..by(key.id()) };
    let level = |signed: SignedBy<'_>, demands: &[Demand]| {
        let demands = demands.to_vec();
        let trust = place.trust();
        let witnesses = trust.witnesses(NOW).unwrap();
        let git_blobs = BTreeMap::new();
        trust.level(&LevelInput {
            basis: Basis::Pins,
            matches: true,
            pins: &place.pins,
            digests: &[],
            git_blobs: &git_blobs,
            publisher: None,
            source: None,
            revision: None,
            resolved_at_hub: false,
            signatures: &[signed],
            witnesses: &witnesses,
            sources: DEFAULT_SOURCES,
            demands: &demands,
            system: NOW,
        })
    };
    let demand = |keys, threshold| [Demand { role: Role::Publisher, keys, threshold }];
    assert_eq!(level(by(key.id()), &[]).level, TrustLevel::Digest, "nobody knows the key");
    let found = level(certified(Role::Publisher), &[]);
    assert_eq!((found.level, found.vouchers[0].name.as_str()), (TrustLevel::Publisher, "CN=Release"));
    assert_eq!(level(certified(Role::Countersigner), &[]).level, TrustLevel::Countersigned);
    assert_eq!(level(certified(Role::Publisher), &demand(None, 2)).level, TrustLevel::Digest);
    let others = level(certified(Role::Publisher), &demand(Some(BTreeSet::new()), 1));
    assert_eq!(others.level, TrustLevel::Digest);
    assert!(others.refusals[0].message.ends_with("the policy counts other keys only"), "{others:?}");
    let own = demand(Some(BTreeSet::from([key.id()])), 1);
    assert_eq!(level(certified(Role::Publisher), &own).level, TrustLevel::Publisher);
}

#[test]
fn who_has_no_store_trusts_nobody() {
    let mut trust = TrustStore::empty();
    assert!(trust.list().is_empty() && trust.witnesses(NOW).unwrap().sightings.is_empty());
    let key = PrivateKey::generate(Algorithm::P256).unwrap();
    assert!(trust.set_threshold(Role::Bundle, 2).is_err());
    assert!(trust.keys(Role::Site, NOW).is_empty() && trust.key(key.public().id()).is_none());
}

#[test]
fn a_mirror_that_stood_in_for_a_hub_is_no_second_source_beside_it() {
    let place = Place::new();
    let seen = |address: &str, hub: &str| {
        let record = Record {
            source: address.parse::<crate::Source>().unwrap().standing_for(hub),
            time: NOW - 60,
            place: "desk-7".to_owned(),
            list: None,
            listing: Listing::of_pins(ListingKind::HubSiblings, &place.pins).unwrap(),
        };
        assert_eq!(Record::from_statement(record.to_statement()).unwrap(), record);
        let key = sovai_evidence::site_key(&place.store).unwrap();
        Log::open(&place.store).append(&record.to_statement(), &key).unwrap();
    };
    let level = || place.level(&[], |_| {}).level;
    let mirror = format!("https://mirror.example/org/name@{COMMIT}");
    seen(&mirror, "hf");
    place.seen(&format!("hf:org/name@{COMMIT}"), &place.pins);
    assert_eq!(level(), TrustLevel::HubPinned, "the hub twice");
    // The same by hand does not make two of it.
    place.seen(&mirror, &place.pins);
    assert_eq!(level(), TrustLevel::HubPinned);
    // Nor is it one beside both hubs.
    place.seen("modelscope:org/name@master", &place.pins);
    let judged = place.level(&[], |input| input.sources = 3);
    assert!(judged.missing[0].contains("seen at 2;"), "{:?}", judged.missing);
    seen("https://mirror.example/ms/org/name", "modelscope");
    let judged = place.level(&[], |input| input.sources = 3);
    assert!(judged.missing[0].contains("seen at 2;"), "{:?}", judged.missing);
}

#[test]
fn one_mirror_of_two_hubs_is_one_source() {
    let place = Place::new();
    for (address, hub) in [("https://mirror.example/a", "hf"), ("https://mirror.example/b", "modelscope")] {
        let record = Record {
            source: address.parse::<crate::Source>().unwrap().standing_for(hub),
            time: NOW - 60,
            place: "desk-7".to_owned(),
            list: None,
            listing: Listing::of_pins(ListingKind::HubSiblings, &place.pins).unwrap(),
        };
        let key = sovai_evidence::site_key(&place.store).unwrap();
        Log::open(&place.store).append(&record.to_statement(), &key).unwrap();
    }
    assert_eq!(place.level(&[], |_| {}).level, TrustLevel::Digest);
    place.seen("hf:org/name@main", &place.pins);
    assert_eq!(
        place.level(&[], |_| {}).level,
        TrustLevel::Corroborated,
        "the hub, and the other by its mirror"
    );
}
