#!/usr/bin/env bash
# Measure sovai side by side with openssl, b3sum, model-signing, docker-compose, nginx and curl; rewrite the figures in
# docs/benchmarks.md.
# With arguments: those of the benchmark program in the place of `all --docs`, for example: scripts/bench.sh gateway --quick
# Takes about fifteen minutes on a machine that has nothing else to do, and 4.5 GiB in $TMPDIR.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"

need_cargo
need_docker
PATH=$PATH:/usr/sbin # where Debian has nginx
need openssl=openssl docker-compose=docker-compose setpriv=util-linux taskset=util-linux curl=curl
if ! has nginx; then
    install_packages nginx-light
    # The package starts a server of its own; only the program is wanted.
    as_root systemctl disable --now nginx >/dev/null 2>&1 || true
fi
SOVAI_BIN=$(scripts/build.sh)
export SOVAI_BIN SOVAI_ENGINE_IMAGE=$engine_image
scripts/weights.sh
scripts/engine-image.sh
SOVAI_WITNESS=$(scripts/witness.sh)
export SOVAI_WITNESS
# Debian's b3sum is years old; the peer is the one that people install today.
b3sum_version=1.8.7
tools_root=${XDG_CACHE_HOME:-$HOME/.cache}/sovai-tools
PATH=$tools_root/bin:$PATH
[ "$(b3sum --version 2>/dev/null)" = "b3sum $b3sum_version" ] ||
    cargo install --locked --quiet --root "$tools_root" b3sum --version "$b3sum_version"
say "building the benchmark program"
cargo build --release --locked --package sovai-bench >&2
cargo build --release --locked --package sovai-verifier --example throughput >&2
bench=${SOVAI_BIN%/*}/sovai-bench

[ "$#" -gt 0 ] || set -- all --docs
"$bench" --throughput "${SOVAI_BIN%/*}/examples/throughput" "$@"
