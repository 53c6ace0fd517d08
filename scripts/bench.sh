#!/usr/bin/env bash
# Measure sovai side by side with openssl, docker-compose and nginx; rewrite the figures in docs/benchmarks.md.
# With arguments: those of the benchmark program in the place of `all --docs`, for example: scripts/bench.sh gateway --quick
# Takes about eight minutes on a machine that has nothing else to do, and 4.5 GiB in $TMPDIR.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"

need_cargo
need_docker
PATH=$PATH:/usr/sbin # where Debian has nginx
need openssl=openssl docker-compose=docker-compose setpriv=util-linux taskset=util-linux
if ! has nginx; then
    install_packages nginx-light
    # The package starts a server of its own; only the program is wanted.
    as_root systemctl disable --now nginx >/dev/null 2>&1 || true
fi
SOVAI_BIN=$(scripts/build.sh)
export SOVAI_BIN SOVAI_ENGINE_IMAGE=$engine_image
scripts/weights.sh
scripts/engine-image.sh
say "building the benchmark program"
cargo build --release --locked --package sovai-bench >&2
bench=${SOVAI_BIN%/*}/sovai-bench

[ "$#" -gt 0 ] || set -- all --docs
"$bench" "$@"
