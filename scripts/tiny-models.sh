#!/usr/bin/env bash
# Put tiny models with random weights, one of each architecture in scripts/tiny/architectures.toml, in manifests/weights/tiny/.
# A second run does nothing. `--test` runs the maker's own tests instead.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

source=$root/scripts/tiny
pins=$source/requirements.txt
name=$(sha256sum "$pins")
tools=${XDG_CACHE_HOME:-$HOME/.cache}/sovai-tools/tiny-${name:0:12}
weights=$root/manifests/weights
tokenizer=$weights/SmolLM2-135M-Instruct.Q4_1.gguf
folder=$weights/tiny

whole() { (cd "$folder" && sha256sum --check --status "$source/SHA256SUMS") 2>/dev/null; }
if [ "${1:-}" != --test ] && whole; then
    say "tiny models are there: $folder"
    exit 0
fi

need python3=python3 flock=util-linux
"$root/scripts/weights.sh" # its tokenizer is taken
mkdir -p "${tools%/*}"
exec 9>"$tools.lock"
flock 9
# Written last: what a killed run left is made anew.
if ! [ -f "$tools/complete" ]; then
    python3 -c 'import ensurepip, venv' 2>/dev/null || install_packages python3-venv
    say "fetching what writes GGUF files"
    rm -rf "$tools"
    python3 -m venv "$tools" >&2
    "$tools/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
        --requirement "$pins" >&2
    touch "$tools/complete"
fi

export PYTHONDONTWRITEBYTECODE=1
if [ "${1:-}" = --test ]; then
    SOVAI_TOKENIZER=$tokenizer exec "$tools/bin/python" -m unittest discover -s "$source"
fi
say "making tiny models of $(grep --count '^\[' "$source/architectures.toml") architectures"
"$tools/bin/python" "$source/make.py" --tokenizer "$tokenizer" --out "$folder" >&2
whole || die "not the bytes that $source/SHA256SUMS names: $folder"
say "tiny models are in $folder"
