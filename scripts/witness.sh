#!/usr/bin/env bash
# Put the reference implementation of OpenSSF Model Signing in a virtual environment outside the repository, and print
# the path of its python. A second run does nothing.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

pins=$root/scripts/witness.requirements.txt
name=$(sha256sum "$pins")
folder=${XDG_CACHE_HOME:-$HOME/.cache}/sovai-tools/witness-${name:0:12}
python=$folder/bin/python

need python3=python3 flock=util-linux
mkdir -p "${folder%/*}"
exec 9>"$folder.lock"
flock 9
# Written last: what a killed run left is made anew.
if ! [ -f "$folder/complete" ]; then
    python3 -c 'import ensurepip, venv' 2>/dev/null || install_packages python3-venv
    say "making the witness: $(grep -v '^#' "$pins" | tr '\n' ' ')"
    rm -rf "$folder"
    python3 -m venv "$folder" >&2
    "$python" -m pip install --quiet --disable-pip-version-check --requirement "$pins" >&2
    "$python" -m model_signing --version >&2
    "$python" -c "import cyclonedx.validation.json, jsonschema" >&2
    touch "$folder/complete"
fi
echo "$python"
