#!/usr/bin/env bash
# The long counts in full (kills, flipped bytes, redeploys), on the real engine; writes docs/soak.md.
# Takes about ten minutes: the test suite runs a few seeded rounds of each.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"

need_cargo
need_docker
SOVAI_BIN=$(scripts/build.sh)
scripts/build.sh sovai-stub-engine >&2
scripts/weights.sh
scripts/engine-image.sh
export SOVAI_BIN SOVAI_STUB_ENGINE=${SOVAI_BIN%/*}/sovai-stub-engine
export SOVAI_ENGINE_IMAGE=$engine_image SOVAI_WEIGHTS=$root/manifests/weights SOVAI_SOAK=${SOVAI_SOAK:-1}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
start=$SECONDS
commit=$(git rev-parse --short HEAD)
cargo test --locked --package sovai-e2e soak -- --nocapture --test-threads=1 2>&1 | tee "$log" >&2

# A soak test prints one line for the record: "soak: WHAT: COUNT rounds, ...".
mapfile -t results < <(sed -n 's/^.*soak: //p' "$log")
[ "${#results[@]}" -gt 0 ] || die "no soak test ran"
{
    echo '# Last soak'
    echo
    echo "Written by \`scripts/soak.sh\` at commit $commit, $(date -u +%F), in $((SECONDS - start)) s,"
    echo "on $(nproc) cores, container engine $(docker version --format '{{.Server.Version}}')."
    echo
    printf -- '- %s\n' "${results[@]}"
} >docs/soak.md
say "results are in docs/soak.md"
