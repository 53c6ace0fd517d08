#!/usr/bin/env bash
# Two builds of the same sources, in two folders with two target folders, must give the same bytes.
#
# scripts/reproducible.sh [BINARY]: BINARY, which scripts/build.sh made here, is one of the two.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

need_cargo
need git=git
cd "$root"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A copy of what is under version control, as it lies here. It is no repository: the commit is told.
commit=
[ -n "$(git status --porcelain)" ] || commit=$(git rev-parse HEAD)

# elsewhere FOLDER: build in a copy there; print the path of the binary.
elsewhere() {
    mkdir -p "$1"
    git ls-files -z --cached --others --exclude-standard | tar --create --null --files-from=- | tar --extract --directory "$1"
    # Not the caller's folder, nor flags that would be in the program.
    env -u CARGO_BUILD_TARGET_DIR CARGO_TARGET_DIR="$1/built" SOVAI_BUILD_COMMIT="$commit" "$1/scripts/build.sh"
}

if [ $# -gt 0 ]; then
    first=$1
else
    first=$(elsewhere "$work/one")
fi
second=$(elsewhere "$work/elsewhere/two")

digests=$(sha256sum "$first" "$second")
say "$digests"
if ! cmp "$first" "$second" >&2; then
    diff <(strings -n 8 "$first") <(strings -n 8 "$second") | head -20 >&2 || true
    die "two builds of the same sources differ"
fi
say "two builds of the same sources are the same: ${digests%% *}"
