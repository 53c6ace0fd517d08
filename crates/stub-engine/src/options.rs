//! The options of llama-server that the shipped profile uses.

use std::net::IpAddr;

/// How the server was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    /// `-m`, `--model`.
    pub(crate) model: String,
    /// `--host`.
    pub(crate) host: IpAddr,
    /// `--port`.
    pub(crate) port: u16,
    /// `--alias`; the model's path without one, as llama-server does.
    pub(crate) alias: String,
    /// `-c`, `--ctx-size`.
    pub(crate) context: u32,
    /// `--parallel`.
    pub(crate) parallel: u32,
    /// `--metrics`: without it `/metrics` is not there.
    pub(crate) metrics: bool,
}

/// Reads the options; an unknown one is an error, so that a wrong profile is found.
pub(crate) fn parse(args: &[String]) -> Result<Options, String> {
    let (mut model, mut alias) = (None, None);
    let (mut host, mut port) = (IpAddr::from([127, 0, 0, 1]), 8080);
    let (mut context, mut parallel, mut metrics) = (4096, 1, false);
    let mut args = args.iter();
    while let Some(option) = args.next() {
        let mut value =
            || args.next().map(String::as_str).ok_or_else(|| format!("expected a value for {option}"));
        match option.as_str() {
            "-m" | "--model" => model = Some(value()?.to_owned()),
            "-a" | "--alias" => alias = Some(value()?.to_owned()),
            "--host" => host = read(option, value()?)?,
            "--port" => port = read(option, value()?)?,
            "-c" | "--ctx-size" => context = read(option, value()?)?,
            "-np" | "--parallel" => parallel = read(option, value()?)?,
            "-t" | "--threads" => drop(read::<u32>(option, value()?)?),
            "--metrics" => metrics = true,
            other => return Err(format!("invalid argument: {other}")),
        }
    }
    let model = model.ok_or("a model is needed: -m FILE")?;
    let alias = alias.unwrap_or_else(|| model.clone());
    Ok(Options { model, host, port, alias, context, parallel, metrics })
}

fn read<T: std::str::FromStr>(option: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("invalid value for {option}: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Result<Options, String> {
        parse(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn the_profile_s_options_are_taken_and_no_others() {
        let options =
            line("-m /m.gguf --host 0.0.0.0 --port 9 --alias a -c 512 --parallel 2 --threads 4 --metrics")
                .unwrap();
        assert_eq!(
            (options.port, options.alias.as_str(), options.context, options.parallel),
            (9, "a", 512, 2)
        );
        assert!(options.metrics);
        assert_eq!(line("-m x").unwrap().alias, "x");
        assert!(line("--metrics").unwrap_err().contains("-m"));
        assert!(line("-m x --slots").unwrap_err().contains("invalid argument: --slots"));
        assert!(line("-m x --port").unwrap_err().contains("--port"));
        assert!(line("-m x --port 70000").unwrap_err().contains("70000"));
    }
}
