#!/usr/bin/env python3
"""Write the seeds of the corpora. A name says what must come of a seed: `ok-...` is accepted, `SOV2010-...` is refused by
that rule. Sniffing refuses nothing: there a name begins with the content's word and `--`."""
import base64
import json
import pathlib
import struct

ROOT = pathlib.Path(__file__).parent / "corpus"


def write(target, name, data):
    folder = ROOT / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


# safetensors

def st(header, data=b"", length=None):
    if not isinstance(header, (str, bytes)):
        header = json.dumps(header, separators=(",", ":"))
    header = header.encode() if isinstance(header, str) else header
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def t(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


GOOD = {"__metadata__": {"format": "pt"}, "a": t("F32", [2, 2], 0, 16), "b": t("BF16", [3], 16, 22),
        "none": t("F32", [0, 7], 22, 22), "scalar": t("F64", [], 22, 30), "fp4": t("F4", [4], 30, 32)}
write("safetensors", "ok-several", st(GOOD, b"\1" * 32))
write("safetensors", "ok-empty", st("{}"))
write("safetensors", "ok-padded", st('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}   ', b"x"))
write("safetensors", "ok-unsorted", st({"b": t("U8", [1], 1, 2), "a": t("U8", [1], 0, 1)}, b"xy"))
write("safetensors", "ok-escaped-name", st('{"\\u0061\\n":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"x"))
write("safetensors", "SOV2001-short", b"\x02\0\0")
write("safetensors", "SOV2002-huge", b"\xff" * 8 + b"{}")
write("safetensors", "SOV2002-just-over", st("{}", length=100_000_001))
write("safetensors", "SOV2003-past-end", st("{}", length=3))
write("safetensors", "SOV2004-blank-first", st(" {}"))
write("safetensors", "SOV2004-list", st("[]"))
write("safetensors", "SOV2004-not-utf8", st(b'{"\xff":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"x"))
write("safetensors", "SOV2004-two-values", st("{}{}"))
write("safetensors", "SOV2004-unknown-member", st({"a": dict(t("U8", [1], 0, 1), x=1)}, b"x"))
write("safetensors", "SOV2004-float-shape", st('{"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}}', b"x"))
write("safetensors", "SOV2004-negative", st('{"a":{"dtype":"U8","shape":[1],"data_offsets":[-1,0]}}', b"x"))
write("safetensors", "SOV2004-missing-member", st('{"a":{"dtype":"U8","shape":[1]}}', b"x"))
write("safetensors", "SOV2004-deep", st('{"a":' + "[" * 1000))
write("safetensors", "SOV2005-tensor-twice",
      st('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}', b"xy"))
write("safetensors", "SOV2005-member-twice", st('{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"x"))
write("safetensors", "SOV2005-metadata-twice", st('{"__metadata__":{},"__metadata__":{}}'))
write("safetensors", "SOV2005-in-metadata", st('{"__metadata__":{"a":"1","a":"2"}}'))
write("safetensors", "SOV2006-number", st({"__metadata__": {"a": 1}}))
write("safetensors", "SOV2007-unknown", st({"a": t("F5", [8], 0, 5)}, b"12345"))
write("safetensors", "SOV2008-overflow", st({"a": t("F32", [2**32, 2**32], 0, 0)}))
write("safetensors", "SOV2008-overflow-then-zero", st({"a": t("U8", [2**32, 2**32, 0], 0, 0)}))
write("safetensors", "SOV2008-half-byte", st({"a": t("F4", [3], 0, 2)}, b"12"))
write("safetensors", "SOV2009-dimensions", st({"a": t("U8", [1] * 65, 0, 1)}, b"x"))
write("safetensors", "SOV2010-gap", st({"a": t("U8", [1], 0, 1), "b": t("U8", [1], 2, 3)}, b"xyz"))
write("safetensors", "SOV2010-gap-first", st({"a": t("U8", [1], 1, 2)}, b"xy"))
write("safetensors", "SOV2011-overlap", st({"a": t("U8", [2], 0, 2), "b": t("U8", [2], 1, 3)}, b"xyz"))
write("safetensors", "SOV2012-size", st({"a": t("U8", [3], 0, 2)}, b"xy"))
write("safetensors", "SOV2012-backwards", st({"a": t("U8", [1], 2, 1)}, b"xy"))
write("safetensors", "SOV2013-truncated", st(GOOD, b"\1" * 31))
write("safetensors", "SOV2014-zip-behind", st(GOOD, b"\1" * 32 + b"PK\5\6"))

# GGUF

def s(text):
    text = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(text)) + text


def kv(key, kind, value):
    return s(key) + struct.pack("<I", kind) + value


def u32(n):
    return struct.pack("<I", n)


def u64(n):
    return struct.pack("<Q", n)


def info(name, dims, kind, offset):
    return s(name) + u32(len(dims)) + b"".join(map(u64, dims)) + u32(kind) + u64(offset)


def gguf(kvs, infos, data, align=32, version=3, counts=None):
    n_tensors, n_kv = counts or (len(infos), len(kvs))
    head = b"GGUF" + u32(version) + u64(n_tensors) + u64(n_kv) + b"".join(kvs) + b"".join(infos)
    return head + b"\0" * (-len(head) % align) + data if data is not None else head


ARCH = kv("general.architecture", 8, s("llama"))
TEMPLATE = kv("tokenizer.chat_template", 8, s("{{ messages }}"))
TOKENS = kv("tokenizer.ggml.tokens", 9, u32(8) + u64(3) + s("a") + s(b"\xff\xfe") + s(""))
SCORES = kv("tokenizer.ggml.scores", 9, u32(6) + u64(3) + b"\0" * 12)
NESTED = kv("x.nested", 9, u32(9) + u64(2) + (u32(4) + u64(1) + u32(7)) * 2)
SCALARS = [kv("x.u8", 0, b"\1"), kv("x.i8", 1, b"\xff"), kv("x.u16", 2, b"\1\0"), kv("x.i16", 3, b"\xff\xff"),
           kv("x.i32", 5, u32(1)), kv("x.f32", 6, struct.pack("<f", float("inf"))), kv("x.bool", 7, b"\1"),
           kv("x.u64", 10, u64(2**63)), kv("x.i64", 11, u64(1)), kv("x.f64", 12, struct.pack("<d", 0.5))]
Q4 = info("blk.0.weight", [64, 2], 2, 0)       # 4 blocks of 18 bytes: 72, padded to 96
F32 = info("output.weight", [4], 0, 96)        # 16 bytes: 112, padded to 128
DATA = b"\2" * 128
write("gguf", "ok-several", gguf([ARCH, TEMPLATE, TOKENS, SCORES, NESTED, *SCALARS], [Q4, F32], DATA))
write("gguf", "ok-no-tensors", gguf([ARCH], [], None))
write("gguf", "ok-last-padding-missing", gguf([ARCH], [Q4, F32], DATA[:112]))
write("gguf", "ok-version-2", gguf([ARCH], [Q4, F32], DATA, version=2))
write("gguf", "ok-alignment-64",
      gguf([kv("general.alignment", 4, u32(64))], [Q4, info("b", [4], 0, 128)], b"\2" * 192, align=64))
write("gguf", "ok-named-template", gguf([kv("tokenizer.chat_template.rag", 8, s("{{ x }}"))], [], None))
write("gguf", "ok-split", gguf([kv("split.no", 2, b"\1\0"), kv("split.count", 2, b"\3\0")], [], None))


def big(data):
    """The same numbers, big-endian: only of a file without keys and with one tensor."""
    head = b"GGUF" + struct.pack(">IQQ", 3, 1, 0) + struct.pack(">Q", 1) + b"a" + struct.pack(">IQIQ", 1, 4, 0, 0)
    return head + b"\0" * (-len(head) % 32) + data


write("gguf", "ok-big-endian", big(b"\2" * 32))
write("gguf", "SOV2216-big-endian-truncated", big(b"\2" * 15))
write("gguf", "SOV2201-magic", b"GGJT" + gguf([ARCH], [], None)[4:])
write("gguf", "SOV2201-version-1", gguf([ARCH], [], None, version=1))
write("gguf", "SOV2201-version-4", gguf([ARCH], [], None, version=4))
write("gguf", "SOV2202-tensors", gguf([ARCH], [], None, counts=(2**63, 1)))
write("gguf", "SOV2202-keys", gguf([ARCH], [], None, counts=(0, 2**64 - 1)))
write("gguf", "SOV2203-text", gguf([s("a") + u32(8) + u64(2**40)], [], None))
write("gguf", "SOV2203-key", gguf([u64(70_000) + b"k" * 70_000 + u32(0) + b"\0"], [], None)[:200])
write("gguf", "SOV2204-array", gguf([kv("a", 9, u32(0) + u64(2**60))], [], None))
write("gguf", "SOV2204-nesting", gguf([kv("a", 9, (u32(9) + u64(1)) * 100)], [], None))
write("gguf", "SOV2205-header-cut", gguf([ARCH], [Q4, F32], DATA)[:100])
write("gguf", "SOV2205-nothing", b"GGU")
write("gguf", "SOV2206-kind", gguf([kv("a", 13, b"")], [], None))
write("gguf", "SOV2206-array-kind", gguf([kv("a", 9, u32(77) + u64(1))], [], None))
write("gguf", "SOV2206-bool", gguf([kv("a", 7, b"\2")], [], None))
write("gguf", "SOV2206-alignment-text", gguf([kv("general.alignment", 8, s("32"))], [], None))
write("gguf", "SOV2206-template-number", gguf([kv("tokenizer.chat_template", 4, u32(1))], [], None))
write("gguf", "SOV2207-key-twice", gguf([ARCH, ARCH], [], None))
write("gguf", "SOV2207-tensor-twice", gguf([ARCH], [info("a", [4], 0, 0), info("a", [4], 0, 32)], b"\2" * 64))
write("gguf", "SOV2208-name", gguf([ARCH], [info(b"\xff", [4], 0, 0)], b"\2" * 32))
write("gguf", "SOV2208-template", gguf([kv("tokenizer.chat_template", 8, s(b"\xff"))], [], None))
write("gguf", "SOV2209-zero", gguf([kv("general.alignment", 4, u32(0))], [], None))
write("gguf", "SOV2209-odd", gguf([kv("general.alignment", 4, u32(48))], [], None))
write("gguf", "SOV2209-large", gguf([kv("general.alignment", 4, u32(2**31))], [], None))
write("gguf", "SOV2210-dimensions", gguf([ARCH], [info("a", [1] * 5, 0, 0)], b"\2" * 32))
write("gguf", "SOV2211-removed-type", gguf([ARCH], [info("a", [32], 4, 0)], b"\2" * 32))
write("gguf", "SOV2211-unknown-type", gguf([ARCH], [info("a", [32], 4000, 0)], b"\2" * 32))
write("gguf", "SOV2212-overflow", gguf([ARCH], [info("a", [2**32, 2**32], 0, 0)], b"\2" * 32))
write("gguf", "SOV2212-block", gguf([ARCH], [info("a", [33], 2, 0)], b"\2" * 32))
write("gguf", "SOV2212-offset-overflow", gguf([ARCH], [info("a", [32], 0, 2**64 - 32)], b"\2" * 32))
write("gguf", "SOV2213-unaligned", gguf([ARCH], [info("a", [4], 0, 8)], b"\2" * 32))
write("gguf", "SOV2214-overlap", gguf([ARCH], [info("a", [16], 0, 0), info("b", [16], 0, 32)], b"\2" * 96))
write("gguf", "SOV2215-gap", gguf([ARCH], [info("a", [4], 0, 0), info("b", [4], 0, 64)], b"\2" * 96))
write("gguf", "SOV2215-first-not-at-start", gguf([ARCH], [info("a", [4], 0, 32)], b"\2" * 64))
write("gguf", "SOV2216-truncated", gguf([ARCH], [Q4, F32], DATA[:100]))
write("gguf", "SOV2217-zip-behind", gguf([ARCH], [Q4, F32], DATA + b"PK\5\6"))
write("gguf", "SOV2218-split", gguf([kv("split.no", 2, b"\3\0"), kv("split.count", 2, b"\3\0")], [], None))

# index

def index(files, **more):
    return json.dumps({"metadata": {"total_size": 3}, "weight_map": files, **more}).encode()


write("index", "ok-two", index({"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}))
write("index", "ok-more-members", index({"a": "x.safetensors"}, other={"deep": [[[1]]]}))
write("index", "ok-float-size", b'{"metadata":{"total_size":3.0},"weight_map":{}}')
write("index", "SOV2101-empty", b"")
write("index", "SOV2101-no-map", b'{"metadata":{}}')
write("index", "SOV2101-number", index({"a": 1}))
write("index", "SOV2101-deep", b'{"a":' + b"[" * 1000)
write("index", "SOV2102-map-twice", b'{"weight_map":{},"weight_map":{}}')
write("index", "SOV2102-tensor-twice", b'{"weight_map":{"a":"x","a":"y"}}')
write("index", "SOV2103-up", index({"a": "../x.safetensors"}))
write("index", "SOV2103-absolute", index({"a": "/etc/passwd"}))
write("index", "SOV2103-folder", index({"a": "sub/x.safetensors"}))
write("index", "SOV2103-control", index({"a": "x\n.safetensors"}))
write("index", "SOV2103-empty", index({"a": ""}))

# sniff

for name, data in {
    "pickle--protocol-0": b"cos\nsystem\n(S'id'\ntR.",
    "pickle--protocol-2": b"\x80\x02cposix\nsystem\nq\0.",
    "pickle--magic-left-out": b"\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R.",
    "safetensors--empty": st("{}"),
    "gguf--no-tensors": gguf([ARCH], [], None),
    "torch-zip--first-member": b"PK\3\4" + b"\0" * 22 + b"\x10\0\0\0" + b"archive/data.pkl",
    "text--marks": b"((((((((((",
    "json--object": b'{"a": 1}',
    "git-lfs-pointer--v1": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
    "unknown--zeros": b"\0" * 16,
}.items():
    write("sniff", name, data)

# Model signatures, envelopes, JSON: what other tools wrote lies with the tests, the rest is made of it.

VECTORS = ROOT.parent.parent / "crates/signing/tests/vectors"
golden = (VECTORS / "golden.sig").read_text()
write("oms", "ok-golden", golden.encode())
for name in ["shards", "upstream-v0.2.0-certificate", "upstream-v1.0.1-elliptic-key"]:
    write("oms", f"ok-{name}", (VECTORS / f"{name}.sig").read_bytes())
write("oms", "refused-media-type", golden.replace("v0.3+json", "v0.2+json").encode())
write("oms", "refused-duplicate-key", golden.replace('"mediaType"', '"mediaType":"x","mediaType"', 1).encode())
write("oms", "refused-no-signature", golden[:golden.index('"signatures"')].encode() + b'"signatures":[]}}')
write("oms", "refused-two-signers", golden.replace('"tlogEntries"', '"certificate":{},"tlogEntries"').encode())
write("oms", "refused-base64", golden.replace('"payload":"ew', '"payload":"e*').encode())
write("oms", "refused-unknown-member", golden.replace('"payload"', '"x":1,"payload"').encode())

STATEMENT = ('{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"passport","digest":{"sha256":"'
             + "11" * 32 + '"}},{"name":"model","digest":{"sha256":"' + "22" * 32
             + '"}}],"predicateType":"https://sovai.dev/passport/v1","predicate":{}}')


def envelope(payload, kind="application/vnd.in-toto+json", signatures='[{"keyid":"k","sig":"AAAA"}]'):
    return (f'{{"payload":"{base64.b64encode(payload.encode()).decode()}","payloadType":"{kind}",'
            f'"signatures":{signatures}}}').encode()


write("dsse", "ok-passport", envelope(STATEMENT))
write("dsse", "ok-other-type", envelope("text", "text/plain"))
write("dsse", "refused-no-signature", envelope(STATEMENT, signatures="[]"))
write("dsse", "refused-many-signatures", envelope(STATEMENT, signatures="[" + '{"sig":""},' * 64 + '{"sig":""}]'))
write("dsse", "refused-base64", envelope(STATEMENT).replace(b'"payload":"ey', b'"payload":"-_'))
write("dsse", "refused-trailing", envelope(STATEMENT) + b"x")

write("json", "ok-all-kinds", b'{"a":[1,-2,0.5,1e3,"x\\n\\u00e9",null,true,false],"b":{}}')
write("json", "ok-depth-32", b"[" * 32 + b"]" * 32)
write("json", "refused-depth-33", b"[" * 33 + b"]" * 33)
write("json", "refused-duplicate-key", b'{"a":1,"\\u0061":2}')
write("json", "refused-nan", b"[NaN]")
write("json", "refused-mark", b"\xef\xbb\xbf{}")
write("json", "refused-trailing", b"{}{}")
write("json", "refused-not-utf8", b'["\xff"]')
