#!/usr/bin/env bash
# From nothing to a real answer of a real model. A second run is quick and changes nothing that is running.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"

need_cargo
need_docker
need curl=curl jq=jq
sovai=$(scripts/build.sh)
scripts/weights.sh
scripts/engine-image.sh

manifest=manifests/quickstart.yaml
say "sovai lock $manifest"
"$sovai" lock "$manifest"
say "sovai deploy $manifest"
"$sovai" deploy "$manifest"

# The key goes to curl on standard input: an argument could be read by every user of the machine.
key=$(store_folder)/stacks/quickstart/keys/default.key
question="What is the capital of Malaysia?"
say "asking through the gateway: $question"
request=$(jq -n --arg text "$question" \
    '{model: "assistant", temperature: 0, max_tokens: 64, messages: [{role: "user", content: $text}]}')
answer=$(printf 'Authorization: Bearer %s\n' "$(cat "$key")" |
    curl --silent --show-error --fail-with-body --noproxy '*' --max-time 60 --header @- \
        --header 'Content-Type: application/json' --data "$request" http://127.0.0.1:8080/v1/chat/completions) ||
    die "the gateway did not answer: $answer"

jq -r '.choices[0].message.content' <<<"$answer"
cat >&2 <<TEXT

The key is in $key. Try next:

    $sovai status quickstart
    $sovai logs quickstart
    $sovai down quickstart
TEXT
