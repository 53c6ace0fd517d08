use super::*;
use crate::revocation::{ListedKey, RevocationError};
use sovai_signing::statement::PAYLOAD_TYPE;
use sovai_signing::{Algorithm, PrivateKey};

/// 2025-11-25T00:00:00Z.
const NOW: u64 = 1_764_028_800;
const DAY: u64 = 86_400;

struct Place {
    _dir: tempfile::TempDir,
    store: Store,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        Self { _dir: dir, store }
    }

    fn trust(&self) -> TrustStore {
        TrustStore::open(&self.store).unwrap()
    }
}

fn key() -> PrivateKey {
    PrivateKey::generate(Algorithm::Ed25519).unwrap()
}

fn list(number: u64, issued: u64, keys: &[KeyId], models: &[Sha256]) -> RevocationList {
    RevocationList {
        number,
        issued,
        keys: keys
            .iter()
            .map(|id| ListedKey { id: *id, reason: "lost".to_owned(), since: Some(issued) })
            .collect(),
        models: models
            .iter()
            .map(|digest| ListedModel { digest: *digest, name: None, reason: "poisoned".to_owned() })
            .collect(),
    }
}

fn signed(list: &RevocationList, keys: &[&PrivateKey]) -> Vec<u8> {
    let payload = list.to_statement().unwrap().to_json().into_bytes();
    Envelope::sign(PAYLOAD_TYPE, payload, keys).to_json().into_bytes()
}

fn ids(keys: &[&PrivateKey]) -> BTreeSet<KeyId> {
    keys.iter().map(|key| key.public().id()).collect()
}

#[test]
fn a_key_has_each_role_once_and_survives_reopening() {
    let place = Place::new();
    let key = key();
    let details = Details { name: Some("ministry".to_owned()), ..Details::default() };
    let mut trust = place.trust();
    assert_eq!(trust.add(key.public(), Role::Countersigner, &details, NOW).unwrap(), Added::New);
    assert_eq!(trust.add(key.public(), Role::Countersigner, &details, NOW + 9).unwrap(), Added::Unchanged);
    assert_eq!(trust.add(key.public(), Role::Bundle, &Details::default(), NOW).unwrap(), Added::New);
    let later = Details { expires: Some("2026-01-31".parse().unwrap()), ..details };
    assert_eq!(trust.add(key.public(), Role::Countersigner, &later, NOW + 9).unwrap(), Added::Changed);

    let again = place.trust();
    assert_eq!(again.list().len(), 2);
    assert_eq!(again.list()[0].expires, later.expires);
    assert_eq!(again.list()[0].added, NOW);
    let before = fs_err::read(place.store.trust().join("trust.json")).unwrap();
    trust.add(key.public(), Role::Countersigner, &later, NOW).unwrap();
    assert_eq!(fs_err::read(place.store.trust().join("trust.json")).unwrap(), before);
}

#[test]
fn a_revoked_key_counts_for_nothing_and_never_comes_back() {
    let place = Place::new();
    let key = key();
    let id = key.public().id();
    let mut trust = place.trust();
    trust.add(key.public(), Role::Countersigner, &Details::default(), NOW).unwrap();
    assert!(trust.quorum(Role::Countersigner, None, &ids(&[&key]), NOW).satisfied());
    let found = trust.find(&id.0.hex()[..8]).unwrap();
    assert_eq!(found, id);
    assert!(trust.revoke(id, Some("stolen"), NOW).unwrap());
    assert!(!trust.revoke(id, None, NOW).unwrap(), "twice is no news");
    for role in Role::ALL {
        let error = place.trust().add(key.public(), role, &Details::default(), NOW).unwrap_err();
        assert!(matches!(error, TrustError::Revoked { .. }), "{error}");
        assert!(error.to_string().contains("stolen"));
    }
    let quorum = place.trust().quorum(Role::Countersigner, None, &ids(&[&key]), NOW);
    assert_eq!((quorum.missing(), quorum.uncounted[0].why.clone()), (1, Why::Revoked));
    assert!(place.trust().keys(Role::Countersigner, NOW).is_empty());
}

#[test]
fn keys_are_found_by_enough_digits_only() {
    let place = Place::new();
    let mut trust = place.trust();
    let key = key();
    trust.add(key.public(), Role::Bundle, &Details::default(), NOW).unwrap();
    let id = key.public().id();
    assert_eq!(trust.find(&id.to_string()).unwrap(), id);
    for text in [&id.0.hex()[..7], "", "sha256:", "00000000", "zzzzzzzz", &id.0.hex().to_uppercase()] {
        assert!(matches!(trust.find(text), Err(TrustError::Unknown(_))), "{text}");
    }
}

#[test]
fn thresholds_count_distinct_key_material() {
    let place = Place::new();
    let (one, two, stranger) = (key(), key(), key());
    let mut trust = place.trust();
    for (key, role) in [(&one, Role::Revocation), (&two, Role::Revocation), (&one, Role::Bundle)] {
        trust.add(key.public(), role, &Details::default(), NOW).unwrap();
    }
    trust.set_threshold(Role::Revocation, 2).unwrap();
    assert_eq!(place.trust().threshold(Role::Revocation), 2);
    for wrong in [0, 65] {
        assert!(matches!(trust.set_threshold(Role::Bundle, wrong), Err(TrustError::Threshold { .. })));
    }

    let list = list(1, NOW, &[], &[]);
    // The same key twice, and a key that is not trusted: one distinct key signed.
    let payload = list.to_statement().unwrap().to_json().into_bytes();
    let mut envelope = Envelope::sign(PAYLOAD_TYPE, payload, &[&one, &one, &stranger]);
    envelope.signatures[1].keyid = Some("another name".to_owned());
    let error = trust.apply_list(envelope.to_json().as_bytes(), NOW).unwrap_err();
    assert!(matches!(error, TrustError::Unsigned { needed: 2, found: 1 }), "{error}");
    assert!(trust.revocation_list().is_none());
    trust.apply_list(&signed(&list, &[&one, &two]), NOW).unwrap();
    assert_eq!(place.trust().revocation_list().unwrap().number, 1);
}

#[test]
fn expiry_is_judged_by_the_later_of_clock_and_newest_signed_time() {
    let place = Place::new();
    let (key, revoker) = (key(), key());
    let mut trust = place.trust();
    let details = Details { expires: Some("2025-11-25".parse().unwrap()), ..Details::default() };
    trust.add(key.public(), Role::Countersigner, &details, NOW).unwrap();
    trust.add(revoker.public(), Role::Revocation, &Details::default(), NOW).unwrap();
    let why = |system| {
        let quorum = place.trust().quorum(Role::Countersigner, None, &ids(&[&key]), system);
        quorum.uncounted.first().map(|entry| entry.why.clone())
    };
    assert_eq!(why(NOW + DAY - 1), None);
    assert_eq!(why(NOW + DAY), Some(Why::Expired));
    // A list of the next day is taken in; setting the clock back does not bring the key back.
    trust.apply_list(&signed(&list(1, NOW + DAY, &[], &[]), &[&revoker]), NOW + DAY).unwrap();
    assert_eq!(why(NOW), Some(Why::Expired));
    assert_eq!(place.trust().now(NOW).behind, DAY);
    let error = trust.add(self::key().public(), Role::Border, &details, NOW).unwrap_err();
    assert!(matches!(error, TrustError::Expired { .. }), "{error}");
}

#[test]
fn lists_rise_and_revoke_for_good() {
    let place = Place::new();
    let (revoker, victim) = (key(), key());
    let model = Sha256::from_bytes([7; 32]);
    let mut trust = place.trust();
    trust.add(victim.public(), Role::Publisher, &Details::default(), NOW).unwrap();
    let bytes = signed(&list(3, NOW, &[victim.public().id()], &[model]), &[&revoker]);
    let error = trust.apply_list(&bytes, NOW).unwrap_err();
    assert!(matches!(error, TrustError::Unsigned { found: 0, .. }), "{error}");
    trust.add(revoker.public(), Role::Revocation, &Details::default(), NOW).unwrap();
    let applied = trust.apply_list(&bytes, NOW).unwrap();
    assert_eq!((applied.before, &*applied.lost), (None, &[victim.public().id()][..]));
    assert_eq!(trust.revoked_model([&model]).unwrap().reason, "poisoned");
    assert_eq!(trust.apply_list(&bytes, NOW).unwrap().before, Some(3), "the same list again is no news");
    assert_eq!(trust.revocation_knowledge(NOW + 41 * DAY).unwrap().age, 41 * DAY);

    let other = signed(&list(3, NOW + 1, &[], &[]), &[&revoker]);
    assert!(matches!(trust.apply_list(&other, NOW), Err(TrustError::SameNumber { number: 3 })));
    let older = signed(&list(2, NOW, &[], &[]), &[&revoker]);
    assert!(matches!(trust.apply_list(&older, NOW), Err(TrustError::Older { known: 3, found: 2 })));

    let newer = signed(&list(4, NOW + 2, &[], &[]), &[&revoker]);
    assert_eq!(trust.apply_list(&newer, NOW).unwrap().before, Some(3));
    let trust = place.trust();
    assert_eq!(trust.revoked_key(victim.public().id()).unwrap().list, Some(3), "keys stay revoked");
    assert!(trust.revoked_model([&model]).is_none(), "of models the newest list counts");
    assert!(matches!(
        place.trust().add(victim.public(), Role::Bundle, &Details::default(), NOW),
        Err(TrustError::Revoked { .. })
    ));
}

#[test]
fn a_list_that_revokes_its_own_signer_is_the_last_of_it() {
    let place = Place::new();
    let revoker = key();
    let mut trust = place.trust();
    trust.add(revoker.public(), Role::Revocation, &Details::default(), NOW).unwrap();
    trust.apply_list(&signed(&list(1, NOW, &[revoker.public().id()], &[]), &[&revoker]), NOW).unwrap();
    let next = signed(&list(2, NOW, &[], &[]), &[&revoker]);
    assert!(matches!(trust.apply_list(&next, NOW), Err(TrustError::Unsigned { .. })));
}

#[test]
fn a_kill_between_the_two_writes_of_a_list_is_completed_by_the_same_command() {
    let place = Place::new();
    let (revoker, victim) = (key(), key());
    let mut trust = place.trust();
    trust.add(revoker.public(), Role::Revocation, &Details::default(), NOW).unwrap();
    let bytes = signed(&list(1, NOW, &[victim.public().id()], &[]), &[&revoker]);
    trust.apply_list(&bytes, NOW).unwrap();
    fs_err::remove_file(place.store.trust().join("revocations.json")).unwrap();
    // Lost afterwards it is missed: its number was kept.
    assert!(TrustStore::open(&place.store).unwrap_err().to_string().contains("list 1 was taken in"));
    let path = place.store.trust().join("trust.json");
    let mut document: serde_json::Value = serde_json::from_slice(&fs_err::read(&path).unwrap()).unwrap();
    document.as_object_mut().unwrap().remove("list").unwrap();
    fs_err::write(&path, document.to_string()).unwrap();
    let mut trust = place.trust();
    assert!(trust.revoked_key(victim.public().id()).is_some());
    assert!(trust.revocation_list().is_none());
    trust.apply_list(&bytes, NOW).unwrap();
    assert_eq!(place.trust().revocation_list().unwrap().number, 1);
}

#[test]
fn a_publisher_is_named_only_for_its_role_and_names_are_plain() {
    let place = Place::new();
    let mut trust = place.trust();
    let of = |publisher: &str| Details { publisher: Some(publisher.to_owned()), ..Details::default() };
    let error = trust.add(key().public(), Role::Bundle, &of("DeepSeek"), NOW).unwrap_err();
    assert!(matches!(error, TrustError::PublisherOfOther { .. }), "{error}");
    for name in ["", "a\nb", "a\u{202e}b", &"x".repeat(300)] {
        let error = trust.add(key().public(), Role::Publisher, &of(name), NOW).unwrap_err();
        assert!(matches!(error, TrustError::Text { .. }), "{name:?}: {error}");
    }
    let key = key();
    trust.add(key.public(), Role::Publisher, &of("DeepSeek"), NOW).unwrap();
    let why = |publisher| {
        let quorum = place.trust().quorum(Role::Publisher, publisher, &ids(&[&key]), NOW);
        quorum.uncounted.first().map(|entry| entry.why.clone())
    };
    assert_eq!(why(Some("deepseek-ai")), None, "an alias of the catalogue");
    assert_eq!(why(Some("Qwen")), Some(Why::Publisher));
    assert_eq!(why(None), Some(Why::Publisher));
}

#[test]
fn the_sites_own_key_has_the_role_site() {
    let place = Place::new();
    assert!(place.trust().keys(Role::Site, NOW).is_empty());
    let own = sovai_evidence::site_key(&place.store).unwrap().public().id();
    let mut trust = place.trust();
    assert_eq!(trust.keys(Role::Site, NOW).iter().map(PublicKey::id).collect::<Vec<_>>(), [own]);
    assert!(trust.revoke(own, None, NOW).unwrap());
    assert!(place.trust().keys(Role::Site, NOW).is_empty());
}

#[test]
fn a_held_lock_is_busy() {
    let place = Place::new();
    let mut trust = place.trust();
    let _held = place.store.lock_trust("somebody").unwrap();
    let error = trust.set_threshold(Role::Bundle, 2).unwrap_err();
    assert!(matches!(error, TrustError::Store(StoreError::Busy { .. })), "{error}");
}

/// A small generator (xorshift64*), so that the mutations are the same in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % (bound.max(1) as u64)).unwrap()
    }

    /// Flips, inserts, removes or doubles some bytes.
    fn mutate(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len());
            match self.below(4) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes.insert(at, self.next().to_le_bytes()[0]),
                2 => drop(bytes.drain(at..(at + 1 + self.below(20)).min(bytes.len()))),
                _ => {
                    let piece = bytes[at..(at + 20).min(bytes.len())].to_vec();
                    let to = self.below(bytes.len());
                    bytes.splice(to..to, piece);
                }
            }
        }
        bytes
    }
}

#[test]
fn of_1000_mutated_lists_none_is_taken_for_another() {
    let place = Place::new();
    let (revoker, victim) = (key(), key());
    let mut trust = place.trust();
    trust.add(revoker.public(), Role::Revocation, &Details::default(), NOW).unwrap();
    let good = list(7, NOW, &[victim.public().id()], &[Sha256::from_bytes([1; 32])]);
    let bytes = signed(&good, &[&revoker]);
    let mut random = Random(7);
    let mut refused = 0;
    for _ in 0..1000 {
        let changed = random.mutate(&bytes);
        match trust.apply_list(&changed, NOW) {
            // Blanks, or the name of the key, which nobody goes by: the signed bytes are what they were.
            Ok(applied) => assert_eq!(applied.list, good),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 800, "{refused}");
}

#[test]
fn of_1000_mutated_documents_none_panics_and_none_trusts_a_stranger() {
    let place = Place::new();
    let (one, two) = (key(), key());
    let mut trust = place.trust();
    trust.add(one.public(), Role::Bundle, &Details::default(), NOW).unwrap();
    let details = Details {
        name: Some("ministry".to_owned()),
        publisher: Some("Qwen".to_owned()),
        expires: Some("2026-01-31".parse().unwrap()),
    };
    trust.add(two.public(), Role::Publisher, &details, NOW).unwrap();
    trust.revoke(key().public().id(), Some("lost"), NOW).unwrap();
    let path = place.store.trust().join("trust.json");
    let bytes = fs_err::read(&path).unwrap();
    let known = ids(&[&one, &two]);
    let mut random = Random(11);
    let mut refused = 0;
    for _ in 0..1000 {
        fs_err::write(&path, random.mutate(&bytes)).unwrap();
        match TrustStore::open(&place.store) {
            Ok(trust) => assert!(trust.list().iter().all(|entry| known.contains(&entry.id))),
            Err(error) => {
                assert!(matches!(error, TrustError::Store(StoreError::Corrupt { .. })), "{error}");
                refused += 1;
            }
        }
    }
    assert!(refused > 800, "{refused}");
}

#[test]
fn damaged_documents_are_errors_that_name_their_file() {
    let place = Place::new();
    for (name, text) in [
        ("trust.json", "{}"),
        ("trust.json", r#"{"apiVersion":"sovai/v2","kind":"Trust","keys":[],"revoked":[],"thresholds":{}}"#),
        (
            "trust.json",
            r#"{"apiVersion":"sovai/v1","kind":"Trust","keys":[],"revoked":[],"thresholds":{"bundle":0}}"#,
        ),
        (
            "trust.json",
            r#"{"apiVersion":"sovai/v1","kind":"Trust","keys":[],"keys":[],"revoked":[],"thresholds":{}}"#,
        ),
        ("revocations.json", "{}"),
        ("clock.json", r#"{"highWater":"tomorrow"}"#),
        ("clock.json", r#"{"x":1}"#),
    ] {
        let path = place.store.trust().join(name);
        fs_err::write(&path, text).unwrap();
        let error = TrustStore::open(&place.store).unwrap_err();
        assert!(error.to_string().contains(name), "{text}: {error}");
        fs_err::remove_file(&path).unwrap();
    }
}

#[test]
fn a_list_of_another_kind_is_refused_although_it_is_signed() {
    let place = Place::new();
    let revoker = key();
    let mut trust = place.trust();
    trust.add(revoker.public(), Role::Revocation, &Details::default(), NOW).unwrap();
    let mut statement = list(1, NOW, &[], &[]).to_statement().unwrap();
    statement.predicate_type = "https://sovai.dev/witness/v1".to_owned();
    let sign = |payload: String, payload_type: &str| {
        Envelope::sign(payload_type, payload.into_bytes(), &[&revoker]).to_json().into_bytes()
    };
    let error = trust.apply_list(&sign(statement.to_json(), PAYLOAD_TYPE), NOW).unwrap_err();
    assert!(matches!(error, TrustError::List(RevocationError::Type(_))), "{error}");
    let statement = list(1, NOW, &[], &[]).to_statement().unwrap();
    let error = trust.apply_list(&sign(statement.to_json(), "text/plain"), NOW).unwrap_err();
    assert!(matches!(error, TrustError::List(RevocationError::Envelope(_))), "{error}");
}
