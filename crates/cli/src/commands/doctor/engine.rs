//! Checks of the container engine.

use super::{Check, Status};
use crate::ctx::Ctx;
use crate::error::CliError;
use crate::exit::Exit;
use sovai_core::format_bytes;
use sovai_deployer::docker::{Docker, MIN_API};
use sovai_deployer::engine::{ContainerEngine as _, EngineError, EngineInfo};

pub(super) fn checks(ctx: &Ctx) -> Result<Vec<Check>, CliError> {
    let interrupt = ctx.interrupt()?;
    let asked = ctx.block_on(async {
        tokio::select! {
            info = ask(&ctx.settings.host) => Ok(info),
            () = interrupt.wait() => Err(crate::signals::interrupted()),
        }
    })??;
    Ok(match asked {
        Ok(info) => reachable(&info, &ctx.settings.host),
        Err(error) => vec![unreachable(error)],
    })
}

async fn ask(host: &str) -> Result<EngineInfo, EngineError> {
    Docker::connect(Some(host)).await?.info().await
}

fn unreachable(error: EngineError) -> Check {
    let error = CliError::from(error);
    let mut detail = error.message().to_owned();
    for cause in error.causes() {
        detail = format!("{detail}: {cause}");
    }
    let check = Check { exit: Exit::Unreachable, ..Check::new("engine", Status::Fail, detail) };
    match error.hints().first() {
        Some(hint) => check.hint(hint),
        None => check,
    }
}

fn reachable(info: &EngineInfo, host: &str) -> Vec<Check> {
    vec![engine(info, host), confinement(info), limits(info), image_store(info), architecture(info), edge()]
}

fn engine(info: &EngineInfo, host: &str) -> Check {
    let detail = format!(
        "{} at {host}, API {} (at least {MIN_API}), {}/{}, {} CPUs, {} memory",
        info.version,
        info.api_version,
        info.os,
        info.arch,
        info.cpus,
        format_bytes(info.memory)
    );
    if info.os == "linux" {
        return Check::new("engine", Status::Ok, detail);
    }
    Check { exit: Exit::Unreachable, ..Check::new("engine", Status::Fail, detail) }
        .hint("sovai needs an engine that runs Linux containers")
}

fn confinement(info: &EngineInfo) -> Check {
    let has = |name: &str| {
        info.security_options
            .iter()
            .any(|option| option.split(',').any(|part| part == format!("name={name}")))
    };
    let kinds: Vec<&str> = ["seccomp", "apparmor", "selinux", "rootless", "userns"]
        .into_iter()
        .filter(|kind| has(kind))
        .collect();
    if !has("seccomp") {
        return Check::new("confinement", Status::Warn, "the engine runs containers without seccomp").hint(
            "enable seccomp in the kernel and in the engine: it keeps containers from most system calls",
        );
    }
    Check::new("confinement", Status::Ok, kinds.join(", "))
}

fn limits(info: &EngineInfo) -> Check {
    if info.missing_limits.is_empty() {
        return Check::new("limits", Status::Ok, "memory, CPUs and processes of containers can be limited");
    }
    let missing = info.missing_limits.join(", ");
    Check::new("limits", Status::Warn, format!("the engine would not set these limits: {missing}"))
        .hint("enable these controllers in the kernel (boot option `cgroup_enable=memory swapaccount=1`, or cgroup v2)")
}

fn image_store(info: &EngineInfo) -> Check {
    // The containerd store names its snapshotter where the classic store names its storage driver.
    let detail = if info.storage_driver == "overlayfs" {
        "containerd store: an image ID is the digest of its manifest"
    } else {
        "classic store: an image ID is the digest of its configuration"
    };
    Check::new("image-store", Status::Ok, format!("{detail} ({}, {})", info.storage_driver, info.root_dir))
}

fn architecture(info: &EngineInfo) -> Check {
    let here = super::host::architecture();
    let detail = format!("engine {}, this host {here}; runtimes {}", info.arch, info.runtimes.join(", "));
    if info.arch == here {
        return Check::new("architecture", Status::Ok, detail);
    }
    Check::new("architecture", Status::Fail, detail)
        .hint("the gateway's container runs this very binary: use a sovai and an engine of one architecture")
}

/// Known and open: said each time, with the rule that closes it.
fn edge() -> Check {
    Check::new("edge-network", Status::Ok, "engines reach nothing; a gateway can still reach services of this host").hint(
        "to close that: iptables -I INPUT -i BRIDGE -m conntrack --ctstate NEW -j DROP, where BRIDGE is the interface of \
         the stack's edge network (br- and the first 12 digits of its ID)",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info() -> EngineInfo {
        EngineInfo {
            version: "20.10.24+dfsg1".into(),
            api_version: "1.41".into(),
            os: "linux".into(),
            arch: super::super::host::architecture().into(),
            memory: 8 << 30,
            cpus: 2,
            root_dir: "/var/lib/docker".into(),
            storage_driver: "overlay2".into(),
            security_options: vec!["name=apparmor".into(), "name=seccomp,profile=default".into()],
            runtimes: vec!["runc".into()],
            missing_limits: vec![],
        }
    }

    #[test]
    fn a_usual_engine_is_fine_and_each_oddity_is_named() {
        let worst = |info: &EngineInfo| {
            reachable(info, "unix:///x")
                .into_iter()
                .find(|check| check.status != Status::Ok)
                .map(|check| check.name)
        };
        assert_eq!(worst(&info()), None);
        assert_eq!(worst(&EngineInfo { security_options: vec![], ..info() }), Some("confinement"));
        assert_eq!(worst(&EngineInfo { missing_limits: vec!["swap".into()], ..info() }), Some("limits"));
        assert_eq!(worst(&EngineInfo { os: "windows".into(), ..info() }), Some("engine"));
        assert_eq!(worst(&EngineInfo { arch: "riscv64".into(), ..info() }), Some("architecture"));
        let containerd = image_store(&EngineInfo { storage_driver: "overlayfs".into(), ..info() });
        assert!(containerd.detail.starts_with("containerd store"), "{containerd:?}");
    }

    #[test]
    fn an_engine_that_is_down_or_old_is_exit_6_with_a_hint() {
        let down = EngineError::Unreachable { host: "unix:///x".into(), source: "refused".into() };
        let old = EngineError::TooOld { found: "1.24".into(), needed: MIN_API };
        for (error, words) in [(down, "refused"), (old, "1.24")] {
            let check = unreachable(error);
            assert_eq!((check.status, check.exit), (Status::Fail, Exit::Unreachable));
            assert!(check.detail.contains(words) && check.hint.is_some(), "{check:?}");
        }
    }
}
