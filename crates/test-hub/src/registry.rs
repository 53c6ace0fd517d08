//! A real registry of images and artifacts: Debian's `docker-registry` on a free port of this host.

use std::fmt::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long a server has to take its first connection.
const START: Duration = Duration::from_secs(30);

/// How a registry is to be reached.
#[derive(Debug, Clone, Copy, Default)]
pub struct Setup<'a> {
    /// Name and password, by basic authentication; without them everybody may read and write.
    pub password: Option<(&'a str, &'a str)>,
    /// Over TLS, with a certificate for 127.0.0.1 of a fresh authority: see [`Registry::ca`].
    pub tls: bool,
}

/// A registry that runs, or a proxy before one; it ends when this is dropped, and its folder goes.
#[derive(Debug)]
pub struct Registry {
    child: Child,
    host: String,
    folder: tempfile::TempDir,
}

impl Registry {
    /// Starts one that everybody may use, over plain http.
    pub fn start() -> Self {
        Self::with(&Setup::default())
    }

    /// Starts one, and waits until it takes connections.
    ///
    /// # Panics
    ///
    /// When `docker-registry`, or a tool that the setup needs (`htpasswd`, `openssl`), is not there or does not work.
    pub fn with(setup: &Setup<'_>) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the registry");
        let at = |name: &str| text(&folder.path().join(name));
        let host = free_host();
        let mut config = format!(
            "version: 0.1\nlog: {{ level: warn, accesslog: {{ disabled: true }} }}\n\
             storage: {{ filesystem: {{ rootdirectory: {} }}, delete: {{ enabled: true }} }}\n\
             http:\n  addr: {host}\n  secret: of-this-test\n",
            at("data")
        );
        if setup.tls {
            certificates(folder.path());
            let (certificate, key) = (at("server.pem"), at("server.key"));
            writeln!(config, "  tls: {{ certificate: {certificate}, key: {key} }}").expect("a string grows");
        }
        if let Some((user, password)) = setup.password {
            let output = run(Command::new("htpasswd").args(["-Bbn", user, password]));
            write(&folder.path().join("htpasswd"), &output.stdout);
            writeln!(config, "auth: {{ htpasswd: {{ realm: test, path: {} }} }}", at("htpasswd"))
                .expect("a string grows");
        }
        write(&folder.path().join("config.yml"), config.as_bytes());
        let log = fs_err::File::create(at("log")).expect("a log");
        let child = Command::new("docker-registry")
            .args(["serve", &at("config.yml")])
            .stdout(Stdio::null())
            .stderr(log.into_file())
            .spawn()
            .expect("docker-registry, of the package of that name");
        Self { child, host, folder }.ready("log")
    }

    /// nginx before a registry, with what it does where nothing is said: whole requests are taken before they are passed on.
    ///
    /// # Panics
    ///
    /// When `nginx` is not there or does not work.
    pub fn behind_nginx(registry: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder for nginx");
        let at = |name: &str| text(&folder.path().join(name));
        let host = free_host();
        let mut paths = String::new();
        for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            writeln!(paths, "{kind}_temp_path {};", at(kind)).expect("a string grows");
        }
        let config = format!(
            "daemon off; master_process off; pid {}; error_log {} warn;\nevents {{}}\nhttp {{\n{paths}\
             log_format short '$request_method $uri $status'; access_log {} short;\n\
             server {{ listen {host}; location / {{ proxy_pass http://{registry}; proxy_set_header Host $http_host; }} }}\n}}\n",
            at("pid"),
            at("error.log"),
            at("access.log")
        );
        write(&folder.path().join("nginx.conf"), config.as_bytes());
        let child = Command::new("nginx")
            .args(["-p", &at(""), "-e", &at("error.log"), "-c", &at("nginx.conf")])
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx, of the package of that name");
        Self { child, host, folder }.ready("error.log")
    }

    /// Where it is: `127.0.0.1:PORT`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The certificate of the authority behind its TLS, PEM; a file only with [`Setup::tls`].
    pub fn ca(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// A path in its folder, where its data and its log are.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What `skopeo` prints with these arguments; it must succeed.
    ///
    /// # Panics
    ///
    /// When `skopeo` is not there or fails.
    pub fn skopeo(&self, args: &[&str]) -> Vec<u8> {
        run(Command::new("skopeo").args(args).env("HOME", self.folder.path())).stdout
    }

    /// Until it takes connections.
    fn ready(self, log: &str) -> Self {
        let deadline = Instant::now() + START;
        while TcpStream::connect(&self.host).is_err() {
            let said = || fs_err::read_to_string(self.path(log)).unwrap_or_default();
            assert!(Instant::now() < deadline, "{} does not listen: {}", self.host, said());
            std::thread::sleep(Duration::from_millis(20));
        }
        self
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // One that has ended by itself cannot be killed; either way it is gone afterwards.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A port that nobody has now.
fn free_host() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").to_string()
}

/// `ca.pem`, and `server.pem` with its key for 127.0.0.1, made by openssl.
fn certificates(folder: &Path) {
    let openssl = |args: &str| {
        run(Command::new("openssl").args(args.split(' ')).current_dir(folder));
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc";
    openssl(&format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=authority"));
    openssl(&format!("req {key} -keyout server.key -out server.csr -subj /CN=registry"));
    write(&folder.join("names"), b"subjectAltName=IP:127.0.0.1\n");
    openssl(
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem",
    );
}

fn text(path: &Path) -> String {
    path.to_str().expect("a path in UTF-8").to_owned()
}

fn write(path: &Path, bytes: &[u8]) {
    fs_err::write(path, bytes).expect("a file in a folder of one's own");
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}
