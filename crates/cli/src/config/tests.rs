use super::*;
use std::collections::HashMap;

struct World {
    folder: tempfile::TempDir,
    variables: HashMap<&'static str, OsString>,
    root: bool,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for sub in ["work", "home"] {
            fs_err::create_dir(folder.path().join(sub)).unwrap();
        }
        let mut world = Self { folder, variables: HashMap::new(), root: false };
        let home = world.path("home").into_os_string();
        world.variables.insert("HOME", home);
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str, text: &str) -> &Self {
        let path = self.path(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
        self
    }

    fn var(&mut self, name: &'static str, value: &str) -> &mut Self {
        self.variables.insert(name, value.into());
        self
    }

    fn load(&self, line: &str) -> Result<Settings, CliError> {
        let words = ["sovai", "schema"].into_iter().chain(line.split_whitespace()).map(OsString::from);
        let cli = crate::args::parse(words).unwrap();
        let cwd = self.path("work");
        let around =
            Surroundings { var: &|name| self.variables.get(name).cloned(), cwd: &cwd, root: self.root };
        load(&cli.global, &around)
    }

    fn error(&self) -> CliError {
        self.load("").unwrap_err()
    }
}

#[test]
fn each_layer_beats_those_below_it() {
    let mut world = World::new();
    let host = |world: &World, line: &str| world.load(line).unwrap().host;
    assert_eq!(host(&world, ""), DEFAULT_HOST);
    world.var("DOCKER_HOST", "unix:///docker");
    assert_eq!(host(&world, ""), "unix:///docker");
    world.file("home/.config/sovai/sovai.toml", "host = 'unix:///user'");
    assert_eq!(host(&world, ""), "unix:///user");
    world.file("work/sovai.toml", "host = 'unix:///work'");
    assert_eq!(host(&world, ""), "unix:///work");
    world.var("SOVAI_HOST", "unix:///variable");
    assert_eq!(host(&world, ""), "unix:///variable");
    assert_eq!(host(&world, "--host unix:///flag"), "unix:///flag");
}

#[test]
fn layers_complete_one_another() {
    let mut world = World::new();
    world.file("home/.config/sovai/sovai.toml", "threads = 3\noutput = 'json'\noffline = true");
    world.file("work/sovai.toml", "progress = 'none'\noffline = false");
    world.var("SOVAI_THREADS", "5");
    let settings = world.load("-q -y").unwrap();
    assert_eq!(settings.threads.map(NonZeroUsize::get), Some(5));
    assert_eq!((settings.form, settings.progress), (Form::Json, ProgressMode::None));
    assert_eq!((settings.offline, settings.yes, settings.talk), (false, true, Talk::Quiet));
}

#[test]
fn the_store_has_its_default_place() {
    let mut world = World::new();
    assert_eq!(world.load("").unwrap().store, Some(world.path("home/.local/share/sovai")));
    world.var("XDG_DATA_HOME", "relative/is/ignored");
    assert_eq!(world.load("").unwrap().store, Some(world.path("home/.local/share/sovai")));
    world.var("XDG_DATA_HOME", "/data");
    assert_eq!(world.load("").unwrap().store, Some("/data/sovai".into()));
    world.root = true;
    assert_eq!(world.load("").unwrap().store, Some("/var/lib/sovai".into()));
    assert_eq!(world.load("--store here").unwrap().store, Some(world.path("work/here")));
    world.file("home/.config/sovai/sovai.toml", "store = 'mine'");
    assert_eq!(world.load("").unwrap().store, Some(world.path("home/.config/sovai/mine")));
}

#[test]
fn without_a_home_only_the_store_is_unknown() {
    let mut world = World::new();
    world.variables.clear();
    assert_eq!(world.load("").unwrap().store, None);
}

#[test]
fn a_wrong_file_is_exit_3_and_says_where() {
    for (text, message, hint) in [
        ("stroe = '/x'", "unknown key `stroe`", Some("did you mean `store`?")),
        (
            "zzzzzz = 1",
            "unknown key `zzzzzz`",
            Some("the keys are ca-cert, host, offline, output, progress, registry, store, threads"),
        ),
        ("output = 'xml'", "`output`: expected \"text\" or \"json\", found `\"xml\"`", None),
        ("threads = 0", "`threads`: expected a number from 1 to 1024, found `0`", None),
        ("threads = -1", "`threads`: expected a number from 1 to 1024, found `-1`", None),
        ("offline = 'yes'", "`offline`: expected true or false, found `\"yes\"`", None),
        ("store = ''", "`store`: expected a path in quotes, found `\"\"`", None),
        ("host = 1", "`host`: expected an address in quotes, found `1`", None),
        ("host", "not TOML", None),
        ("host = 'a'\nhost = 'b'", "not TOML", None),
    ] {
        let world = World::new();
        world.file("work/sovai.toml", text);
        let error = world.error();
        assert_eq!(error.exit(), Exit::Invalid, "{text}");
        assert!(error.message().ends_with(message), "{text}: {}", error.message());
        assert!(error.message().contains("work/sovai.toml"), "{}", error.message());
        assert_eq!(error.hints().first().map(String::as_str), hint, "{text}");
    }
}

#[test]
fn a_file_that_is_no_configuration_is_not_read_whole() {
    let world = World::new();
    world.file("work/sovai.toml", &"#".repeat(MAX_BYTES + 1));
    assert!(world.error().message().ends_with("more than 65536 bytes"));
    fs_err::write(world.path("work/sovai.toml"), b"host = '\xff'").unwrap();
    assert!(world.error().message().ends_with("not UTF-8"));
}

#[test]
fn a_wrong_variable_is_exit_2_and_an_empty_one_is_unset() {
    for (name, value) in [
        ("SOVAI_OUTPUT", "xml"),
        ("SOVAI_PROGRESS", "loud"),
        ("SOVAI_OFFLINE", "perhaps"),
        ("SOVAI_THREADS", "0"),
        ("SOVAI_THREADS", "1e3"),
    ] {
        let mut world = World::new();
        world.var(name, value);
        let error = world.error();
        assert_eq!(error.exit(), Exit::Usage);
        assert!(error.message().starts_with(name) && error.message().contains(value), "{}", error.message());
        world.var(name, "");
        assert!(world.load("").is_ok());
    }
}

#[test]
fn a_registry_and_authorities_come_from_files_and_variables() {
    let mut world = World::new();
    assert_eq!(world.load("").unwrap().registry, None);
    world.file("work/sovai.toml", "registry = 'registry.example:5000'\nca-cert = ['a.pem', '/b.pem']");
    let settings = world.load("").unwrap();
    assert_eq!(settings.registry.as_deref(), Some("registry.example:5000"));
    assert_eq!(settings.ca_certs, [world.path("work/a.pem"), PathBuf::from("/b.pem")]);
    world.var("SOVAI_REGISTRY", "other.example").var("SOVAI_CA_CERT", "/c.pem:/d.pem");
    let settings = world.load("").unwrap();
    assert_eq!(settings.registry.as_deref(), Some("other.example"));
    assert_eq!(settings.ca_certs, [PathBuf::from("/c.pem"), PathBuf::from("/d.pem")]);
    world.var("SOVAI_REGISTRY", "https://other.example/");
    assert!(world.error().message().contains("SOVAI_REGISTRY: expected HOST or HOST:PORT"));
}
