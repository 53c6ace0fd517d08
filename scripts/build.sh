#!/usr/bin/env bash
# Build the static release binary; print its path on stdout, and nothing else there.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

need_cargo
need file=file
cd "$root"
# The target stands in .cargo/config.toml; another one (arm64, see docs/install.md) is named by CARGO_BUILD_TARGET.
target=${CARGO_BUILD_TARGET:-x86_64-unknown-linux-gnu}
binary=${CARGO_TARGET_DIR:-target}/$target/release/sovai

say "building $binary"
cargo build --release --locked --target "$target" --package sovai >&2
case $(file --brief "$binary") in
    *"statically linked"* | *"static-pie linked"*) ;;
    *) die "$binary is not static: $(file --brief "$binary")" ;;
esac
realpath "$binary"
