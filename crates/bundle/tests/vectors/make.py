#!/usr/bin/env python3
"""Writes the bundles beside it, from docs/bundle-format.md alone; it knows nothing of sovai's code.

    python3 -m venv venv && venv/bin/pip install blake3==1.0.8
    venv/bin/python crates/bundle/tests/vectors/make.py

The same bytes come out each time. The key is made for these vectors and guards nothing.
"""

import base64
import hashlib
import json
import pathlib
import shutil
import subprocess
import tempfile

from blake3 import blake3

HERE = pathlib.Path(__file__).resolve().parent
STACK, SEQUENCE, CHUNK = "vector", 20261130, 4096
NAME = f"{STACK}-{SEQUENCE}"
# RFC 8410, section 10.3: a private key that everybody has.
KEY = """-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
"""


def sha(data):
    return hashlib.sha256(data).hexdigest()


def noise(seed, length):
    out = b""
    while len(out) < length:
        out += hashlib.sha256(f"{seed} {len(out)}".encode()).digest()
    return out[:length]


def header(name, size):
    """A tar header of the GNU form, built field by field."""
    field = bytearray(512)

    def put(at, data):
        field[at : at + len(data)] = data

    put(0, name.encode("ascii"))
    put(100, b"0000444\0")
    put(108, b"0000000\0")
    put(116, b"0000000\0")
    put(124, b"%011o\0" % size)
    put(136, b"00000000000\0")
    put(148, b" " * 8)
    put(156, b"0")
    put(257, b"ustar  \0")
    put(148, b"%07o\0" % sum(field))
    return bytes(field)


def pad(data):
    return data + b"\0" * (-len(data) % 512)


def items():
    """Path, role, bytes."""
    weights = noise("weights", 20000)
    config = b'{"hidden_size":16}\n'
    pins = [("config.json", config), ("model.bin", weights)]
    layers = [
        {
            "mediaType": "application/vnd.cncf.model.weight.v1.raw",
            "digest": "sha256:" + sha(data),
            "size": len(data),
            "annotations": {"org.cncf.model.filepath": path},
        }
        for path, data in pins
    ]
    model = json.dumps({"schemaVersion": 2, "layers": layers}).encode()
    blobs = [("blobs/sha256/" + sha(data), "blob", data) for data in (config, weights, model)]
    small = [
        ("docs/empty.txt", "document", b""),
        ("oci-layout", "layout", b'{"imageLayoutVersion":"1.0.0"}'),
        ("stack/vector.yaml", "manifest", b"apiVersion: sovai/v1\nkind: Stack\n"),
    ]
    return sorted(small + blobs), "sha256:" + sha(model), len(weights) + len(config)


def lay_out(files):
    """Two payloads: the second half of the longest blob lies on the second volume."""
    payloads = [b"", b""]
    parts = {}
    longest = max(files, key=lambda file: len(file[2]))[0]
    for path, _, data in files:
        pieces = [(1, data)]
        if path == longest:
            pieces = [(1, data[:9001]), (2, data[9001:])]
        for number, (volume, piece) in enumerate(pieces, 1):
            entry = path if len(pieces) == 1 else f"pieces/sha256/{sha(data)}/{number:04}"
            payloads[volume - 1] += header(entry, len(piece))
            if piece:
                at = len(payloads[volume - 1])
                parts.setdefault(path, []).append({"volume": volume, "offset": at, "length": len(piece)})
            payloads[volume - 1] += pad(piece)
    return [payload + b"\0" * 1024 for payload in payloads], parts


def sign(data):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "key").write_text(KEY)
        (folder / "data").write_bytes(data)
        command = ["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", folder / "key", "-in", folder / "data"]
        spki = subprocess.run(
            ["openssl", "pkey", "-in", folder / "key", "-pubout", "-outform", "DER"], check=True, capture_output=True
        ).stdout
        return subprocess.run(command, check=True, capture_output=True).stdout, spki


def make(target):
    files, model, model_bytes = items()
    payloads, parts = lay_out(files)
    program = b"#!/bin/sh\necho the program\n"
    readmes = [f"Volume {number} of 2 of bundle {NAME}, a test vector.\n".encode() for number in (1, 2)]
    table = ""
    for number, payload in enumerate(payloads, 1):
        for chunk in range(0, len(payload), CHUNK):
            digest = blake3(payload[chunk : chunk + CHUNK]).hexdigest()
            table += f"v{number:03} {chunk // CHUNK + 1} {digest}\n"

    def described(data):
        return {"size": len(data), "sha256": sha(data)}

    volumes = []
    for number, payload in enumerate(payloads, 1):
        beside = {"README.txt": described(readmes[number - 1])}
        if number == 1:
            beside["sovai"] = described(program)
        volumes.append({"payload": described(payload), "files": beside})
    index = {
        "apiVersion": "sovai/v1",
        "kind": "Bundle",
        "format": 1,
        "stack": STACK,
        "sequence": SEQUENCE,
        "created": 1764460800,
        "platform": "linux/amd64",
        "tool": {"name": "make.py", "version": "1"},
        "manifest": "stack/vector.yaml",
        "models": {
            "assistant": {
                "digest": model,
                "bytes": model_bytes,
                "source": "file:./gewichte-größe",
                "license": "Apache-2.0",
                "trust": "digest",
            }
        },
        "images": {},
        "chunkSize": CHUNK,
        "chunks": "sha256:" + sha(table.encode()),
        "volumes": volumes,
        "items": [
            {"path": path, "role": role, "size": len(data), "sha256": sha(data), "parts": parts.get(path, [])}
            for path, role, data in files
        ],
    }
    text = (json.dumps(index, indent=2, ensure_ascii=False) + "\n").encode()
    statement = json.dumps(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": NAME, "digest": {"sha256": sha(text)}}],
            "predicateType": "https://sovai.dev/bundle/v1",
            "predicate": {"stack": STACK, "sequence": SEQUENCE, "created": 1764460800, "volumes": 2, "parity": 0},
        }
    ).encode()
    kind = "application/vnd.in-toto+json"
    signature, spki = sign(f"DSSEv1 {len(kind)} {kind} {len(statement)} ".encode() + statement)
    envelope = json.dumps(
        {
            "payload": base64.b64encode(statement).decode(),
            "payloadType": kind,
            "signatures": [{"keyid": "sha256:" + sha(spki), "sig": base64.b64encode(signature).decode()}],
        }
    )
    for number, payload in enumerate(payloads, 1):
        folder = target / f"{NAME}.v{number:03}"
        (folder / "signatures").mkdir(parents=True)
        put = {
            "README.txt": readmes[number - 1],
            "bundle.json": text,
            "chunks.txt": table.encode(),
            f"{NAME}.v{number:03}.tar": payload,
        }
        if number == 1:
            put["sovai"] = program
        for name, data in put.items():
            (folder / name).write_bytes(data)
        sums = "".join(f"{sha(data)}  {name}\n" for name, data in sorted(put.items()))
        (folder / "SHA256SUMS").write_text(sums)
        (folder / "signatures" / f"{sha(spki)[:16]}.dsse.json").write_text(envelope + "\n")
    public = base64.encodebytes(spki).decode()
    (target / "key.pub").write_text(f"-----BEGIN PUBLIC KEY-----\n{public}-----END PUBLIC KEY-----\n")


def main():
    for name in ("whole", "damaged"):
        target = HERE / name
        shutil.rmtree(target, ignore_errors=True)
        make(target)
    # One byte of the second chunk of the second volume.
    payload = HERE / "damaged" / f"{NAME}.v002" / f"{NAME}.v002.tar"
    data = bytearray(payload.read_bytes())
    data[CHUNK + 100] ^= 1
    payload.write_bytes(data)


main()
