//! Settings, strongest first: flag, `SOVAI_*` variable, `sovai.toml` in the working folder, the user's `sovai.toml`, default.

use crate::args::{GlobalArgs, OutputFormat, ProgressMode};
use crate::error::CliError;
use crate::exit::Exit;
use crate::input::read_bounded;
use crate::output::{Form, Talk, safe_line};
use serde::Deserialize;
use serde::de::IntoDeserializer as _;
use sovai_core::is_registry_host;
use sovai_deployer::docker::DEFAULT_HOST;
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// Name of the configuration file.
const FILE: &str = "sovai.toml";
/// A configuration is a few lines.
const MAX_BYTES: usize = 64 << 10;
/// Keys of a configuration file.
const KEYS: [&str; 8] = ["ca-cert", "host", "offline", "output", "progress", "registry", "store", "threads"];
/// More hashing threads than any host has use for are a slip of the keyboard.
const MAX_THREADS: usize = 1024;

/// What a command goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Folder of the store; `None` where no home is known.
    pub(crate) store: Option<PathBuf>,
    /// Whether a flag named it, which the next command needs as well.
    pub(crate) store_by_flag: bool,
    /// Address of the container engine.
    pub(crate) host: String,
    /// Form of results.
    pub(crate) form: Form,
    /// How much is said.
    pub(crate) talk: Talk,
    /// Form of progress.
    pub(crate) progress: ProgressMode,
    /// Reach for nothing outside this host.
    pub(crate) offline: bool,
    /// Answer yes to every question.
    pub(crate) yes: bool,
    /// Hashing threads; `None`: one for each CPU.
    pub(crate) threads: Option<NonZeroUsize>,
    /// The registry of images whose names have none, as `HOST[:PORT]`.
    pub(crate) registry: Option<String>,
    /// Further certificate authorities, PEM files.
    pub(crate) ca_certs: Vec<PathBuf>,
}

impl Settings {
    /// What a further command line needs to find the same store: ` --store DIR`, or nothing.
    pub(crate) fn store_flag(&self) -> String {
        match &self.store {
            Some(store) if self.store_by_flag => {
                format!(" --store {}", safe_line(&store.display().to_string()))
            }
            _ => String::new(),
        }
    }

    /// What they are, in one line.
    pub(crate) fn describe(&self) -> String {
        let store = self.store.as_ref().map_or("unknown".to_owned(), |store| store.display().to_string());
        let offline = if self.offline { "; offline" } else { "" };
        safe_line(&format!("store {store}; container engine {}{offline}", self.host))
    }
}

/// What surrounds the process; passed in, so that tests can set it.
pub(crate) struct Surroundings<'a> {
    /// Variables.
    pub(crate) var: &'a dyn Fn(&str) -> Option<OsString>,
    /// Working folder.
    pub(crate) cwd: &'a Path,
    /// Whether the user is root.
    pub(crate) root: bool,
}

/// One layer of settings: what is absent is left to the next one.
#[derive(Debug, Default)]
struct Layer {
    store: Option<PathBuf>,
    host: Option<String>,
    output: Option<OutputFormat>,
    progress: Option<ProgressMode>,
    offline: Option<bool>,
    threads: Option<NonZeroUsize>,
    registry: Option<String>,
    ca_certs: Option<Vec<PathBuf>>,
}

impl Layer {
    fn or(self, weaker: Self) -> Self {
        Self {
            store: self.store.or(weaker.store),
            host: self.host.or(weaker.host),
            output: self.output.or(weaker.output),
            progress: self.progress.or(weaker.progress),
            offline: self.offline.or(weaker.offline),
            threads: self.threads.or(weaker.threads),
            registry: self.registry.or(weaker.registry),
            ca_certs: self.ca_certs.or(weaker.ca_certs),
        }
    }
}

/// Gathers the settings.
pub(crate) fn load(flags: &GlobalArgs, around: &Surroundings<'_>) -> Result<Settings, CliError> {
    let mut layer = Layer {
        store: flags.store.as_ref().map(|path| around.cwd.join(path)),
        host: flags.host.clone(),
        output: flags.output,
        progress: flags.progress,
        offline: flags.offline.then_some(true),
        ..Layer::default()
    };
    layer = layer.or(from_variables(around)?);
    let user = absolute_var(around, "XDG_CONFIG_HOME")
        .or_else(|| Some(absolute_var(around, "HOME")?.join(".config")))
        .map(|config| config.join("sovai"));
    for folder in [Some(around.cwd.to_owned()), user].into_iter().flatten() {
        layer = layer.or(from_file(&folder)?);
    }
    let home = || {
        absolute_var(around, "XDG_DATA_HOME")
            .or_else(|| Some(absolute_var(around, "HOME")?.join(".local/share")))
            .map(|data| data.join("sovai"))
    };
    let store =
        layer.store.or_else(|| if around.root { Some(PathBuf::from("/var/lib/sovai")) } else { home() });
    let host = match layer.host {
        Some(host) => host,
        None => text_var(around, "DOCKER_HOST")?.unwrap_or_else(|| DEFAULT_HOST.to_owned()),
    };
    Ok(Settings {
        store,
        store_by_flag: flags.store.is_some(),
        host,
        form: form(layer.output),
        talk: talk(flags),
        progress: layer.progress.unwrap_or(ProgressMode::Auto),
        offline: layer.offline.unwrap_or(false),
        yes: flags.yes,
        threads: layer.threads,
        registry: layer.registry,
        ca_certs: layer.ca_certs.unwrap_or_default(),
    })
}

/// The form of results that an error in the settings themselves is shown in.
pub(crate) fn form_before_settings(flags: &GlobalArgs, around: &Surroundings<'_>) -> Form {
    form(flags.output.or_else(|| choice(&text_var(around, "SOVAI_OUTPUT").ok()??)))
}

/// How much is said; only flags decide it.
pub(crate) fn talk(flags: &GlobalArgs) -> Talk {
    match (flags.quiet, flags.verbose) {
        (true, _) => Talk::Quiet,
        (_, true) => Talk::Verbose,
        _ => Talk::Normal,
    }
}

fn form(output: Option<OutputFormat>) -> Form {
    match output {
        Some(OutputFormat::Json) => Form::Json,
        Some(OutputFormat::Text) | None => Form::Text,
    }
}

fn from_variables(around: &Surroundings<'_>) -> Result<Layer, CliError> {
    let wrong = |name: &str, found: &str, wanted: &str| {
        CliError::new(Exit::Usage, format!("{name}: expected {wanted}, found `{}`", safe_line(found)))
            .hint(format!("set {name} to such a value, or unset it"))
    };
    let mut layer = Layer {
        store: (around.var)("SOVAI_STORE").filter(|path| !path.is_empty()).map(|path| around.cwd.join(path)),
        host: text_var(around, "SOVAI_HOST")?,
        ca_certs: (around.var)("SOVAI_CA_CERT")
            .filter(|paths| !paths.is_empty())
            .map(|paths| std::env::split_paths(&paths).map(|path| around.cwd.join(path)).collect()),
        ..Layer::default()
    };
    if let Some(text) = text_var(around, "SOVAI_OUTPUT")? {
        layer.output = Some(choice(&text).ok_or_else(|| wrong("SOVAI_OUTPUT", &text, "text or json"))?);
    }
    if let Some(text) = text_var(around, "SOVAI_PROGRESS")? {
        let value = choice(&text);
        layer.progress =
            Some(value.ok_or_else(|| wrong("SOVAI_PROGRESS", &text, "auto, tty, plain, json or none"))?);
    }
    if let Some(text) = text_var(around, "SOVAI_OFFLINE")? {
        layer.offline = Some(match text.as_str() {
            "1" | "true" | "yes" => true,
            "0" | "false" | "no" => false,
            _ => return Err(wrong("SOVAI_OFFLINE", &text, "1, true, yes, 0, false or no")),
        });
    }
    if let Some(text) = text_var(around, "SOVAI_REGISTRY")? {
        let value = Some(text.clone()).filter(|host| is_registry_host(host));
        layer.registry = Some(value.ok_or_else(|| wrong("SOVAI_REGISTRY", &text, "HOST or HOST:PORT"))?);
    }
    if let Some(text) = text_var(around, "SOVAI_THREADS")? {
        let value = text.parse().ok().and_then(threads);
        layer.threads = Some(value.ok_or_else(|| wrong("SOVAI_THREADS", &text, &thread_range()))?);
    }
    Ok(layer)
}

fn from_file(folder: &Path) -> Result<Layer, CliError> {
    let path = folder.join(FILE);
    // One that is not there, or lies where this user cannot look, sets nothing.
    if !path.try_exists().unwrap_or(false) {
        return Ok(Layer::default());
    }
    let bytes = read_bounded(&path, MAX_BYTES, "configuration")?;
    let shown = safe_line(&path.display().to_string());
    let invalid = |why: String| CliError::new(Exit::Invalid, format!("configuration {shown}: {why}"));
    if bytes.len() > MAX_BYTES {
        return Err(invalid(format!("more than {MAX_BYTES} bytes")));
    }
    let text = String::from_utf8(bytes).map_err(|_| invalid("not UTF-8".to_owned()))?;
    let table: toml::Table =
        toml::from_str(&text).map_err(|error| invalid("not TOML".to_owned()).cause(error.to_string()))?;
    let mut layer = Layer::default();
    for (key, value) in table {
        let wrong = |wanted: &str| invalid(format!("`{key}`: expected {wanted}, found `{}`", found(&value)));
        match (key.as_str(), &value) {
            ("store", toml::Value::String(text)) if !text.is_empty() => layer.store = Some(folder.join(text)),
            ("store", _) => return Err(wrong("a path in quotes")),
            ("host", toml::Value::String(text)) if !text.is_empty() => layer.host = Some(text.clone()),
            ("host", _) => return Err(wrong("an address in quotes")),
            ("output", value) => {
                let value = value.as_str().and_then(choice);
                layer.output = Some(value.ok_or_else(|| wrong("\"text\" or \"json\""))?);
            }
            ("progress", value) => {
                let value = value.as_str().and_then(choice);
                let wanted = "\"auto\", \"tty\", \"plain\", \"json\" or \"none\"";
                layer.progress = Some(value.ok_or_else(|| wrong(wanted))?);
            }
            ("offline", toml::Value::Boolean(value)) => layer.offline = Some(*value),
            ("offline", _) => return Err(wrong("true or false")),
            ("registry", toml::Value::String(text)) if is_registry_host(text) => {
                layer.registry = Some(text.clone());
            }
            ("registry", _) => return Err(wrong("HOST or HOST:PORT in quotes")),
            ("ca-cert", value) => {
                let texts = match value {
                    toml::Value::String(text) => Some(vec![text.as_str()]),
                    toml::Value::Array(list) => list.iter().map(toml::Value::as_str).collect(),
                    _ => None,
                };
                let texts = texts.filter(|texts| !texts.iter().any(|text| text.is_empty()));
                let texts = texts.ok_or_else(|| wrong("a path in quotes, or a list of them"))?;
                layer.ca_certs = Some(texts.into_iter().map(|text| folder.join(text)).collect());
            }
            ("threads", value) => {
                let value = value.as_integer().and_then(|n| threads(usize::try_from(n).ok()?));
                layer.threads = Some(value.ok_or_else(|| wrong(&thread_range()))?);
            }
            (unknown, _) => {
                let error = invalid(format!("unknown key `{}`", safe_line(unknown)));
                return Err(match sovai_catalog::suggest(unknown, KEYS) {
                    Some(near) => error.hint(format!("did you mean `{near}`?")),
                    None => error.hint(format!("the keys are {}", KEYS.join(", "))),
                });
            }
        }
    }
    Ok(layer)
}

/// A value as it was found; JSON and TOML write the simple ones alike.
fn found(value: &toml::Value) -> String {
    safe_line(&serde_json::to_string(value).unwrap_or_default())
}

/// A number of threads within reason.
fn threads(number: usize) -> Option<NonZeroUsize> {
    NonZeroUsize::new(number).filter(|number| number.get() <= MAX_THREADS)
}

fn thread_range() -> String {
    format!("a number from 1 to {MAX_THREADS}")
}

/// One of the words of a choice.
fn choice<'de, T: Deserialize<'de>>(text: &'de str) -> Option<T> {
    let deserializer: serde::de::value::StrDeserializer<'de, serde::de::value::Error> =
        text.into_deserializer();
    T::deserialize(deserializer).ok()
}

/// A variable that is text; empty is as good as unset.
fn text_var(around: &Surroundings<'_>, name: &str) -> Result<Option<String>, CliError> {
    match (around.var)(name) {
        None => Ok(None),
        Some(value) if value.is_empty() => Ok(None),
        Some(value) => value
            .into_string()
            .map(Some)
            .map_err(|_| CliError::new(Exit::Usage, format!("{name} is not UTF-8"))),
    }
}

/// A variable that is an absolute path; the XDG base directory specification says to ignore others.
fn absolute_var(around: &Surroundings<'_>, name: &str) -> Option<PathBuf> {
    (around.var)(name).map(PathBuf::from).filter(|path| path.is_absolute())
}

#[cfg(test)]
#[path = "config/tests.rs"]
mod tests;
