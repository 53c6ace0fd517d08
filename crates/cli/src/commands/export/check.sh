#!/bin/sh
# Verifies a signed model without sovai: sh check.sh FOLDER. Needs a POSIX shell, its usual tools, mktemp and openssl.
# Exit: 0 as signed, 4 files differ, 5 not what this key signed or not signed at all, 2 wrong usage.
# Trust rests on this script and on the key's fingerprint: compare it over another channel. The files beside it do not
# count until they have been checked.
key=@KEY@ # SHA-256 of the public key (SPKI, DER)
payload=@PAYLOAD@ # SHA-256 of what it signed
hash=@HASH@ # goes with the key's curve
set -u; unset CDPATH; umask 077; export LC_ALL=C
say() { { printf 'check.sh: %s' "$*" | tr '\001-\037\177-\377' '?'; echo; } >&2; }
no() { say "$2"; exit "$1"; }; sha() { openssl dgst -sha256 -r | cut -c 1-64; }
if [ $# -ne 1 ] || ! [ -d "$1" ]; then no 2 "usage: sh $0 FOLDER"; fi
here=$(cd -- "$(dirname -- "$0")" && pwd) || exit 2
for file in model.sig key.pem SHA256SUMS; do [ -f "$here/$file" ] || no 2 "$file is not beside the script"; done
work=$(mktemp -d) || exit 2; trap 'rm -rf "$work"' EXIT; trap 'exit 130' INT TERM

# The key, the signed bytes, the signature over both (DSSE's PAE).
openssl pkey -pubin -in "$here/key.pem" -outform DER -out "$work/key" 2>/dev/null || no 5 'key.pem is no public key'
[ "$(sha <"$work/key")" = "$key" ] || no 5 "key.pem is not the key $key"
field() { awk -v key="$1" 'BEGIN { RS = "\"" } NR % 2 == 0 { if (last == key) print; last = $0 }' "$here/model.sig" |
    openssl base64 -d -A >"$work/$1"; }
{ field payload && field sig; } || no 5 'model.sig cannot be read'
[ "$(sha <"$work/payload")" = "$payload" ] || no 5 'model.sig does not hold what was signed'
{ printf 'DSSEv1 28 application/vnd.in-toto+json %d ' "$(($(wc -c <"$work/payload")))"; cat "$work/payload"; } |
    openssl dgst "-$hash" -keyform DER -verify "$work/key" -signature "$work/sig" >"$work/log" 2>&1 || no 5 'the signature is wrong'

# The signed list: "F<digest>  <name>", "I<ignored path>". Every other record is inside a JSON string.
awk 'BEGIN { RS = "\""; for (i = 0; i < 16; i++) digit[substr("0123456789abcdef", i + 1, 1)] = i }
function no() { failed = 1; exit 5 }
function hex(s, i, n) { s = tolower(s); for (i = 1; i <= 4; i++) n = n * 16 + digit[substr(s, i, 1)]; return n }
function utf8(n, out, lead, room) {
    if (n < 128) return n < 32 ? "\001" : sprintf("%c", n)
    for (lead = 192; lead < 256; lead += room) { room = (256 - lead) / 2; out = sprintf("%c", 128 + n % 64) out
        n = int(n / 64); if (n < room) return sprintf("%c", lead + n) out } }
function decode(s, out, at, c, n) {
    while (at = index(s, "\\")) {
        c = substr(s, at + 1, 1); out = out substr(s, 1, at - 1); s = substr(s, at + 2)
        if (c != "u") { out = out (c == "\"" || c == "/" ? c : "\001"); continue }
        n = hex(s); s = substr(s, 5)
        if (n >= 55296 && n < 56320) { n = 65536 + (n - 55296) * 1024 + hex(substr(s, 3)) - 56320; s = substr(s, 7) }
        out = out utf8(n) } return out s }
function file(name, digest) {
    if (item["algorithm"] != "sha256" || length(digest) != 64 || digest ~ /[^0-9a-f]/ || name in seen) no()
    if (name ~ /[\001-\037\177]/ || "/" name "/" ~ /\/\.?\.?\//) no()
    seen[name] = 1; print "F" digest "  " name; split("", item) }
inside { text = text $0; if (match($0, /\\+$/) && RLENGTH % 2) text = text "\""; else { inside = 0; have = 1 }; next }
{   where = key[1] "/" key[2] "/" key[3]
    if (have && $0 ~ /^[ \t\r\n]*:/) key[depth] = text
    else if (have && depth == 1 && key[1] == "predicateType") type = text
    else if (have && depth == 4 && where == "predicate/resources/") item[key[4]] = decode(text)
    else if (have && depth == 4 && where == "predicate/serialization/ignore_paths") print "I" decode(text)
    for (i = 1; i <= length($0); i++) { c = substr($0, i, 1)
        if (c ~ /[{[]/) key[++depth] = ""
        if (c == "}" && depth == 4 && key[1] "/" key[2] == "predicate/resources") file(item["name"], item["digest"])
        if (c ~ /[]}]/) depth-- } have = 0; inside = 1; text = "" }
END { if (failed || type != "https://model_signing/signature/v1.0") exit 5 }' "$work/payload" >"$work/list" ||
    no 5 'what was signed is no list of files with SHA-256'
sed -n 's/^F//p' "$work/list" | sort >"$work/signed" || no 2 'sort failed'
{ sed -n 's/^I//p' "$work/list"; printf '%s\n' .git .github .gitattributes .gitignore; } >"$work/ignored"
sort "$here/SHA256SUMS" | cmp -s - "$work/signed" || no 4 'SHA256SUMS is not the signed list'

# The folder: plain files only, those that were signed and no others, each with its digest.
status=0; worse() { say "$2"; [ "$status" -eq 4 ] || status=$1; }
cd -- "$1" || exit 2
{ odd=$(find . \( ! -type d ! -type f \) -o -name '*
*') && find . -type f >"$work/all"; } || no 4 'the folder cannot be read'
[ -z "$odd" ] || { worse 4 'links, special files, or names of two lines:'; printf '%s\n' "$odd" | while IFS= read -r path; do say "$path"; done; }
sed 's/^.\{66\}/.\//' "$work/signed" | sort >"$work/names"
{ sort "$work/all" >"$work/found" && comm -13 "$work/names" "$work/found" >"$work/extra"; } || no 2 'comm failed'
while IFS= read -r path; do
    why=4; while IFS= read -r skip; do case $path/ in "./$skip/"*) why=5 ;; esac; done <"$work/ignored"
    if cmp -s "$path" "$here/model.sig"; then [ "$why" -eq 4 ] || continue; why=5; fi
    worse "$why" "not signed: $path"
done <"$work/extra"
while IFS= read -r line; do
    [ -f "./${line#*  }" ] || { worse 4 "missing: ${line#*  }"; continue; }
    [ "$(sha <"./${line#*  }")" = "${line%%  *}" ] || worse 4 "differs: ${line#*  }"
done <"$work/signed"
[ "$status" -ne 0 ] || say "all files are as the key $key signed them"
exit "$status"
