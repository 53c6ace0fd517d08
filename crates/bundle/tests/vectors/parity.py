#!/usr/bin/env python3
"""Writes parity.json: payloads of parity, computed from the section on parity of docs/bundle-format.md and nothing else.

Slow and plain on purpose: one multiplication at a time.
"""

import hashlib
import json

BASIS = [0x0001, 0xACCA, 0x3C0E, 0x163E, 0xC582, 0xED2E, 0x914C, 0x4012,
         0x6C98, 0x10D8, 0x6A72, 0xB900, 0xFDB8, 0xFB34, 0xFF38, 0x991E]


def product_of_polynomials(a, b):
    result = 0
    while b:
        if b & 1:
            result ^= a
        a <<= 1
        if a >> 16:
            a ^= 0x1002D
        b >>= 1
    return result


def polynomial(number):
    result = 0
    for bit in range(16):
        if number >> bit & 1:
            result ^= BASIS[bit]
    return result


NUMBER = {polynomial(number): number for number in range(65536)}


def multiply(a, b):
    return NUMBER[product_of_polynomials(polynomial(a), polynomial(b))]


def inverse(a):
    # a to the power of 2^16 - 2
    result = 1
    for _ in range(15):
        a = multiply(a, a)
        result = multiply(result, a)
    return result


def power(count):
    result = 1
    while result < count:
        result *= 2
    return result


def factor(data, parity, i, j):
    p, q = power(data), power(parity)
    if p > q or (p == q and data <= parity):
        return multiply((q + i) // q, inverse(j ^ (q + i)))
    return multiply((p + j) // p, inverse((p + j) ^ i))


def compute(payloads, count):
    width = (max(map(len, payloads)) + 63) // 64 * 64
    padded = [payload + bytes(width - len(payload)) for payload in payloads]
    result = []
    for j in range(count):
        out = bytearray(width)
        for i, payload in enumerate(padded):
            f = factor(len(payloads), count, i, j)
            for block in range(0, width, 64):
                for at in range(block, block + 32):
                    value = multiply(f, payload[at] | payload[at + 32] << 8)
                    out[at] ^= value & 0xFF
                    out[at + 32] ^= value >> 8
        result.append(bytes(out))
    return result


def sample(name, length):
    out = b""
    while len(out) < length:
        out += hashlib.sha256(f"{name} {len(out)}".encode()).digest()
    return out[:length]


def main():
    cases = []
    for data, parity in [(1, 1), (2, 1), (3, 2), (2, 3), (4, 3), (5, 2), (3, 3), (1, 3), (9, 4)]:
        payloads = [sample(f"{data} {parity} {i}", 130 - 23 * (i % 4)) for i in range(data)]
        cases.append({
            "data": [payload.hex() for payload in payloads],
            "parity": [payload.hex() for payload in compute(payloads, parity)],
        })
    print(json.dumps(cases, indent=1))


main()
