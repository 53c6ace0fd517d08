//! A real registry: Debian's `docker-registry` on a free port of this host, with its own configuration.

use std::fmt::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A registry that runs; it ends when this is dropped.
pub(crate) struct Debian {
    child: Child,
    pub(crate) host: String,
    dir: tempfile::TempDir,
}

/// How it is to be reached.
#[derive(Default)]
pub(crate) struct Setup<'a> {
    /// Name and password.
    pub(crate) password: Option<(&'a str, &'a str)>,
    /// Over TLS, with a certificate of a fresh authority.
    pub(crate) tls: bool,
}

impl Debian {
    pub(crate) fn start(setup: &Setup<'_>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        let port = free_port();
        let host = format!("127.0.0.1:{port}");
        let mut config = format!(
            "version: 0.1\nlog: {{ level: warn, accesslog: {{ disabled: true }} }}\n\
             storage: {{ filesystem: {{ rootdirectory: {} }}, delete: {{ enabled: true }} }}\n",
            at("data")
        );
        writeln!(config, "http:\n  addr: {host}\n  secret: of-this-test").unwrap();
        if setup.tls {
            certificates(dir.path());
            writeln!(config, "  tls: {{ certificate: {}, key: {} }}", at("server.pem"), at("server.key"))
                .unwrap();
        }
        if let Some((user, password)) = setup.password {
            let output = run(Command::new("htpasswd").args(["-Bbn", user, password]));
            fs_err::write(at("htpasswd"), output.stdout).unwrap();
            writeln!(config, "auth: {{ htpasswd: {{ realm: test, path: {} }} }}", at("htpasswd")).unwrap();
        }
        fs_err::write(at("config.yml"), config).unwrap();
        let log = fs_err::File::create(at("log")).unwrap();
        let child = Command::new("docker-registry")
            .args(["serve", &at("config.yml")])
            .stdout(Stdio::null())
            .stderr(log.into_file())
            .spawn()
            .expect("docker-registry, of the package of that name");
        let registry = Self { child, host, dir };
        registry.wait("log");
        registry
    }

    /// Until it takes connections.
    fn wait(&self, log: &str) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(&self.host).is_err() {
            assert!(Instant::now() < deadline, "{}", fs_err::read_to_string(self.path(log)).unwrap());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What `skopeo` says of one of its images; it must succeed.
    pub(crate) fn skopeo(&self, args: &[&str]) -> Vec<u8> {
        run(Command::new("skopeo").args(args).env("HOME", self.dir.path())).stdout
    }
}

impl Drop for Debian {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A port that nobody has now.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub(crate) fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// `ca.pem`, and `server.pem` with its key for 127.0.0.1, made by openssl.
fn certificates(dir: &Path) {
    let openssl = |args: &str| {
        run(Command::new("openssl").args(args.split(' ')).current_dir(dir));
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc";
    openssl(&format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=authority"));
    openssl(&format!("req {key} -keyout server.key -out server.csr -subj /CN=registry"));
    fs_err::write(dir.join("names"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    openssl(
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem",
    );
}

/// nginx before a registry, with what it does where nothing is said: whole requests are taken before they are passed on.
pub(crate) fn nginx(registry: &str) -> Debian {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let host = format!("127.0.0.1:{}", free_port());
    let mut paths = String::new();
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        writeln!(paths, "{kind}_temp_path {};", at(kind)).unwrap();
    }
    let config = format!(
        "daemon off; master_process off; pid {}; error_log {} warn;\nevents {{}}\nhttp {{\n{paths}\
         log_format short '$request_method $uri $status'; access_log {} short;\n\
         server {{ listen {host}; location / {{ proxy_pass http://{registry}; proxy_set_header Host $http_host; }} }}\n}}\n",
        at("pid"),
        at("error.log"),
        at("access.log")
    );
    fs_err::write(at("nginx.conf"), config).unwrap();
    let child = Command::new("nginx")
        .args(["-p", &at(""), "-e", &at("error.log"), "-c", &at("nginx.conf")])
        .stderr(Stdio::null())
        .spawn()
        .expect("nginx, of the package of that name");
    let proxy = Debian { child, host, dir };
    proxy.wait("error.log");
    proxy
}
