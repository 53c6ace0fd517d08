//! A model signature, as the Open Source Security Foundation has it, against the reference implementation in Python.

use crate::error::BenchError;
use crate::machine::cores;
use crate::process::{Finished, run};
use crate::report::{Bar, Figure, Unit};
use crate::stats::{median, ratios};
use crate::verify::{FILES, LIMIT, file_size, write_files};
use crate::{Measured, Setting, say};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// This part's name.
pub(crate) const PART: &str = "signed";

/// The bar: how many times as fast as `model_signing verify key`.
const MIN_RATIO: f64 = 1.3;

/// Measures.
pub(crate) fn measure(setting: &Setting) -> Result<Measured, BenchError> {
    let work = setting.temp()?;
    let (model, key) = (work.path().join("model"), work.path().join("key.pem"));
    let (public, signature) = (work.path().join("key.pub"), work.path().join("model.sig"));
    let size = file_size(setting);
    say(&format!("{PART}: writing {FILES} files of {} MiB", size >> 20));
    write_files(&model, size)?;
    let openssl = |args: &[&str], out: &Path| {
        run(Command::new("openssl").args(args).arg("-out").arg(out), LIMIT).map(drop)
    };
    openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout"], &key)?;
    let key_text = key.to_string_lossy().into_owned();
    openssl(&["ec", "-in", &key_text, "-pubout"], &public)?;
    let store = work.path().join("store");
    // The tool of the other side signs: a signature that only its maker can read would prove little.
    run(
        python(setting)
            .args(["sign", "key"])
            .arg(&model)
            .arg("--signature")
            .arg(&signature)
            .arg("--private_key")
            .arg(&key),
        LIMIT,
    )?;
    let ours = || {
        let mut command = setting.sovai(&store);
        command.arg("verify").arg(&model).arg("--signature").arg(&signature).arg("--key").arg(&public);
        command.args(["--full", "-o", "json", "-q", "--threads", &cores().to_string()]);
        checked(run(&mut command, LIMIT)?)
    };
    let theirs = || {
        let mut command = python(setting);
        command
            .args(["verify", "key"])
            .arg(&model)
            .arg("--signature")
            .arg(&signature)
            .arg("--public_key")
            .arg(&public);
        run(&mut command, LIMIT)
    };
    ours()?;
    let (mut sovai, mut peer) = (vec![], vec![]);
    for round in 0..setting.rounds {
        setting.begin(PART, round)?;
        if round % 2 == 0 {
            peer.push(theirs()?.wall.as_secs_f64());
            sovai.push(ours()?.wall.as_secs_f64());
        } else {
            sovai.push(ours()?.wall.as_secs_f64());
            peer.push(theirs()?.wall.as_secs_f64());
        }
    }
    let detail = format!(
        "sovai {:.2} s, model-signing {} {:.2} s, with {} threads over {FILES} files in the page cache",
        median(&sovai),
        version(setting)?,
        median(&peer),
        cores()
    );
    let name = "`sovai verify --signature` : `model_signing verify key`, speed";
    let figure = Figure::new(PART, name, Unit::Ratio, ratios(&peer, &sovai));
    Ok((vec![figure.bar(Bar::AtLeast(MIN_RATIO)).detail(detail)], Vec::new()))
}

fn python(setting: &Setting) -> Command {
    let mut command = Command::new(&setting.witness);
    command.args(["-m", "model_signing"]);
    command
}

fn version(setting: &Setting) -> Result<String, BenchError> {
    let script = "import importlib.metadata as m; print(m.version('model-signing'))";
    Ok(run(Command::new(&setting.witness).args(["-c", script]), LIMIT)?.stdout.trim().to_owned())
}

/// The run as it was, if sovai says that all is well.
fn checked(done: Finished) -> Result<Finished, BenchError> {
    let result: Value = serde_json::from_str(&done.stdout).unwrap_or_default();
    if result["ok"] != true {
        return Err(BenchError::Answer {
            what: "sovai verify should have found nothing".into(),
            found: done.stdout,
        });
    }
    Ok(done)
}
