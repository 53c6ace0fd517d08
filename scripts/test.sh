#!/usr/bin/env bash
# The whole test suite, from a clean machine: what CI runs. Ends at the first stage that fails.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never}
deny_version=0.20.2
# The newest that the toolchain builds.
s3s_version=0.14.1

# stage NAME COMMAND...: run a command, tell how long it took. `current` is for the trap, which names what failed.
stage() {
    local start=$SECONDS
    current=$1
    shift
    say "$current"
    "$@"
    say "$current: $((SECONDS - start)) s"
}
current=start
trap '[ "$?" -eq 0 ] || say "FAILED at: $current"' EXIT

tools() {
    need_cargo
    need shellcheck=shellcheck curl=curl jq=jq openssl=openssl dash=dash python3=python3 file=file fsverity=fsverity htpasswd=apache2-utils chromium=chromium
    without_services need nginx=nginx docker-registry=docker-registry skopeo=skopeo podman=podman
    cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
    cargo clippy --version >/dev/null 2>&1 || rustup component add clippy
    has_deny || cargo install --locked --quiet --root "$tools_root" cargo-deny --version "$deny_version"
    # A server that speaks the interface of S3 and checks signatures; as a debug build, it is small and quick to make.
    has_s3s || cargo install --locked --quiet --root "$tools_root" --profile dev --features binary s3s-fs --version "$s3s_version"
}

# Servers that the tests start themselves, each on a free port: Debian would start its own with the package.
without_services() {
    local policy=/usr/sbin/policy-rc.d code=0
    if [ -e "$policy" ]; then
        "$@"
        return
    fi
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
    "$@" || code=$?
    as_root rm "$policy"
    return "$code"
}

# Outside the repository, so that it outlives a fresh checkout.
tools_root=${XDG_CACHE_HOME:-$HOME/.cache}/sovai-tools
PATH=$tools_root/bin:$PATH
has_s3s() { [ "$(s3s-fs --version 2>/dev/null)" = "s3s-fs $s3s_version" ]; }
has_deny() { [ "$(cargo deny --version 2>/dev/null)" = "cargo-deny $deny_version" ]; }

# The newcomer's first command, twice: the second run must find everything as it is. Takes the stack down at the end.
quickstart() {
    local run answer before after
    for run in first second; do
        before=$(running)
        answer=$(scripts/quickstart.sh)
        grep -q 'Kuala Lumpur' <<<"$answer" || die "$run run, wrong answer: $answer"
        after=$(running)
    done
    [ -n "$after" ] || die "nothing runs after the quickstart"
    [ "$before" = "$after" ] || die "the second run changed what runs: $before / $after"
    "$SOVAI_BIN" down quickstart
    [ -z "$(running)" ] || die "down left: $(running)"
}
running() {
    docker ps --all --no-trunc --filter label=sovai.stack=quickstart --format '{{.ID}} {{.State}}' | sort
    docker network ls --no-trunc --filter label=sovai.stack=quickstart --quiet | sort
}

stage "tools" tools
stage "format" cargo fmt --all --check
stage "shellcheck" shellcheck scripts/*.sh .ci/run crates/cli/src/commands/export/check.sh crates/pki/tests/fixtures/make.sh
stage "engine's entry script" env PYTHONDONTWRITEBYTECODE=1 python3 -m unittest discover -s scripts/engine
stage "clippy" cargo clippy --workspace --all-targets --locked -- -D warnings
stage "fuzz targets compile" cargo check --quiet --locked --manifest-path fuzz/Cargo.toml --target-dir "${CARGO_TARGET_DIR:-target}"
stage "licences and sources" cargo deny --locked check bans licenses sources
stage "structure and generated files" cargo xtask check

stage "witness: the reference implementation of model signing" scripts/witness.sh
SOVAI_WITNESS=$(scripts/witness.sh)
export SOVAI_WITNESS

problem=$(docker_problem)
if [ -n "$problem" ]; then
    say "REAL-ENGINE TESTS ARE SKIPPED: $problem"
    [ "${CI:-false}" != true ] || die "CI must run them"
    stage "tests without a container engine" cargo test --workspace --exclude sovai-e2e --locked
    exit 0
fi

stage "release binary" scripts/build.sh
SOVAI_BIN=$(scripts/build.sh)
stage "stub engine" scripts/build.sh sovai-stub-engine
stage "weights" scripts/weights.sh
stage "tiny models of the seed architectures" scripts/tiny-models.sh
stage "tiny models: the same bytes again" scripts/tiny-models.sh --test
stage "engine image" scripts/engine-image.sh
export SOVAI_BIN SOVAI_STUB_ENGINE=${SOVAI_BIN%/*}/sovai-stub-engine SOVAI_ENGINE_IMAGE=$engine_image SOVAI_WEIGHTS=$root/manifests/weights
stage "tests" cargo test --workspace --locked
stage "quickstart, twice" quickstart
stage "a second build from another folder is the same" scripts/reproducible.sh "$SOVAI_BIN"
say "all passed in $SECONDS s"
