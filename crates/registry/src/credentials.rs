//! Who we are to a registry: as docker and podman keep it.

use docker_credential::{CredentialRetrievalError, DockerCredential};
use sovai_http::Env;
use std::fmt;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

/// Largest file of credentials that is read.
const MAX_FILE: u64 = 1 << 20;
/// Longest time that a credential helper is waited for; some ask a person.
const HELPER_PATIENCE: Duration = Duration::from_mins(1);

/// Who we are to a registry. Nothing is looked up before a registry asks.
#[derive(Clone)]
pub struct Credentials(Kind);

#[derive(Clone)]
enum Kind {
    Anonymous,
    Basic { user: String, password: String },
    Files(Vec<PathBuf>),
}

/// One credential.
#[derive(Clone)]
pub(crate) enum Credential {
    Anonymous,
    Basic {
        user: String,
        password: String,
    },
    /// An `OAuth2` refresh token.
    Identity(String),
}

/// No secret is shown.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Anonymous => "Credentials(anonymous)",
            Kind::Basic { .. } => "Credentials(basic)",
            Kind::Files(_) => "Credentials(files)",
        })
    }
}

impl Credentials {
    /// None.
    pub const fn anonymous() -> Self {
        Self(Kind::Anonymous)
    }

    /// A name and a password.
    pub const fn basic(user: String, password: String) -> Self {
        Self(Kind::Basic { user, password })
    }

    /// Those of docker and podman, with their credential helpers. The first file that knows the registry counts, of
    /// `$REGISTRY_AUTH_FILE`, `$DOCKER_CONFIG/config.json` (else `$HOME/.docker/config.json`),
    /// `$XDG_RUNTIME_DIR/containers/auth.json`, `$HOME/.config/containers/auth.json`.
    pub fn of_user(env: &Env) -> Self {
        let home = env.get("HOME").map(PathBuf::from);
        let docker = env
            .get("DOCKER_CONFIG")
            .map(PathBuf::from)
            .or_else(|| home.as_ref().map(|home| home.join(".docker")))
            .map(|folder| folder.join("config.json"));
        let runtime =
            env.get("XDG_RUNTIME_DIR").map(|folder| PathBuf::from(folder).join("containers/auth.json"));
        let files = [
            env.get("REGISTRY_AUTH_FILE").map(PathBuf::from),
            docker,
            runtime,
            home.map(|home| home.join(".config/containers/auth.json")),
        ];
        Self(Kind::Files(files.into_iter().flatten().collect()))
    }

    /// The one for a registry. The error is a reason for people, without secrets.
    pub(crate) async fn of(&self, host: &str) -> Result<Credential, String> {
        let files = match &self.0 {
            Kind::Anonymous => return Ok(Credential::Anonymous),
            Kind::Basic { user, password } => {
                return Ok(Credential::Basic { user: user.clone(), password: password.clone() });
            }
            Kind::Files(files) => files.clone(),
        };
        let host = host.to_owned();
        // A helper is another program.
        let asked = tokio::task::spawn_blocking(move || look_up(&files, &host));
        match tokio::time::timeout(HELPER_PATIENCE, asked).await {
            Ok(Ok(found)) => found,
            Ok(Err(_)) => Err("the credential helper could not be asked".to_owned()),
            Err(_) => {
                Err(format!("the credential helper did not answer within {} s", HELPER_PATIENCE.as_secs()))
            }
        }
    }
}

fn look_up(files: &[PathBuf], host: &str) -> Result<Credential, String> {
    for path in files {
        let mut bytes = Vec::new();
        match fs_err::File::open(path) {
            Ok(file) => file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error.to_string()),
        };
        if bytes.len() as u64 > MAX_FILE {
            return Err(format!("`{}` is larger than {MAX_FILE} bytes", path.display()));
        }
        let bad = |what: &str| Err(format!("`{}`: {what}", path.display()));
        match docker_credential::get_credential_from_reader(bytes.as_slice(), host) {
            // What helpers and `logout` leave behind.
            Ok(DockerCredential::UsernamePassword(user, password))
                if user.is_empty() && password.is_empty() => {}
            Ok(DockerCredential::UsernamePassword(user, password)) => {
                return Ok(Credential::Basic { user, password });
            }
            Ok(DockerCredential::IdentityToken(token)) if token.is_empty() => {}
            Ok(DockerCredential::IdentityToken(token)) => return Ok(Credential::Identity(token)),
            Err(
                CredentialRetrievalError::NoCredentialConfigured | CredentialRetrievalError::ConfigNotFound,
            ) => {}
            Err(CredentialRetrievalError::HelperFailure { helper, stdout, .. }) => {
                // The word of docker-credential-helpers (`credentials/error.go`), which has no code of its own.
                if !stdout.contains("credentials not found") {
                    return bad(&format!("`{helper}` failed"));
                }
            }
            Err(CredentialRetrievalError::HelperCommunicationError) => {
                return bad("the credential helper that it names could not be run");
            }
            Err(CredentialRetrievalError::MalformedHelperResponse) => {
                return bad("the credential helper that it names gave a malformed answer");
            }
            Err(CredentialRetrievalError::CredentialMismatchError) => {
                return bad("`auth` does not match `username` and `password`");
            }
            Err(CredentialRetrievalError::CredentialDecodingError) => return bad("`auth` is malformed"),
            Err(CredentialRetrievalError::ConfigReadError) => {
                return bad("it is no JSON file of credentials");
            }
        }
    }
    Ok(Credential::Anonymous)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn asked(env: &Env, host: &str) -> Result<String, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(Credentials::of_user(env).of(host)).map(|credential| match credential {
            Credential::Anonymous => "nobody".to_owned(),
            Credential::Basic { user, password } => format!("{user}:{password}"),
            Credential::Identity(token) => format!("token {token}"),
        })
    }

    fn home(files: &[(&str, &str)]) -> (tempfile::TempDir, Env) {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        }
        let root = dir.path().to_str().unwrap().to_owned();
        (dir, Env::of([("HOME", &root)]))
    }

    #[test]
    fn docker_s_file_comes_before_podman_s_and_each_host_has_its_own() {
        // `printf a:b | base64`
        let docker = r#"{"auths":{"one.example:5000":{"auth":"YTpi"},"id.example":{"identitytoken":"t"}}}"#;
        let podman = r#"{"auths":{"one.example:5000":{"auth":"eDp5"},"two.example":{"auth":"eDp5"}}}"#;
        let (_dir, env) = home(&[(".docker/config.json", docker), (".config/containers/auth.json", podman)]);
        assert_eq!(asked(&env, "one.example:5000").unwrap(), "a:b");
        assert_eq!(asked(&env, "two.example").unwrap(), "x:y");
        assert_eq!(asked(&env, "id.example").unwrap(), "token t");
        assert_eq!(asked(&env, "one.example").unwrap(), "nobody", "another port is another registry");
        assert_eq!(asked(&Env::of([]), "one.example").unwrap(), "nobody");
    }

    #[test]
    fn what_cannot_be_read_is_an_error_and_not_nobody() {
        let (_dir, env) = home(&[(".docker/config.json", "{")]);
        assert!(asked(&env, "one.example").unwrap_err().contains("no JSON file of credentials"));
        let (_dir, env) = home(&[(".docker/config.json", r#"{"auths":{"a.example":{"auth":"?"}}}"#)]);
        assert!(asked(&env, "a.example").unwrap_err().contains("malformed"));
        let (_dir, env) =
            home(&[(".docker/config.json", r#"{"credsStore":"sovai-test-that-is-not-there"}"#)]);
        assert!(asked(&env, "a.example").unwrap_err().contains("could not be run"));
    }

    /// A helper is found through `PATH`, which a test must not change for the others: it runs itself again.
    #[test]
    fn a_helper_is_asked() {
        const CHILD: &str = "SOVAI_TEST_HELPER_CHILD";
        if let Ok(home) = std::env::var(CHILD) {
            let env = Env::of([("HOME", &home)]);
            assert_eq!(asked(&env, "a.example").unwrap(), "u:s");
            assert_eq!(asked(&env, "b.example").unwrap(), "nobody");
            let error = asked(&env, "c.example").unwrap_err();
            assert!(error.contains("failed") && !error.contains("secret"), "{error}");
            return;
        }
        let (dir, _env) = home(&[(".docker/config.json", r#"{"credsStore":"sovai-test"}"#)]);
        let helper = dir.path().join("docker-credential-sovai-test");
        let script = r#"#!/bin/sh
read -r host
case $host in
a.example) echo '{"ServerURL":"a.example","Username":"u","Secret":"s"}' ;;
b.example) echo 'credentials not found in native keychain'; exit 1 ;;
*) echo 'secret'; echo 'secret' >&2; exit 1 ;;
esac
"#;
        fs_err::write(&helper, script).unwrap();
        fs_err::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap());
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "credentials::tests::a_helper_is_asked"])
            .env("PATH", path)
            .env(CHILD, dir.path())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
    }
}
