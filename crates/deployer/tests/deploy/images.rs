//! Images that the engine lacks and the store has.

use crate::fixture::{Failed, Fixture, MANIFEST, image};
use sovai_core::{ImageId, Sha256};
use sovai_deployer::archive::{GatewayImage, gateway_archive};
use sovai_deployer::engine::{ContainerEngine as _, EngineError, whole_archive};
use sovai_deployer::fake::Call;
use sovai_deployer::{DeployError, Restored, bring_from_engine};
use sovai_images::{ImageError, Wanted, read_archive};
use sovai_store::{Store, StoredImage};

/// Any image: here one as sovai makes it.
fn engine_image() -> GatewayImage {
    gateway_archive(b"an engine", "amd64")
}

fn store_it(store: &Store, made: &GatewayImage) -> StoredImage {
    let staged = read_archive(store, made.archive.as_slice(), &Wanted::default()).unwrap();
    let lock = store.lock("test").unwrap();
    staged.commit(store, &lock, Some("engine")).unwrap()
}

/// The manifest with this pin in place of the fixture's.
fn pinned(pin: &str) -> String {
    let (before, rest) = MANIFEST.split_once("image: {").unwrap();
    let (_, after) = rest.split_once('}').unwrap();
    format!("{before}image: {{ name: engine, {pin} }}{after}")
}

fn words(plan: &sovai_deployer::Plan) -> Vec<String> {
    let words = plan.actions.iter().map(|action| {
        let (verb, object) = action.what.words();
        format!("{verb} {object}")
    });
    words.collect()
}

fn has(fixture: &Fixture, id: ImageId) -> bool {
    fixture.engine.snapshot().images.iter().any(|image| image.id == id)
}

#[tokio::test]
async fn an_image_of_the_store_is_loaded_and_runs() {
    let made = engine_image();
    for pin in [format!("id: '{}'", made.id), format!("digest: '{}'", made.manifest_id)] {
        let fixture = Fixture::new();
        store_it(&fixture.store, &made);
        let text = pinned(&pin);
        let plan = fixture.plan(&text).await.unwrap();
        assert!(words(&plan).contains(&"load image engine from the store".to_owned()), "{:?}", words(&plan));
        assert_eq!(fixture.engine.writes(), [""; 0], "a plan loads nothing");
        fixture.deploy(&text).await.unwrap();
        assert!(has(&fixture, made.id));
        let loaded = fixture.engine.image("engine").await.unwrap().unwrap();
        assert_eq!((loaded.id, loaded.tags), (made.id, vec!["engine:latest".to_owned()]));
        assert_eq!(fixture.engine.spec("sovai-demo-g1-engine").unwrap().image, made.id);
        // Now the engine has it, by its ID alone where the pin is a registry's digest.
        fixture.engine.forget_calls();
        assert!(fixture.plan(&text).await.unwrap().is_empty());
        fixture.deploy(&text).await.unwrap();
        assert_eq!(fixture.engine.writes(), [""; 0]);
    }
}

#[tokio::test]
async fn a_tag_that_stands_for_another_image_stays_where_it_is() {
    let fixture = Fixture::new();
    let made = engine_image();
    store_it(&fixture.store, &made);
    let text = pinned(&format!("id: '{}'", made.id)).replace("name: engine,", "name: 'engine:1',");
    fixture.deploy(&text).await.unwrap();
    assert_eq!(fixture.engine.image("engine:1").await.unwrap().unwrap().id, image('1'));
    assert!(fixture.engine.image(&made.id.to_string()).await.unwrap().unwrap().tags.is_empty());
}

#[tokio::test]
async fn an_image_that_neither_has_is_named() {
    let fixture = Fixture::new();
    let error = fixture.deploy(&pinned(&format!("id: '{}'", image('7')))).await.unwrap_err().before();
    assert!(matches!(error, DeployError::ImageMissing { .. }), "{error}");
}

#[tokio::test]
async fn an_image_for_another_platform_is_not_loaded() {
    let fixture = Fixture::new();
    let made = gateway_archive(b"an engine", "arm64");
    store_it(&fixture.store, &made);
    let error = fixture.deploy(&pinned(&format!("id: '{}'", made.id))).await.unwrap_err().before();
    assert!(matches!(&error, DeployError::WrongPlatform { found, .. } if found == "linux/arm64"), "{error}");
    assert_eq!(fixture.engine.writes(), [""; 0]);
}

fn cause(failed: Failed) -> (DeployError, Restored) {
    match failed {
        Failed::Run(failure) => (*failure.cause, failure.restored),
        Failed::Before(error) => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn an_image_that_gets_another_id_is_removed_again() {
    let fixture = Fixture::new();
    let made = engine_image();
    store_it(&fixture.store, &made);
    fixture.engine.load_image(whole_archive(fixture.image.archive.clone())).await.unwrap();
    let before = fixture.engine.snapshot();
    fixture.engine.misread_images(image('9'));
    let failed = fixture.deploy(&pinned(&format!("id: '{}'", made.id))).await.unwrap_err();
    let (cause, restored) = cause(failed);
    assert!(
        matches!(cause, DeployError::OtherImage { expected, found: Some(found), .. }
            if expected == made.id && found == image('9')),
        "{cause:?}"
    );
    assert_eq!(restored, Restored::Nothing);
    assert_eq!(fixture.engine.snapshot(), before);
}

#[tokio::test]
async fn a_flipped_byte_in_a_layer_is_told_and_nothing_is_loaded() {
    let fixture = Fixture::new();
    let made = engine_image();
    let stored = store_it(&fixture.store, &made);
    let path = fixture.store.blob(&stored.layers[0].digest);
    let mut bytes = fs_err::read(&path).unwrap();
    bytes[515] ^= 1;
    sovai_store::atomic::write(&path, &bytes, 0o444).unwrap();
    let before = fixture.engine.snapshot();
    let failed = fixture.deploy(&pinned(&format!("id: '{}'", made.id))).await.unwrap_err();
    let (cause, _) = cause(failed);
    assert!(matches!(&cause, DeployError::Image(ImageError::Digest { .. })), "{cause:?}");
    assert_eq!(fixture.engine.snapshot(), before);
}

#[tokio::test]
async fn a_deploy_that_fails_later_takes_the_image_away_unless_others_use_it() {
    let made = engine_image();
    let text = pinned(&format!("id: '{}'", made.id));
    let refused = || EngineError::Answer { what: "call".into(), status: 500, message: "no".into() };
    for used in [false, true] {
        let fixture = Fixture::new();
        store_it(&fixture.store, &made);
        if used {
            // Somebody else has a container of it.
            fixture.engine.add_container(sovai_deployer::engine::ContainerState {
                id: "other".to_owned(),
                name: "other".to_owned(),
                image: made.id,
                labels: std::collections::BTreeMap::new(),
                status: sovai_deployer::engine::ContainerStatus::Running,
                exit_code: None,
                error: None,
                oom_killed: false,
                started_at: None,
                restarts: 0,
                published: std::collections::BTreeMap::new(),
                networks: Vec::new(),
            });
        }
        fixture.engine.fail_on(Call::StartContainer, 2, refused());
        let (_, restored) = cause(fixture.deploy(&text).await.unwrap_err());
        assert_eq!(restored, Restored::Nothing);
        assert_eq!(has(&fixture, made.id), used);
        fixture.deploy(&text).await.unwrap();
    }
}

#[tokio::test]
async fn every_call_may_fail_while_an_image_is_loaded() {
    let made = engine_image();
    let text = pinned(&format!("id: '{}'", made.id));
    for call in Call::ALL {
        for nth in 1..80 {
            let fixture = Fixture::new();
            store_it(&fixture.store, &made);
            let before = fixture.engine.snapshot();
            fixture.engine.lose_answer(call, nth);
            let Err(failed) = fixture.deploy(&text).await else { break };
            if let Failed::Run(failure) = failed
                && failure.restored == Restored::Nothing
            {
                assert_eq!(fixture.engine.snapshot().images, before.images, "{call:?} {nth}");
            } else {
                fixture.engine.revive();
            }
            fixture.deploy(&text).await.unwrap();
            assert!(has(&fixture, made.id));
        }
    }
}

#[tokio::test]
async fn an_interrupted_load_stops() {
    let fixture = Fixture::new();
    let made = engine_image();
    store_it(&fixture.store, &made);
    let plan = fixture.plan(&pinned(&format!("id: '{}'", made.id))).await.unwrap();
    fixture.cancel.cancel();
    let (cause, _) = cause(fixture.run(plan).await.unwrap_err());
    assert!(matches!(cause, DeployError::Interrupted), "{cause:?}");
    assert!(!has(&fixture, made.id));
}

#[tokio::test]
async fn an_image_of_the_engine_comes_into_the_store_with_its_id() {
    let fixture = Fixture::new();
    let made = engine_image();
    fixture.engine.load_image(whole_archive(made.archive.clone())).await.unwrap();
    assert!(bring_from_engine(&fixture.engine, "gone:1", &fixture.store).await.unwrap().is_none());
    let (found, staged) =
        bring_from_engine(&fixture.engine, &made.tag, &fixture.store).await.unwrap().unwrap();
    assert_eq!(found.id, made.id);
    let stored =
        staged.commit(&fixture.store, &fixture.store.lock("test").unwrap(), Some(&made.tag)).unwrap();
    assert_eq!((ImageId(stored.config.digest), ImageId(stored.manifest.digest)), (made.id, made.manifest_id));
    // An engine that gives another image under that ID is not believed.
    fixture.engine.misread_images(image('9'));
    fixture.engine.load_image(whole_archive(made.archive)).await.unwrap();
    let other = image('9').to_string();
    let error = bring_from_engine(&fixture.engine, &other, &fixture.store).await.unwrap_err();
    assert!(matches!(error, DeployError::Image(ImageError::NoImage { .. })), "{error:?}");
    assert_eq!(fs_err::read_dir(fixture.store.root().join("tmp")).unwrap().count(), 0);
}

#[test]
fn the_id_depends_on_the_engines_store() {
    let fixture = Fixture::new();
    let stored = store_it(&fixture.store, &engine_image());
    let mut info = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(fixture.engine.info())
        .unwrap();
    assert_eq!(info.id_of(&stored), ImageId(stored.config.digest));
    "overlayfs".clone_into(&mut info.storage_driver);
    assert_eq!(info.id_of(&stored), ImageId(stored.manifest.digest));
    let _: Sha256 = stored.config.digest;
}
