"""Tests of the tiny models: the same seed gives the same bytes, the header says what the description says."""

import hashlib
import os
import pathlib
import tempfile
import unittest

import gguf
import make


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Numbers(unittest.TestCase):
    def test_they_are_the_same_on_every_machine(self):
        first = make.numbers(0, "a", 4)
        expected = [-0.22935084998607635, -0.17065204679965973, -0.14694522321224213, -0.3773003816604614]
        self.assertEqual([float(value) for value in first], expected)
        self.assertFalse((make.numbers(1, "a", 4) == first).any())
        self.assertFalse((make.numbers(0, "b", 4) == first).any())

    def test_they_are_around_zero_with_a_spread_of_one(self):
        many = make.numbers(0, "many", 100_000)
        self.assertAlmostEqual(float(many.mean()), 0, delta=0.02)
        self.assertAlmostEqual(float(many.std()), 1, delta=0.02)


class Files(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tokenizer = make.Tokenizer(os.environ["SOVAI_TOKENIZER"])
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)

    def path(self, name):
        return pathlib.Path(self.folder.name) / name

    def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(self):
        for name, seed in [("one", 0), ("two", 0), ("other", 1)]:
            make.make("qwen35", self.tokenizer, self.path(name), seed)
        self.assertEqual(digest(self.path("one")), digest(self.path("two")))
        self.assertNotEqual(digest(self.path("one")), digest(self.path("other")))
        pinned = make.DESCRIPTIONS.with_name("SHA256SUMS").read_text()
        self.assertIn(digest(self.path("one")) + "  qwen35.gguf\n", pinned)
        self.assertEqual(list(pathlib.Path(self.folder.name).glob("*.partial")), [])

    def test_every_pinned_file_has_a_description_and_every_description_a_pin(self):
        pinned = make.DESCRIPTIONS.with_name("SHA256SUMS").read_text().split()[1::2]
        self.assertEqual(sorted(pinned), sorted(f"{arch}.gguf" for arch in make.descriptions()))

    def test_the_header_says_what_the_description_says(self):
        for arch in ["deepseek4", "deepseek2", "gpt-oss"]:
            path = self.path(f"{arch}.gguf")
            make.make(arch, self.tokenizer, path, 0)
            reader = gguf.GGUFReader(path)
            self.assertEqual(reader.fields["general.architecture"].contents(), arch)
            self.assertEqual(len(reader.fields["tokenizer.ggml.tokens"].data), 49152)
            description = make.descriptions()[arch]
            for key, _, value in description["keys"]:
                found = reader.fields[f"{arch}.{key}"].contents()
                if isinstance(value, float):
                    self.assertAlmostEqual(found, value, places=6, msg=key)
                else:
                    self.assertEqual(found, 49152 if value == "V" else value, key)
            found = {tensor.name: ([int(size) for size in tensor.shape], tensor.tensor_type.name) for tensor in reader.tensors}
            wanted = {
                name: ([49152 if size == "V" else size for size in reversed(shape)], kind)
                for name, shape, kind, _ in make.tensors(description)
            }
            self.assertEqual(found, wanted)


if __name__ == "__main__":
    unittest.main()
