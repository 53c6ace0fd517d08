#!/usr/bin/env bash
# Build the static release binary; print its path on stdout, and nothing else there.
#
# scripts/build.sh [PACKAGE]: another package of the workspace instead, built the same way, so that what both use is
# compiled once.
#
# The same sources give the same bytes wherever they lie (docs/first-trust.md): paths are taken out of the program, and
# what it says of its own build is the same for the same commit.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

package=${1:-sovai}
need_cargo
need file=file
cd "$root"
# The target stands in .cargo/config.toml; another one (arm64, see docs/install.md) is named by CARGO_BUILD_TARGET.
target=${CARGO_BUILD_TARGET:-x86_64-unknown-linux-gnu}
folder=$(realpath -m "${CARGO_TARGET_DIR:-target}")
binary=$folder/$target/release/$package

# Flags on the command line are added to those of .cargo/config.toml; RUSTFLAGS would replace them.
flags=(
    "--remap-path-prefix=$folder=/target"
    "--remap-path-prefix=$root=/sovai"
    "--remap-path-prefix=$(realpath -m "${CARGO_HOME:-$HOME/.cargo}")=/cargo"
)
list=$(printf "'%s'," "${flags[@]}")

# A commit is named only when the sources are those of it. SOVAI_BUILD_COMMIT is for sources that lie in no repository.
if [ -z "${SOVAI_BUILD_COMMIT:-}" ] && has git && [ -z "$(git status --porcelain 2>/dev/null || echo none)" ]; then
    SOVAI_BUILD_COMMIT=$(git rev-parse HEAD)
fi
export SOVAI_BUILD_COMMIT=${SOVAI_BUILD_COMMIT:-}
SOVAI_BUILD_RUSTC=$(rustc --version)
SOVAI_BUILD_CARGO=$(cargo --version)
SOVAI_BUILD_LOCK=$(sha256sum Cargo.lock)
SOVAI_BUILD_LOCK=${SOVAI_BUILD_LOCK%% *}
SOVAI_BUILD_FLAGS="-C target-feature=+crt-static --remap-path-prefix"
export SOVAI_BUILD_RUSTC SOVAI_BUILD_CARGO SOVAI_BUILD_LOCK SOVAI_BUILD_FLAGS SOVAI_BUILD_TARGET=$target

say "building $binary"
cargo build --release --locked --target "$target" --config "target.$target.rustflags=[$list]" --package "$package" >&2
case $(file --brief "$binary") in
    *"statically linked"* | *"static-pie linked"*) ;;
    *) die "$binary is not static: $(file --brief "$binary")" ;;
esac
# One for another architecture does not run here.
if [ "$package" = sovai ] && "$binary" --version >/dev/null 2>&1; then
    "$binary" export provenance --out "$binary.provenance.json" >&2
fi
realpath "$binary"
