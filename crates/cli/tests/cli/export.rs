//! `export checks`: the script and sovai must agree about every folder.

use crate::env::{Ran, TestEnv};
use sovai_core::{NullReporter, RelPath, Sha256};
use sovai_signing::oms::{Bundle, Compat, DEFAULT_IGNORES, SignRequest, sign};
use sovai_signing::{Algorithm, PrivateKey, PublicKey};
use sovai_verifier::{Links, Options, SignedList, digest_source, verify_signed};
use std::ffi::OsStr;
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Names that shells, lists and JSON trip over.
const NAMES: &[&str] = &[
    "config.json",
    "model.safetensors",
    "-rf",
    "-n",
    "a b  c",
    " leading and trailing ",
    "it's \"quoted\"",
    "$(touch pwned)",
    "`touch pwned`",
    "*",
    "[a]",
    "#hash",
    "~",
    "!",
    "käse/größe.txt",
    "模型/权重.bin",
    "🦀.bin",
    "deep/er/and/deeper/x",
    "a: b, {c} [d]",
    "name\":\"x",
    "%s%n",
];

/// A signed folder `model`, its signature `model.sig`, its key `key.pub`.
struct Signed {
    env: TestEnv,
    key: PrivateKey,
}

impl Signed {
    fn new(algorithm: Algorithm) -> Self {
        let env = TestEnv::new();
        for (index, name) in NAMES.iter().enumerate() {
            env.write(&format!("model/{name}"), format!("content {index}\n"));
        }
        env.write("model/empty", "");
        let signed = Self { env, key: PrivateKey::generate(algorithm).unwrap() };
        signed.sign(&[]);
        signed
    }

    fn sign(&self, ignore: &[&str]) {
        let options = Options::new(NonZeroUsize::MIN);
        let files = digest_source(&self.env.path("model"), &options, &NullReporter).unwrap();
        let files: Vec<(RelPath, Sha256)> = files.into_iter().map(|pin| (pin.path, pin.sha256)).collect();
        let path = |name: &&str| RelPath::new(name).unwrap();
        let ignore_paths = DEFAULT_IGNORES.iter().chain(ignore).map(path).collect();
        let request = SignRequest {
            model_name: "model".to_owned(),
            files: &files,
            ignore_paths,
            key: &self.key,
            chain: None,
        };
        self.env.write("model.sig", sign(request).unwrap()).write("key.pub", self.key.public().to_pem());
    }

    fn run_export(&self, out: &str) -> Ran {
        self.env.run(&format!("export checks model --signature model.sig --key key.pub --out {out}"))
    }

    fn export(&self) -> i32 {
        self.run_export("out").code
    }

    /// What the script says.
    fn script(&self) -> i32 {
        let sh = if Path::new("/usr/bin/dash").exists() { "dash" } else { "sh" };
        let output = Command::new(sh)
            .arg(self.env.path("out/check.sh"))
            .arg(self.env.path("model"))
            .current_dir("/")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(!self.env.path("model/pwned").exists() && !self.env.path("pwned").exists());
        let code = output.status.code().unwrap();
        let talk = String::from_utf8_lossy(&output.stderr);
        assert!(talk.lines().all(|line| line.starts_with("check.sh: ")), "{talk}");
        assert!(talk.lines().count() > 0, "nothing was said, {code}");
        code
    }

    /// What sovai says about the same folder, the signature in `out`, and the key in `out`.
    fn sovai(&self) -> i32 {
        let read = |name: &str| fs_err::read(self.env.path(name)).unwrap();
        let Ok(key) = PublicKey::from_pem(&read("out/key.pem")) else { return 5 };
        if key.id() != self.key.public().id() {
            return 5;
        }
        let parsed = Bundle::parse(&read("out/model.sig"), Compat::Strict);
        let Ok(signed) = parsed.and_then(|bundle| bundle.verify_key(&key)) else { return 5 };
        let signature = self.env.path("model/model.sig");
        let signature = signature.exists().then_some(signature.as_path());
        let list = SignedList { signed: &signed, signature, links: Links::Refuse };
        let options = Options::new(NonZeroUsize::MIN);
        let source = self.env.path("model");
        let report = verify_signed(&source, &list, &options, None, &NullReporter).unwrap();
        match (report.report.findings.is_empty(), report.unsigned.is_empty()) {
            (false, _) => 4,
            (true, false) => 5,
            (true, true) => 0,
        }
    }

    /// Both say `code`, after `change`.
    fn agree(code: i32, change: impl FnOnce(&Self)) {
        let signed = Self::new(Algorithm::P256);
        assert_eq!(signed.export(), 0);
        change(&signed);
        assert_eq!((signed.script(), signed.sovai()), (code, code));
    }
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs_err::read(path).unwrap();
    change(&mut bytes);
    fs_err::write(path, bytes).unwrap();
}

#[test]
fn both_say_yes_to_what_was_signed_on_each_curve() {
    for algorithm in [Algorithm::P256, Algorithm::P384, Algorithm::P521] {
        let signed = Signed::new(algorithm);
        assert_eq!(signed.export(), 0);
        assert_eq!((signed.script(), signed.sovai()), (0, 0));
        let sums = Command::new("sha256sum")
            .args(["--check", "--strict", "--quiet", "../out/SHA256SUMS"])
            .current_dir(signed.env.path("model"))
            .status()
            .unwrap();
        assert!(sums.success());
    }
}

#[test]
fn both_refuse_a_flipped_byte_in_any_file() {
    for name in NAMES {
        Signed::agree(4, |signed| {
            change(&signed.env.path(&format!("model/{name}")), |bytes| bytes[0] ^= 1);
        });
    }
}

#[test]
fn both_refuse_what_is_missing_added_renamed_or_swapped() {
    let at = |signed: &Signed, name: &str| signed.env.path("model").join(name);
    Signed::agree(4, |signed| fs_err::remove_file(at(signed, "-rf")).unwrap());
    Signed::agree(4, |signed| fs_err::remove_file(at(signed, "empty")).unwrap());
    Signed::agree(4, |signed| fs_err::write(at(signed, "empty"), "x").unwrap());
    Signed::agree(4, |signed| fs_err::write(at(signed, "extra"), "").unwrap());
    Signed::agree(4, |signed| fs_err::write(at(signed, "deep/er/.hidden"), "").unwrap());
    Signed::agree(4, |signed| fs_err::write(at(signed, ".gitignored"), "").unwrap());
    Signed::agree(4, |signed| fs_err::rename(at(signed, "config.json"), at(signed, "Config.json")).unwrap());
    Signed::agree(4, |signed| {
        fs_err::rename(at(signed, "*"), at(signed, "swap")).unwrap();
        fs_err::rename(at(signed, "[a]"), at(signed, "*")).unwrap();
        fs_err::rename(at(signed, "swap"), at(signed, "[a]")).unwrap();
    });
    Signed::agree(4, |signed| fs_err::remove_dir_all(signed.env.path("model/deep")).unwrap());
    // A folder in the place of a file.
    Signed::agree(4, |signed| {
        fs_err::remove_file(at(signed, "~")).unwrap();
        fs_err::create_dir(at(signed, "~")).unwrap();
    });
}

#[test]
fn both_refuse_names_that_are_made_to_fool_lists() {
    for name in
        ["two\nlines", "config.json\n", "x\n./config.json", "back\\slash", "esc\u{1b}[2J", " ", "-rf\n"]
    {
        Signed::agree(4, |signed| {
            signed.env.write(&format!("model/{name}"), "content 0\n");
        });
    }
    Signed::agree(4, |signed| {
        fs_err::write(signed.env.path("model").join(OsStr::from_bytes(b"\xff\xfe")), "x").unwrap();
    });
}

#[test]
fn the_script_names_each_odd_thing_on_a_line_of_its_own() {
    use std::os::unix::fs::symlink;
    let signed = Signed::new(Algorithm::P256);
    let ran = signed.run_export("out");
    assert!(ran.stdout.contains("sh out/check.sh FOLDER"), "{ran}");
    symlink("config.json", signed.env.path("model/link-a")).unwrap();
    symlink("config.json", signed.env.path("model/link-b")).unwrap();
    let script = signed.env.path("out/check.sh");
    let output = Command::new("sh").arg(&script).arg(signed.env.path("model")).output().unwrap();
    let talk = String::from_utf8_lossy(&output.stderr);
    for line in ["check.sh: ./link-a", "check.sh: ./link-b"] {
        assert!(talk.lines().any(|said| said == line), "{line}: {talk}");
    }
    // Names from outside cannot reorder what is read: all but ASCII is a question mark.
    signed.env.write("model/a\u{202e}b\x1b[2J", "x");
    let output = Command::new("sh").arg(&script).arg(signed.env.path("model")).output().unwrap();
    assert!(output.stderr.is_ascii() && !output.stderr.contains(&0x1b), "{:?}", output.stderr);
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("not signed: ./a???b?[2J"),
        "{:?}",
        output.stderr
    );
    let output = Command::new("sh").arg(&script).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("out/check.sh FOLDER"));
}

#[test]
fn both_refuse_links_and_special_files() {
    use std::os::unix::fs::symlink;
    let at = |signed: &Signed, name: &str| signed.env.path("model").join(name);
    Signed::agree(4, |signed| symlink("config.json", at(signed, "link")).unwrap());
    Signed::agree(4, |signed| {
        fs_err::rename(at(signed, "config.json"), signed.env.path("elsewhere")).unwrap();
        symlink("../elsewhere", at(signed, "config.json")).unwrap();
    });
    Signed::agree(4, |signed| {
        fs_err::rename(at(signed, "deep"), signed.env.path("deep")).unwrap();
        symlink("../deep", at(signed, "deep")).unwrap();
    });
    Signed::agree(4, |signed| {
        assert!(Command::new("mkfifo").arg(at(signed, "pipe")).status().unwrap().success());
    });
}

#[test]
fn both_refuse_what_lies_under_ignored_paths() {
    for name in [".git/hooks/post-checkout", ".gitattributes", ".github/x"] {
        Signed::agree(5, |signed| {
            signed.env.write(&format!("model/{name}"), "x");
        });
    }
    // Deeper they are no exception.
    Signed::agree(4, |signed| {
        signed.env.write("model/deep/.git/config", "x");
    });
    // Different and unsigned: the bytes come first.
    Signed::agree(4, |signed| {
        signed.env.write("model/.git/config", "x").write("model/config.json", "x");
    });
    let signed = Signed::new(Algorithm::P256);
    signed.sign(&["notes", "model.sig"]);
    assert_eq!(signed.export(), 0);
    fs_err::copy(signed.env.path("model.sig"), signed.env.path("model/model.sig")).unwrap();
    assert_eq!((signed.script(), signed.sovai()), (0, 0), "the signature may lie in the folder");
    signed.env.write("model/notes/a", "x");
    assert_eq!((signed.script(), signed.sovai()), (5, 5));
}

#[test]
fn the_files_beside_the_script_are_not_believed() {
    let signed = Signed::new(Algorithm::P256);
    let refused = |code: i32, name: &str, how: &dyn Fn(&mut Vec<u8>)| {
        fs_err::remove_dir_all(signed.env.path("out")).unwrap_or_default();
        assert_eq!(signed.export(), 0);
        change(&signed.env.path(&format!("out/{name}")), how);
        assert_eq!(signed.script(), code, "{name}");
    };
    refused(4, "SHA256SUMS", &|sums| sums[0] = if sums[0] == b'0' { b'1' } else { b'0' });
    refused(4, "SHA256SUMS", &|sums| sums.truncate(sums.len() - 70));
    refused(4, "SHA256SUMS", &|sums| sums.extend_from_slice(&sums.clone()[..70]));
    refused(4, "SHA256SUMS", &Vec::clear);
    let other = PrivateKey::generate(Algorithm::P256).unwrap();
    refused(5, "key.pem", &|pem| *pem = other.public().to_pem().into_bytes());
    refused(5, "key.pem", &|pem| {
        let mut both = other.public().to_pem().into_bytes();
        both.append(pem);
        *pem = both;
    });
    refused(5, "key.pem", &Vec::clear);
    refused(5, "model.sig", &Vec::clear);
    refused(5, "model.sig", &|bundle| bundle.truncate(bundle.len() / 2));
    let find = |bundle: &[u8], what: &str| {
        bundle.windows(what.len()).position(|part| part == what.as_bytes()).unwrap()
    };
    for what in ["\"payload\":\"", "\"sig\":\""] {
        refused(5, "model.sig", &|bundle| {
            let at = find(bundle, what) + what.len() + 40;
            bundle[at] = if bundle[at] == b'A' { b'B' } else { b'A' };
        });
        // A second one before it and behind it.
        refused(5, "model.sig", &|bundle| {
            let forged = format!("{what}AAAA\",");
            let at = find(bundle, what);
            bundle.splice(at..at, forged.into_bytes());
        });
    }
}

/// Whoever holds the script's other files and the signer's other signatures still cannot pass off another folder.
#[test]
fn another_signature_of_the_same_key_is_not_the_exported_one() {
    let signed = Signed::new(Algorithm::P256);
    assert_eq!(signed.export(), 0);
    let script = fs_err::read(signed.env.path("out/check.sh")).unwrap();
    signed.env.write("model/config.json", "older\n");
    signed.sign(&[]);
    fs_err::remove_dir_all(signed.env.path("out")).unwrap();
    assert_eq!(signed.export(), 0);
    assert_eq!(signed.script(), 0);
    signed.env.write("out/check.sh", script);
    assert_eq!(signed.script(), 5);
}

#[test]
fn nothing_is_exported_of_what_does_not_hold() {
    let signed = Signed::new(Algorithm::P256);
    let gone = || !signed.env.path("out").exists();
    signed.env.write("model/config.json", "x");
    assert_eq!((signed.export(), gone()), (4, true));
    signed.sign(&[]);
    signed.env.write("model/.git/config", "x");
    assert_eq!((signed.export(), gone()), (5, true));
    fs_err::remove_dir_all(signed.env.path("model/.git")).unwrap();
    let other = PrivateKey::generate(Algorithm::P256).unwrap();
    signed.env.write("key.pub", other.public().to_pem());
    assert_eq!((signed.export(), gone()), (5, true));
    signed.sign(&[]);
    change(&signed.env.path("model.sig"), |bundle| bundle[0] = b'[');
    assert_eq!((signed.export(), gone()), (5, true));
    signed.sign(&[]);
    let run = |out: &str| signed.run_export(out);
    assert_eq!(run("model/out").code, 2);
    assert_eq!(run("model/a/b").code, 2);
    assert_eq!(run("model").code, 2);
    let ran = run("new/out");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains(&signed.key.public().id().0.hex()), "{}", ran.stdout);
    assert_eq!(run("new/out").code, 2, "it is not empty any more");
}

#[test]
fn the_script_is_clean() {
    let signed = Signed::new(Algorithm::P384);
    assert_eq!(signed.export(), 0);
    let script = fs_err::read_to_string(signed.env.path("out/check.sh")).unwrap();
    assert!(!script.contains('@'), "a placeholder is left");
    let Ok(output) = Command::new("shellcheck").arg(signed.env.path("out/check.sh")).output() else {
        eprintln!("SKIPPED: shellcheck is not there; scripts/test.sh installs it");
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn the_script_wants_a_folder() {
    let signed = Signed::new(Algorithm::P256);
    assert_eq!(signed.export(), 0);
    let run = |args: &[&str]| {
        let script = signed.env.path("out/check.sh");
        Command::new("sh").arg(script).args(args).stderr(Stdio::null()).status().unwrap().code()
    };
    assert_eq!(run(&[]), Some(2));
    assert_eq!(run(&["/nowhere"]), Some(2));
    fs_err::remove_file(signed.env.path("out/key.pem")).unwrap();
    assert_eq!(run(&["/"]), Some(2));
}

/// A tool that is missing or broken must not make the script say yes.
#[test]
fn a_missing_tool_is_no_yes() {
    const TOOLS: &[&str] = &[
        "awk", "cat", "cmp", "comm", "cut", "dirname", "find", "mktemp", "openssl", "rm", "sed", "sh",
        "sort", "tr", "wc",
    ];
    let signed = Signed::new(Algorithm::P256);
    assert_eq!(signed.export(), 0);
    let run = |without: &str| {
        let tools = signed.env.path("tools");
        fs_err::create_dir(&tools).unwrap();
        for tool in TOOLS.iter().filter(|tool| **tool != without) {
            let found =
                ["/usr/bin", "/bin"].iter().map(|at| Path::new(at).join(tool)).find(|path| path.exists());
            std::os::unix::fs::symlink(found.unwrap(), tools.join(tool)).unwrap();
        }
        let output = Command::new("/bin/sh")
            .args([signed.env.path("out/check.sh"), signed.env.path("model")])
            .env("PATH", &tools)
            .output()
            .unwrap();
        fs_err::remove_dir_all(tools).unwrap();
        output.status.code().unwrap()
    };
    assert_eq!(run("none"), 0);
    signed.env.write("model/extra", "x");
    for tool in TOOLS {
        assert_ne!(run(tool), 0, "{tool} is missing, and an extra file is not seen");
    }
    fs_err::remove_file(signed.env.path("model/extra")).unwrap();
    signed.env.write("model/config.json", "x");
    for tool in TOOLS {
        assert_ne!(run(tool), 0, "{tool} is missing, and a changed file is not seen");
    }
    signed.env.write("model/config.json", "content 0\n");
    assert_eq!(run("none"), 0);
}
