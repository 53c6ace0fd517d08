//! Plain servers and folders on disk.

use super::*;

fn plain(hub: &Hub, path: &str) -> std::sync::Arc<dyn Source> {
    https::at("https:test", &format!("{}/files/{path}", hub.url()), &surroundings(hub, &[])).unwrap()
}

#[test]
fn a_folder_of_a_server_is_listed_by_its_sums_and_a_file_is_hashed() {
    let hub = Hub::start();
    hub.add_plain("m/config.json", "{}");
    hub.add_plain("m/sub dir/w+ü.bin", Content::pattern(3, 5_000));
    let source = plain(&hub, "m/");
    let model = run(&*source, None).unwrap();
    let expected = [("config.json", 2, Basis::Listed), ("sub dir/w+ü.bin", 5_000, Basis::Listed)];
    assert_eq!(summary(&model), expected);
    let bytes_of = Content::pattern(3, 5_000).read_all().unwrap();
    assert_eq!(bytes(&*source, "sub dir/w+ü.bin", Some((10, 20))).unwrap(), (10, bytes_of[10..20].to_vec()));
    let one = plain(&hub, "m/sub%20dir/w+%C3%BC.bin");
    let model = run(&*one, None).unwrap();
    assert_eq!(summary(&model), [("w+ü.bin", 5_000, Basis::Hashed)]);
    assert_eq!(model.files[0].pin.sha256.hex(), Content::pattern(3, 5_000).sha256());
    assert!(refusal(&bytes(&*one, "other.bin", None).unwrap_err()).0.contains("the one file"));
    assert!(
        refusal(&run(&*plain(&hub, "none.bin"), None).unwrap_err()).0.contains("`none.bin` is not there")
    );
    let (reason, hint) = refusal(&run(&*plain(&hub, "none/"), None).unwrap_err());
    assert!(reason.contains("SHA256SUMS") && hint.contains("`files`"), "{reason}; {hint}");
}

#[test]
fn bytes_that_a_servers_sums_do_not_name_are_a_mismatch() {
    let hub = Hub::start();
    hub.add_plain("m/w.bin", Content::pattern(3, 5_000));
    hub.add_plain("m/SHA256SUMS", format!("{A}  w.bin\n"));
    // Without a length from anywhere the file is read, and is not what the list says.
    hub.fault("m/w.bin", Fault::status(405)).times(1);
    hub.fault("m/w.bin", Fault::NoLength);
    hub.fault("m/w.bin", Fault::IgnoreRange);
    let error = run(&*plain(&hub, "m/"), None).unwrap_err();
    assert!(matches!(error, SourceError::Mismatch { .. }), "{error}");
    hub.clear_faults();
    for text in
        [format!("{A}  ../x\n"), format!("{A}  a\n{A}  A\n"), "<html>".to_owned(), format!("{A}  /x\n")]
    {
        hub.add_plain("m/SHA256SUMS", text.clone());
        let error = run(&*plain(&hub, "m/"), None).unwrap_err();
        assert!(matches!(error, SourceError::Malformed { .. }), "{text}: {error}");
    }
}

#[test]
fn addresses_with_secrets_or_without_names_are_refused() {
    let hub = Hub::start();
    let surroundings = surroundings(&hub, &[]);
    for rest in
        ["//user:pass@h.example/f", "//h.example/a%2Fb", "//h.example/%ff", "//h.example/a%0Ab", "///"]
    {
        let error = open("https", rest, &surroundings).unwrap_err();
        assert!(matches!(error, SourceError::Invalid { .. }), "{rest}: {error}");
    }
    for (scheme, rest) in [
        ("hf", "x"),
        ("hf", "../x"),
        ("hf", "a/b@.."),
        ("hf", "a/b/c"),
        ("modelscope", "a/"),
        ("ftp", "x"),
        ("file", ""),
    ] {
        let error = open(scheme, rest, &surroundings).unwrap_err();
        assert!(matches!(error, SourceError::Invalid { .. }), "{rest}: {error}");
    }
    for (name, value) in [
        ("HF_ENDPOINT", "hub"),
        ("HF_ENDPOINT", "ftp://hub.example"),
        ("HF_ENDPOINT", "https://hub.example/?x"),
    ] {
        let error = open("hf", "a/b", &self::surroundings(&hub, &[(name, value)])).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
    let plain =
        open("hf", "a/b", &self::surroundings(&hub, &[("HF_ENDPOINT", "http://hub.example")])).unwrap();
    let error = run(&*plain, None).unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("loopback"));
}

#[test]
fn a_folder_on_disk_is_a_source_without_links_out_of_it() {
    let hub = Hub::start();
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("model");
    fs_err::create_dir_all(root.join("sub")).unwrap();
    let content = Content::pattern(5, 3_000_000).read_all().unwrap();
    fs_err::write(root.join("sub/w.bin"), &content).unwrap();
    fs_err::write(root.join("a.json"), "{}").unwrap();
    let surroundings = surroundings(&hub, &[]);
    let source = open("file", root.to_str().unwrap(), &surroundings).unwrap();
    let model = run(&*source, None).unwrap();
    assert_eq!(summary(&model), [("a.json", 2, Basis::Listed), ("sub/w.bin", 3_000_000, Basis::Listed)]);
    assert_eq!(model.files[1].pin.sha256.hex(), Content::pattern(5, 3_000_000).sha256());
    assert_eq!(bytes(&*source, "sub/w.bin", None).unwrap(), (0, content.clone()));
    let range = Some((1_000_000, 2_500_000));
    assert_eq!(
        bytes(&*source, "sub/w.bin", range).unwrap(),
        (1_000_000, content[1_000_000..2_500_000].to_vec())
    );
    assert_eq!(bytes(&*source, "a.json", Some((1, 9))).unwrap(), (1, b"}".to_vec()));
    fs_err::write(folder.path().join("secret"), "x").unwrap();
    std::os::unix::fs::symlink("../secret", root.join("link")).unwrap();
    bytes(&*source, "link", None).unwrap_err();
    bytes(&*source, "sub", None).unwrap_err();
    bytes(&*source, "none", None).unwrap_err();
    let one = open("file", root.join("a.json").to_str().unwrap(), &surroundings).unwrap();
    assert_eq!(bytes(&*one, "a.json", None).unwrap(), (0, b"{}".to_vec()));
    bytes(&*one, "sub/w.bin", None).unwrap_err();
}

#[test]
fn bytes_are_never_taken_compressed_and_a_range_that_contradicts_itself_is_refused() {
    let hub = Hub::start();
    hub.add_plain("w.bin", Content::pattern(3, 5_000));
    let source = plain(&hub, "w.bin");
    hub.fault("**", Fault::Header("content-encoding".into(), "gzip".into()));
    let error = bytes(&*source, "w.bin", None).unwrap_err();
    assert!(error.to_string().contains("compressed (`gzip`)"), "{error}");
    hub.clear_faults();
    hub.fault("**", Fault::Header("content-range".into(), "bytes 10-30/5000".into()));
    let error = bytes(&*source, "w.bin", Some((10, 20))).unwrap_err();
    assert!(error.to_string().contains("two things"), "{error}");
    let (url, seen) =
        super::hostile::canned(|_| "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned());
    let source = https::at("https:x", &format!("{url}/w.bin"), &surroundings(&hub, &[])).unwrap();
    bytes(&*source, "w.bin", None).unwrap_err();
    assert!(seen.recv().unwrap().contains("accept-encoding: identity\r\n"));
}
