//! The calls on a real container engine. Where there is none, each test says so in one line and does nothing, unless
//! `CI=true` or `SOVAI_REQUIRE_DOCKER` is set.

// As a module of tests, so that the rules of clippy.toml for tests hold in it.
#[cfg(test)]
mod bench;

use bench::{ARCH, Bench, build_image, on_engine};
use serde_json::json;
use sovai_core::{NullReporter, RecordingReporter};
use sovai_deployer::archive::gateway_archive;
use sovai_deployer::engine::{
    BindMount, ContainerEngine as _, ContainerStatus, EngineError, Restart, whole_archive,
};
use sovai_deployer::{DeployError, Origin, StoredRef, bring_from_engine, load_from_store, look_for};
use sovai_images::{ImageError, Wanted, read_layout};
use sovai_manifest::ImagePin;
use sovai_store::Store;
use sovai_verifier::Cancel;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

#[test]
fn the_engine_tells_of_itself() {
    on_engine("info", async |bench: &Bench| {
        let info = bench.docker.info().await.unwrap();
        let raw = Bench::raw("/info");
        assert_eq!(info.version, raw["ServerVersion"]);
        assert_eq!(info.os, "linux");
        assert_eq!(info.arch, Bench::raw("/version")["Arch"]);
        assert_eq!(info.memory, raw["MemTotal"]);
        assert!(info.cpus > 0 && !info.runtimes.is_empty() && !info.root_dir.is_empty());
    });
}

#[test]
fn the_gateways_image_has_the_id_that_was_computed() {
    on_engine("image", async |bench: &Bench| {
        let found = bench.docker.image(&bench.image.tag).await.unwrap().unwrap();
        assert!(found.id == bench.image.id || found.id == bench.image.manifest_id);
        assert_eq!(bench.docker.image(&found.id.to_string()).await.unwrap(), Some(found.clone()));
        assert_eq!(found.tags, std::slice::from_ref(&bench.image.tag));
        assert_eq!(found.labels["sovai.image"], "gateway");
        assert_eq!((found.os.as_str(), found.arch.as_str()), ("linux", ARCH));
        assert!(found.volumes.is_empty());
        let absent = gateway_archive(b"never loaded", ARCH);
        assert_eq!(bench.docker.image(&absent.id.to_string()).await.unwrap(), None);
        assert!(!bench.docker.remove_image(&absent.tag).await.unwrap());
        // In use by a container, also by a stopped one.
        bench.docker.create_container(&bench.spec("user", &["exit", "0"])).await.unwrap();
        assert!(!bench.docker.remove_image(&bench.id().to_string()).await.unwrap());
        bench.docker.remove_container(&bench.name("user")).await.unwrap();
        assert!(bench.docker.remove_image(&bench.id().to_string()).await.unwrap());
    });
}

#[test]
fn an_archive_that_is_none_is_an_error() {
    on_engine("archive", async |bench: &Bench| {
        let whole = &bench.image.archive;
        for bad in [b"no archive".to_vec(), Vec::new(), whole[..whole.len() / 2].to_vec()] {
            let error = bench.docker.load_image(whole_archive(bad)).await.unwrap_err();
            assert!(matches!(error, EngineError::Answer { .. }), "{error:?}");
        }
    });
}

#[test]
fn every_container_is_hardened() {
    on_engine("hardening", async |bench: &Bench| {
        let weights = tempfile::tempdir().unwrap();
        fs_err::set_permissions(weights.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        fs_err::write(weights.path().join("w"), "weights\n").unwrap();
        let mut spec = bench.spec("hard", &["stay"]);
        spec.mounts = vec![BindMount { source: weights.path().to_owned(), target: "/models/m".to_owned() }];
        spec.restart = Restart::UnlessStopped;
        spec.groups = vec!["44".to_owned()];
        spec.shm = Some(1 << 20);
        bench.run(&spec).await;
        let raw = Bench::raw(&format!("/containers/{}/json", spec.name));
        let host = &raw["HostConfig"];
        assert_eq!(host["ReadonlyRootfs"], true);
        assert_eq!(host["CapDrop"], json!(["ALL"]));
        assert!(host["CapAdd"].as_array().is_none_or(Vec::is_empty));
        assert_eq!(host["SecurityOpt"], json!(["no-new-privileges"]));
        assert_eq!(host["Privileged"], false);
        assert_eq!(host["IpcMode"], "private");
        assert_eq!(host["PidMode"], "");
        assert_eq!(host["NetworkMode"], "none");
        assert_eq!((&host["Memory"], &host["MemorySwap"]), (&json!(64 << 20), &json!(64 << 20)));
        assert_eq!(host["NanoCpus"], 500_000_000);
        assert_eq!(host["PidsLimit"], 32);
        assert_eq!(host["ShmSize"], 1 << 20);
        assert_eq!(host["RestartPolicy"]["Name"], "unless-stopped");
        assert_eq!(host["LogConfig"]["Config"], json!({"max-size": "1000000", "max-file": "2"}));
        assert_eq!(host["AutoRemove"], false);
        assert_eq!(host["PublishAllPorts"], false);
        assert_eq!(host["GroupAdd"], json!(["44"]));
        assert_eq!(raw["Config"]["User"], "65532:65532");
        assert_eq!(raw["Config"]["Healthcheck"], json!({"Test": ["NONE"]}));
        assert_eq!(raw["Mounts"][0]["RW"], false);
        assert_eq!(raw["Mounts"][0]["Propagation"], "rprivate");
        // And seen from inside, where it counts.
        let (status, _) = bench.exec(&spec.name, &["read", "/proc/1/status"], b"").await;
        let field = |name: &str| {
            let line = status.iter().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
            assert_eq!(field(set), ["0000000000000000"], "{set}");
        }
        assert_eq!(field("NoNewPrivs:"), ["1"]);
        assert_eq!(field("Seccomp:"), ["2"]);
        assert_eq!(field("Uid:"), ["65532"; 4]);
        assert_eq!(field("Groups:"), ["44", "65532"]);
        let says = async |words: &[&str]| bench.exec(&spec.name, words, b"").await.0.join("\n");
        assert_eq!(says(&["read", "/models/m/w"]).await, "weights");
        assert_eq!(says(&["write", "/models/m/x"]).await, "ReadOnlyFilesystem");
        assert_eq!(says(&["write", "/x"]).await, "ReadOnlyFilesystem");
        assert_eq!(says(&["write", "/tmp/x"]).await, "written");
    });
}

#[test]
fn a_command_gets_its_input_and_gives_its_output_and_code() {
    on_engine("exec", async |bench: &Bench| {
        let spec = bench.spec("stay", &["stay"]);
        bench.run(&spec).await;
        let (lines, result) =
            bench.exec(&spec.name, &["echo"], "{\"a\": \"\u{e4}\"}\nsecond".as_bytes()).await;
        assert_eq!(lines, ["{\"a\": \"\u{e4}\"}", "second"]);
        assert_eq!((result.code, result.stderr.as_str()), (5, "18 bytes"));
        let (lines, _) = bench.exec(&spec.name, &["echo"], b"").await;
        assert_eq!(lines, [""; 0]);
        // More than pipes and sockets hold, both ways at once.
        let (lines, result) = bench.exec(&spec.name, &["flood", "200000"], &vec![b'x'; 2 << 20]).await;
        assert_eq!((lines.len(), result.code), (200_001, 0));
        assert_eq!(lines[200_000], (2 << 20).to_string());
        // A command that is not there.
        let gone = bench.docker.exec(&spec.name, &["/gone".to_owned()], Vec::new(), &mut |_| ()).await;
        match gone {
            Ok(result) => assert!(matches!(result.code, 126 | 127), "{result:?}"),
            Err(error) => assert!(matches!(error, EngineError::Answer { .. }), "{error:?}"),
        }
        bench.docker.stop_container(&spec.name, Duration::ZERO).await.unwrap();
        let error = bench.docker.exec(&spec.name, &["/sovai".to_owned()], Vec::new(), &mut |_| ()).await;
        assert!(matches!(error, Err(EngineError::Answer { status: 409, .. })), "{error:?}");
    });
}

#[test]
fn a_container_that_dies_at_start_leaves_its_code_and_words() {
    on_engine("dies", async |bench: &Bench| {
        let spec = bench.spec("dies", &["exit", "3", "one", "two", "three"]);
        bench.run(&spec).await;
        assert_eq!(bench.docker.wait_container(&spec.name).await.unwrap(), 3);
        let state = bench.docker.container(&spec.name).await.unwrap().unwrap();
        assert_eq!((state.status, state.exit_code, state.restarts), (ContainerStatus::Exited, Some(3), 0));
        let log = bench.docker.logs(&spec.name, Some(2)).await.unwrap();
        let texts: Vec<_> = log.iter().map(|line| (line.stderr, line.text.as_str())).collect();
        assert_eq!(texts, [(true, "two"), (true, "three")]);
        assert_eq!(bench.docker.logs(&spec.name, None).await.unwrap().len(), 3);
        // Following one that has ended ends.
        let mut seen = 0;
        let mut count = |_| {
            seen += 1;
            true
        };
        bench.docker.follow_logs(&spec.name, None, &mut count).await.unwrap();
        assert_eq!(seen, 3);
        // A good end is no error either.
        let fine = bench.spec("fine", &["exit", "0"]);
        bench.run(&fine).await;
        assert_eq!(bench.docker.wait_container(&fine.name).await.unwrap(), 0);
    });
}

#[test]
fn a_container_whose_program_is_not_there_says_why() {
    on_engine("noprogram", async |bench: &Bench| {
        let mut spec = bench.spec("gone", &[]);
        spec.entrypoint = Some(vec!["/gone".to_owned()]);
        bench.docker.create_container(&spec).await.unwrap();
        let error = bench.docker.start_container(&spec.name).await.unwrap_err();
        assert!(matches!(error, EngineError::Answer { .. }), "{error:?}");
        let state = bench.docker.container(&spec.name).await.unwrap().unwrap();
        assert_eq!((state.status, state.exit_code), (ContainerStatus::Created, None));
        assert!(state.error.unwrap().contains("/gone"));
    });
}

#[test]
fn logs_are_followed_until_the_end_or_until_it_is_enough() {
    on_engine("follow", async |bench: &Bench| {
        let spec = bench.spec("stay", &["stay"]);
        bench.run(&spec).await;
        let mut first = Vec::new();
        let mut enough = |line: sovai_deployer::engine::LogLine| {
            first.push((line.stderr, line.text));
            first.len() < 2
        };
        bench.docker.follow_logs(&spec.name, None, &mut enough).await.unwrap();
        first.sort_unstable();
        assert_eq!(first, [(false, "out \\x1b[2J".to_owned()), (true, "err".to_owned())]);
        let mut seen = 0;
        let mut count = |_| {
            seen += 1;
            true
        };
        let (followed, stopped) = tokio::join!(
            bench.docker.follow_logs(&spec.name, None, &mut count),
            bench.docker.stop_container(&spec.name, Duration::from_millis(1))
        );
        followed.unwrap();
        stopped.unwrap();
        assert_eq!(seen, 2);
        // It has no handler for SIGTERM, so that it was killed.
        assert_eq!(bench.docker.wait_container(&spec.name).await.unwrap(), 137);
        bench.docker.stop_container(&spec.name, Duration::ZERO).await.unwrap();
    });
}

#[test]
fn names_and_ports_that_are_taken_are_told_apart() {
    on_engine("taken", async |bench: &Bench| {
        bench.docker.create_network(&bench.network("edge", false)).await.unwrap();
        let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let taken = holder.local_addr().unwrap();
        let publish = |service: &str, at: SocketAddr| {
            let mut spec = bench.spec(service, &["stay"]);
            spec.network = Some(bench.name("edge"));
            spec.publish.insert(8080, at);
            spec
        };
        // By a process of the host.
        let first = publish("first", taken);
        bench.docker.create_container(&first).await.unwrap();
        let error = bench.docker.create_container(&first).await.unwrap_err();
        assert!(matches!(error, EngineError::NameTaken { .. }), "{error:?}");
        let error = bench.docker.start_container(&first.name).await.unwrap_err();
        assert!(matches!(error, EngineError::PortTaken { .. }), "{error:?}");
        assert!(error.to_string().contains(&taken.port().to_string()), "{error}");
        drop(holder);
        bench.docker.start_container(&first.name).await.unwrap();
        bench.docker.start_container(&first.name).await.unwrap();
        let state = bench.docker.container(&first.name).await.unwrap().unwrap();
        assert_eq!(state.published[&8080], [taken]);
        assert_eq!(state.networks, [bench.name("edge")]);
        // By a container.
        let second = publish("second", taken);
        bench.docker.create_container(&second).await.unwrap();
        let error = bench.docker.start_container(&second.name).await.unwrap_err();
        assert!(matches!(error, EngineError::PortTaken { .. }), "{error:?}");
        // Both are the stack's, by label, and of no other stack.
        let ours = bench.docker.containers(Some(&bench.stack)).await.unwrap();
        assert_eq!(ours.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), [first.name, second.name]);
        assert!(bench.docker.containers(Some("test-deployer")).await.unwrap().is_empty());
    });
}

#[test]
fn a_mount_that_is_not_there_is_an_error_and_not_an_empty_folder() {
    on_engine("mount", async |bench: &Bench| {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("gone");
        let mut spec = bench.spec("mount", &["exit", "0"]);
        spec.mounts = vec![BindMount { source: source.clone(), target: "/m".to_owned() }];
        let error = bench.docker.create_container(&spec).await.unwrap_err();
        assert!(matches!(error, EngineError::MountMissing { .. }), "{error:?}");
        // Gone between creating and starting.
        fs_err::create_dir(&source).unwrap();
        bench.docker.create_container(&spec).await.unwrap();
        fs_err::remove_dir(&source).unwrap();
        let error = bench.docker.start_container(&spec.name).await.unwrap_err();
        assert!(matches!(error, EngineError::MountMissing { .. }), "{error:?}");
        assert!(!source.exists());
    });
}

#[test]
fn an_internal_network_lets_nothing_out_and_no_second_one_takes_its_name() {
    on_engine("network", async |bench: &Bench| {
        let inner = bench.network("inner", true);
        let id = bench.docker.create_network(&inner).await.unwrap();
        let error = bench.docker.create_network(&inner).await.unwrap_err();
        assert!(matches!(error, EngineError::NameTaken { .. }), "{error:?}");
        let found = bench.docker.networks_named(&inner.name).await.unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].id.as_str(), found[0].internal), (id.as_str(), true));
        assert_eq!((&found[0].options, &found[0].labels), (&inner.options, &inner.labels));
        assert_eq!(bench.docker.networks(Some(&bench.stack)).await.unwrap(), found);
        let mut server = bench.spec("server", &["stay"]);
        server.network = Some(inner.name.clone());
        server.aliases = vec!["engine".to_owned()];
        bench.run(&server).await;
        let mut client = bench.spec("client", &["stay"]);
        client.network = Some(inner.name.clone());
        bench.run(&client).await;
        let says = async |words: &[&str]| bench.exec(&client.name, words, b"").await.0.join("\n");
        assert_eq!(says(&["call", "engine:8080"]).await, "reached");
        // The host, by each address that its own network has, on a port where something listens.
        let door = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let port = door.local_addr().unwrap().port();
        let raw = Bench::raw(&format!("/networks/{id}"));
        for gateway in raw["IPAM"]["Config"].as_array().unwrap() {
            let address = gateway["Gateway"].as_str().map(|g| format!("{g}:{port}"));
            if let Some(address) = address {
                assert_ne!(says(&["reach", &address]).await, "reached");
            }
        }
        assert_ne!(says(&["reach", &format!("172.17.0.1:{port}")]).await, "reached");
        assert_ne!(says(&["reach", "192.0.2.1:80"]).await, "reached");
        // In use: not removed.
        assert!(bench.docker.remove_network(&inner.name).await.is_err());
    });
}

#[test]
fn a_container_joins_a_second_network() {
    on_engine("second", async |bench: &Bench| {
        bench.docker.create_network(&bench.network("inner", true)).await.unwrap();
        bench.docker.create_network(&bench.network("edge", false)).await.unwrap();
        let mut spec = bench.spec("gateway", &["stay"]);
        spec.network = Some(bench.name("edge"));
        bench.docker.create_container(&spec).await.unwrap();
        let alias = ["door".to_owned()];
        bench.docker.connect(&bench.name("inner"), &spec.name, &alias).await.unwrap();
        bench.docker.start_container(&spec.name).await.unwrap();
        let state = bench.docker.container(&spec.name).await.unwrap().unwrap();
        assert_eq!(state.networks, [bench.name("edge"), bench.name("inner")]);
        let mut client = bench.spec("client", &["stay"]);
        client.network = Some(bench.name("inner"));
        bench.run(&client).await;
        assert_eq!(bench.exec(&client.name, &["call", "door:8080"], b"").await.0, ["reached"]);
    });
}

#[test]
fn removing_what_is_gone_is_no_error() {
    on_engine("remove", async |bench: &Bench| {
        let spec = bench.spec("stay", &["stay"]);
        bench.run(&spec).await;
        // Two at once.
        let (one, two) = tokio::join!(
            bench.docker.remove_container(&spec.name),
            bench.docker.remove_container(&spec.name)
        );
        one.unwrap();
        two.unwrap();
        bench.docker.remove_container(&spec.name).await.unwrap();
        assert_eq!(bench.docker.container(&spec.name).await.unwrap(), None);
        bench.docker.create_network(&bench.network("n", true)).await.unwrap();
        bench.docker.remove_network(&bench.name("n")).await.unwrap();
        bench.docker.remove_network(&bench.name("n")).await.unwrap();
        assert!(bench.docker.networks_named(&bench.name("n")).await.unwrap().is_empty());
        assert!(bench.docker.wait_container(&spec.name).await.is_err());
        assert!(bench.docker.logs(&spec.name, None).await.is_err());
    });
}

#[test]
fn an_image_goes_from_the_engine_through_the_store_and_back_with_its_id() {
    on_engine("images", async |bench: &Bench| {
        let tag = format!("{}:1", bench.name("image"));
        let id = build_image(bench, &tag);
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let (found, staged) = bring_from_engine(&bench.docker, &tag, &store).await.unwrap().unwrap();
        assert_eq!(found.id.to_string(), id);
        let stored = staged.commit(&store, &store.lock("test").unwrap(), Some(&tag)).unwrap();
        assert_eq!((stored.volumes.as_slice(), stored.layers.len()), (["/data".to_owned()].as_slice(), 2));
        let info = bench.docker.info().await.unwrap();
        // By its ID, and by the digest that a registry would give its manifest: no archive tells an engine of that.
        let pins = [ImagePin::Id(found.id), ImagePin::Digest(stored.manifest.digest)];
        for pin in &pins {
            let origin = look_for(&bench.docker, &info, Some(&store), &tag, pin).await.unwrap();
            assert_eq!(origin, Origin::Engine(Box::new(found.clone())));
        }
        assert!(bench.docker.remove_image(&tag).await.unwrap());
        for pin in &pins {
            let origin = look_for(&bench.docker, &info, Some(&store), &tag, pin).await.unwrap();
            assert_eq!(origin, Origin::Store(Box::new(stored.clone())));
        }
        let wanted = StoredRef { id: found.id, name: tag.clone(), manifest: stored.manifest.digest };
        let cancel = Cancel::default();
        // A byte of a layer is flipped: the engine takes nothing.
        let path = store.blob(&stored.layers[1].digest);
        let good = fs_err::read(&path).unwrap();
        let mut bad = good.clone();
        bad[600] ^= 1;
        sovai_store::atomic::write(&path, &bad, 0o444).unwrap();
        let error =
            load_from_store(&bench.docker, &store, &wanted, &cancel, &NullReporter).await.unwrap_err();
        assert!(matches!(error, DeployError::Image(ImageError::Digest { .. })), "{error:?}");
        assert_eq!(bench.docker.image(&id).await.unwrap(), None);
        sovai_store::atomic::write(&path, &good, 0o444).unwrap();
        // Whole again, it is loaded, and is the same but for the time of its tag.
        let events = RecordingReporter::default();
        load_from_store(&bench.docker, &store, &wanted, &cancel, &events).await.unwrap();
        assert_eq!(bench.docker.image(&tag).await.unwrap(), Some(found.clone()));
        assert!(!events.events().is_empty());
        // Once more does nothing.
        load_from_store(&bench.docker, &store, &wanted, &cancel, &NullReporter).await.unwrap();
        // A second time through the engine gives the same image in the store: layers that were not compressed then.
        let (_, again) = bring_from_engine(&bench.docker, &id, &store).await.unwrap().unwrap();
        assert_eq!((again.config(), again.manifest()), (found.id.0, stored.manifest.digest));
        assert!(bench.docker.remove_image(&tag).await.unwrap());
        assert!(bring_from_engine(&bench.docker, &tag, &store).await.unwrap().is_none());
    });
}

#[test]
fn layers_that_are_compressed_are_loaded_as_they_are() {
    on_engine("compressed", async |bench: &Bench| {
        let tag = format!("{}:1", bench.name("image"));
        let id = build_image(bench, &tag);
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let (found, staged) = bring_from_engine(&bench.docker, &tag, &store).await.unwrap().unwrap();
        staged.commit(&store, &store.lock("test").unwrap(), Some(&tag)).unwrap();
        assert!(bench.docker.remove_image(&tag).await.unwrap());
        let layout = folder.path().join("layout");
        let copied = std::process::Command::new("skopeo")
            .args(["--insecure-policy", "copy", "--quiet", "--dest-compress"])
            .arg(format!("oci:{}:{tag}", store.root().display()))
            .arg(format!("oci:{}:{tag}", layout.display()))
            .output()
            .expect("skopeo must be installed for this test");
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
        let staged = read_layout(&store, &layout, &Wanted::default()).unwrap();
        let stored = staged.commit(&store, &store.lock("test").unwrap(), Some(&tag)).unwrap();
        assert!(stored.layers.iter().all(|layer| layer.media_type.ends_with("+gzip")));
        let wanted = StoredRef { id: found.id, name: tag.clone(), manifest: stored.manifest.digest };
        let cancel = Cancel::default();
        load_from_store(&bench.docker, &store, &wanted, &cancel, &NullReporter).await.unwrap();
        assert_eq!(bench.docker.image(&id).await.unwrap().unwrap().tags, std::slice::from_ref(&tag));
        assert!(bench.docker.remove_image(&tag).await.unwrap());
    });
}
