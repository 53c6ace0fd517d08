"""Tests of the entry script, without the native module: what it takes, what it refuses, what it passes on."""

import contextlib
import importlib.machinery
import importlib.util
import io
import os
import pathlib
import sys
import types
import unittest
from unittest import mock

SCRIPT = pathlib.Path(__file__).with_name("llama-server")


def load():
    """The script as a module; it has no .py name, because it is a command."""
    loader = importlib.machinery.SourceFileLoader("llama_server", str(SCRIPT))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


class Params:
    """Stands for xllamacpp.CommonParams: refuses fields that are not there."""

    __slots__ = (
        "model hostnames port n_parallel endpoint_metrics endpoint_slots ui offline n_ctx cpuparams cpuparams_batch "
        "model_alias"
    ).split()

    def __init__(self):
        self.model = types.SimpleNamespace()
        self.cpuparams = types.SimpleNamespace()
        self.cpuparams_batch = types.SimpleNamespace()


class LlamaServer(unittest.TestCase):
    def setUp(self):
        self.script = load()

    def parse(self, *words, environment=None):
        with mock.patch.object(sys, "argv", ["llama-server", *words]):
            with mock.patch.dict(os.environ, environment or {}, clear=True):
                return self.script.arguments()

    def refused(self, *words, environment=None):
        """The message of a refusal, which must end with code 2."""
        told = io.StringIO()
        with self.assertRaises(SystemExit) as ended, contextlib.redirect_stderr(told):
            self.parse(*words, environment=environment)
        self.assertEqual(ended.exception.code, 2)
        return told.getvalue()

    def test_all_options_reach_the_parameters(self):
        words = "-m /models/a.gguf --host 0.0.0.0 --port 9000 -c 2048 --parallel 4 --threads 2 --metrics --alias it"
        fake = types.SimpleNamespace(CommonParams=Params)
        with mock.patch.dict(sys.modules, {"xllamacpp": fake}):
            _, params = self.script.parameters(self.parse(*words.split(), environment={"LLAMA_ARG_OFFLINE": "1"}))
        self.assertEqual(params.model.path, "/models/a.gguf")
        self.assertEqual(params.hostnames, ["0.0.0.0"])
        self.assertEqual((params.port, params.n_ctx, params.n_parallel), (9000, 2048, 4))
        self.assertEqual((params.cpuparams.n_threads, params.cpuparams_batch.n_threads), (2, 2))
        self.assertEqual(params.model_alias, {"it"})
        self.assertTrue(params.endpoint_metrics and params.offline)
        self.assertFalse(params.ui or params.endpoint_slots)

    def test_long_and_short_names_are_the_same(self):
        short = self.parse("-m", "a", "-c", "1", "-np", "2", "-t", "3", "-a", "n")
        long = self.parse("--model", "a", "--ctx-size", "1", "--parallel", "2", "--threads", "3", "--alias", "n")
        self.assertEqual(short, long)

    def test_unknown_options_are_refused(self):
        for words in (["--n-gpu-layers", "9"], ["--met"], ["--api-key", "x"], ["stray"]):
            self.assertIn("unrecognized arguments", self.refused("-m", "a", *words), words)

    def test_numbers_are_bounded(self):
        for option in ("--port", "--ctx-size", "--parallel", "--threads"):
            for value in ("0", "-1", "x", ""):
                self.assertIn("invalid", self.refused("-m", "a", f"{option}={value}"), (option, value))
        self.assertIn("invalid", self.refused("-m", "a", "--port", "65536"))

    def test_a_model_is_required(self):
        self.assertIn("--model", self.refused("--metrics"))

    def test_unknown_variables_are_refused_and_offline_is_understood(self):
        self.assertIn("LLAMA_ARG_N_GPU_LAYERS", self.refused("-m", "a", environment={"LLAMA_ARG_N_GPU_LAYERS": "9"}))
        self.assertTrue(self.parse("-m", "a", environment={"LLAMA_ARG_OFFLINE": "1"}).offline)
        self.assertFalse(self.parse("-m", "a", environment={"LLAMA_ARG_OFFLINE": "false"}).offline)


if __name__ == "__main__":
    unittest.main()
