#!/usr/bin/env bash
# Build sovai/engine-llama-cpp:local, an inference engine made of Debian and PyPI packages: no registry of images is
# asked. A second run does nothing until one of its inputs changes.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

suite=bookworm # its Python is 3.11, for which the wheels are pinned
label=sovai.image.inputs
inputs=$(cd "$root/scripts" && sha256sum engine-image.sh engine/llama-server engine/requirements.txt | sha256sum | cut -d' ' -f1)

need_docker
if [ "$(docker image inspect --format "{{index .Config.Labels \"$label\"}}" "$engine_image" 2>/dev/null)" = "$inputs" ]; then
    say "engine image is there: $engine_image"
    exit 0
fi
[ "$(uname -m)" = x86_64 ] || die "the engine's wheels are pinned for x86_64; this machine is $(uname -m)"
need_pip
need mmdebstrap=mmdebstrap
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say "fetching the engine's wheels"
python3 -m pip install --quiet --no-deps --no-compile --only-binary=:all: --require-hashes --target "$work/site" \
    --implementation cp --python-version 3.11 --abi cp311 --abi abi3 --platform manylinux2014_x86_64 \
    --requirement "$root/scripts/engine/requirements.txt" >&2

# This machine's own package sources where they carry the suite, else mmdebstrap's own.
sources=()
for list in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
    if [ -r "$list" ] && grep -q "$suite" "$list"; then sources=("$list"); break; fi
done

say "building $engine_image (about a minute)"
# shellcheck disable=SC2016 # the hooks are run by mmdebstrap, which gives them the root as $1
mmdebstrap --quiet --variant=minbase --include=python3,libgomp1,libstdc++6 \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --customize-hook="sync-in '$work/site' /usr/lib/python3/dist-packages" \
    --customize-hook="upload '$root/scripts/engine/llama-server' /usr/bin/llama-server" \
    --customize-hook='chmod 0755 "$1/usr/bin/llama-server"' \
    --customize-hook='find "$1" -xdev -type f -perm /6000 -exec chmod a-s {} +' \
    "$suite" "$work/root.tar" "${sources[@]}" >&2
docker import \
    --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
    --change 'ENTRYPOINT ["/usr/bin/llama-server"]' --change 'USER 65532:65532' --change 'EXPOSE 8080' \
    --change "LABEL $label=$inputs" "$work/root.tar" "$engine_image" >/dev/null
say "engine image is ready: $engine_image"
