"""Make tiny GGUF files of the architectures in architectures.toml: random weights from a seed, and a real tokenizer.

The same seed gives the same bytes on every machine: all numbers come from SHAKE-256 by whole-number arithmetic, no random
generator of a library is asked.
"""

import argparse
import hashlib
import os
import pathlib
import tomllib

import gguf
import numpy

DESCRIPTIONS = pathlib.Path(__file__).with_name("architectures.toml")
VALUES = {
    "u32": gguf.GGUFValueType.UINT32,
    "i32": gguf.GGUFValueType.INT32,
    "f32": gguf.GGUFValueType.FLOAT32,
    "bool": gguf.GGUFValueType.BOOL,
}
# Mean and spread of a sum of four whole numbers that are even over 0..65535.
MEAN = 4 * 65535 / 2
SPREAD = (4 * (65536**2 - 1) / 12) ** 0.5


def descriptions():
    with open(DESCRIPTIONS, "rb") as file:
        return tomllib.load(file)


def numbers(seed, name, count):
    """`count` numbers around 0 with a spread of 1, nearly normal: sums of four even ones."""
    stream = hashlib.shake_256(f"sovai tiny {seed} {name}".encode()).digest(count * 8)
    sums = numpy.frombuffer(stream, dtype="<u2").reshape(count, 4).sum(axis=1, dtype=numpy.int64)
    return ((sums - MEAN) / SPREAD).astype(numpy.float32)


def weights(seed, name, shape, fill, experts):
    """A tensor in numpy's order of dimensions, as float32, or as int32 where it is a table of experts."""
    count = int(numpy.prod(shape))
    if fill == "expert":
        stream = hashlib.shake_256(f"sovai tiny {seed} {name}".encode()).digest(count)
        return (numpy.frombuffer(stream, dtype=numpy.uint8) % experts).astype(numpy.int32).reshape(shape)
    values = numbers(seed, name, count).reshape(shape)
    fills = {
        "normal": lambda: values * numpy.float32(0.1),
        "wide": lambda: values * numpy.float32(0.3),
        "one": lambda: values * numpy.float32(0.1) + numpy.float32(1),
        "negative": lambda: -numpy.abs(values) - numpy.float32(0.05),
    }
    return fills[fill]()


def tensors(description):
    """Full name, shape in numpy's order, type, fill of every tensor."""
    for name, blocks, shape, kind, fill in description["tensors"]:
        for prefix in [f"blk.{block}." for block in blocks] or [""]:
            yield prefix + name, list(reversed(shape)), kind, fill


def add_value(writer, key, kind, value):
    if kind.endswith("[]"):
        writer.add_key_value(key, value, gguf.GGUFValueType.ARRAY, sub_type=VALUES[kind.removesuffix("[]")])
    else:
        writer.add_key_value(key, value, VALUES[kind])


class Tokenizer:
    """The keys `tokenizer.*` of a GGUF file, as they are there."""

    def __init__(self, path):
        self.fields = []
        for name, field in gguf.GGUFReader(path).fields.items():
            if name.startswith("tokenizer."):
                sub_type = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
                self.fields.append((name, field.contents(), field.types[0], sub_type))
        self.size = len(next(value for name, value, _, _ in self.fields if name == "tokenizer.ggml.tokens"))

    def add(self, writer):
        for name, value, kind, sub_type in self.fields:
            writer.add_key_value(name, value, kind, sub_type=sub_type)


def make(arch, tokenizer, path, seed):
    """Write one file; half of one never has the name."""
    description = descriptions()[arch]
    keys = {key: value for key, _, value in description["keys"]}
    sizes = {"V": tokenizer.size}
    partial = f"{path}.partial"
    writer = gguf.GGUFWriter(partial, arch)
    writer.add_name(f"Random weights of architecture {arch}, seed {seed}: for tests, its answers mean nothing")
    for key, kind, value in description["keys"]:
        add_value(writer, f"{arch}.{key}", kind, sizes.get(value, value) if isinstance(value, str) else value)
    tokenizer.add(writer)
    for name, shape, kind, fill in tensors(description):
        shape = [sizes.get(size, size) for size in shape]
        values = weights(seed, f"{arch} {name}", shape, fill, keys.get("expert_count"))
        kind = gguf.GGMLQuantizationType[kind]
        if kind == gguf.GGMLQuantizationType.I32:
            writer.add_tensor(name, values)
        else:
            writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.replace(partial, path)


def main():
    known = list(descriptions())
    parser = argparse.ArgumentParser(description="Make tiny GGUF files with random weights.")
    parser.add_argument("--tokenizer", required=True, metavar="GGUF", help="file whose tokenizer is taken")
    parser.add_argument("--out", required=True, metavar="DIR", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("architectures", nargs="*", default=known, help="of: " + " ".join(known))
    options = parser.parse_args()
    if unknown := set(options.architectures) - set(known):
        parser.error("unknown architectures: " + " ".join(sorted(unknown)))
    tokenizer = Tokenizer(options.tokenizer)
    options.out.mkdir(parents=True, exist_ok=True)
    for arch in options.architectures:
        make(arch, tokenizer, options.out / f"{arch}.gguf", options.seed)


if __name__ == "__main__":
    main()
