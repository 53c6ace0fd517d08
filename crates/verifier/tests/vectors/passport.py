#!/usr/bin/env python3
"""Makes passport.json without any code of sovai, from docs/passport.md alone.

Needs `blake3` from PyPI, for the digests of whole files; the values of chunks are computed here and must merge to those.
Run it in this folder, in half a minute: python3 passport.py > passport.json
"""

import base64
import hashlib
import json
import struct
import sys

import blake3

CHUNK = 1 << 20
# As long as one read and more, not of whole blocks or chunks, exactly one chunk, one chunk and one byte, empty.
SIZES = {
    "weights/model-00001.safetensors": 2 * CHUNK + 12_345,
    "weights/model-00002.safetensors": CHUNK,
    "model.gguf": CHUNK + 1,
    "config.json": 700,
    "README.md": 0,
}


def content(size, seed):
    return bytes((i * 7 + (i >> 8) + seed) % 251 for i in range(size))


# BLAKE3, section 2 of its specification: only what a subtree needs.
IV = [0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19]
ORDER = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8]
MIXES = [(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15), (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)]
CHUNK_START, CHUNK_END, PARENT, ROOT = 1, 2, 4, 8
M = 0xFFFFFFFF


def compress(cv, words, counter, length, flags):
    v = list(cv) + IV[:4] + [counter & M, counter >> 32, length, flags]
    for _ in range(7):
        for n, (a, b, c, d) in enumerate(MIXES):
            va, vb, vc, vd = v[a], v[b], v[c], v[d]
            va = (va + vb + words[2 * n]) & M
            vd ^= va
            vd = (vd >> 16 | vd << 16) & M
            vc = (vc + vd) & M
            vb ^= vc
            vb = (vb >> 12 | vb << 20) & M
            va = (va + vb + words[2 * n + 1]) & M
            vd ^= va
            vd = (vd >> 8 | vd << 24) & M
            vc = (vc + vd) & M
            vb ^= vc
            vb = (vb >> 7 | vb << 25) & M
            v[a], v[b], v[c], v[d] = va, vb, vc, vd
        words = [words[i] for i in ORDER]
    return [v[i] ^ v[i + 8] for i in range(8)]


def leaf(data, counter):
    cv, blocks = IV, [data[i : i + 64] for i in range(0, len(data), 64)]
    for n, block in enumerate(blocks):
        flags = (CHUNK_START if n == 0 else 0) | (CHUNK_END if n == len(blocks) - 1 else 0)
        cv = compress(cv, struct.unpack("<16I", block.ljust(64, b"\0")), counter, len(block), flags)
    return cv


def left_len(length):
    half = 1 << (length - 1).bit_length() - 1
    return half


def subtree(data, counter):
    """The chaining value of bytes that begin at leaf number `counter` of a file."""
    if len(data) <= 1024:
        return leaf(data, counter)
    left = left_len(len(data))
    return parent(subtree(data[:left], counter), subtree(data[left:], counter + left // 1024), 0)


def parent(left, right, flags):
    return compress(IV, left + right, 0, 64, PARENT | flags)


def merge(values, size, flags=0):
    if len(values) == 1:
        return values[0]
    left = left_len(size)
    at = left // CHUNK
    return parent(merge(values[:at], left), merge(values[at:], size - left), flags)


def packed(cv):
    return struct.pack("<8I", *cv)


# Linux Documentation/filesystems/fsverity.rst.
def fsverity(data):
    level = [hashlib.sha256(data[i : i + 4096].ljust(4096, b"\0")).digest() for i in range(0, len(data), 4096)]
    while len(level) > 1:
        joined = b"".join(level)
        level = [hashlib.sha256(joined[i : i + 4096].ljust(4096, b"\0")).digest() for i in range(0, len(joined), 4096)]
    root = level[0] if level else b""
    return hashlib.sha256(struct.pack("<BBBBIQ64s32s144s", 1, 1, 12, 0, 0, len(data), root, b"", b"")).hexdigest()


def text(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def layer_type(path):
    if path.endswith(".md"):
        return "application/vnd.cncf.model.doc.v1.raw"
    if path.endswith(".json"):
        return "application/vnd.cncf.model.weight.config.v1.raw"
    return "application/vnd.cncf.model.weight.v1.raw"


def model_digest(files):
    digests = ["sha256:" + file["sha256"] for file in files]
    config = text({"descriptor": {}, "config": {}, "modelfs": {"type": "layers", "diffIds": digests}})
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": "application/vnd.cncf.model.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.cncf.model.config.v1+json",
            "digest": "sha256:" + hashlib.sha256(config.encode()).hexdigest(),
            "size": len(config),
        },
        "layers": [
            {
                "mediaType": layer_type(file["path"]),
                "digest": "sha256:" + file["sha256"],
                "size": file["size"],
                "annotations": {"org.cncf.model.filepath": file["path"]},
            }
            for file in files
        ],
    }
    return "sha256:" + hashlib.sha256(text(manifest).encode()).hexdigest()


def main():
    files = []
    for seed, (path, size) in enumerate(SIZES.items()):
        data = content(size, seed)
        file = {"path": path, "size": size, "sha256": hashlib.sha256(data).hexdigest()}
        file["blake3"] = blake3.blake3(data).hexdigest()
        file["gitBlob"] = hashlib.sha1(b"blob %d\0" % size + data).hexdigest()
        file["fsverity"] = fsverity(data)
        if size > CHUNK:
            values = [subtree(data[i : i + CHUNK], i // 1024) for i in range(0, size, CHUNK)]
            assert packed(merge(values, size, ROOT)).hex() == file["blake3"], path
            file["chunks"] = base64.b64encode(b"".join(map(packed, values))).decode()
        files.append(file)
    files.sort(key=lambda file: file["path"].encode())
    body = text(
        {"apiVersion": "sovai/v1", "kind": "Passport", "model": model_digest(files), "chunkSize": CHUNK, "files": files}
    )
    digest = hashlib.sha256(body.encode()).hexdigest()
    sys.stdout.write(f'{body[:-1]},"digest":"sha256:{digest}"}}\n')


main()
