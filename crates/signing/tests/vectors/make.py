"""Makes the bundles of this folder with the Python tool: python make.py (model-signing==1.1.1, pyopenssl).

New keys and new signatures come out each time; the private keys are thrown away.
"""

import pathlib
import shutil
import subprocess
import tempfile

import model_signing

here = pathlib.Path(__file__).parent
work = pathlib.Path(tempfile.mkdtemp())
model = work / "m"
for name, text in {
    "a.txt": "x\n",
    "a/b": "hello\n",
    "config.json": "{}\n",
    "empty": "",
    "é:1.bin": "0123456789\n",
}.items():
    (model / name).parent.mkdir(parents=True, exist_ok=True)
    (model / name).write_text(text)
(work / "single.bin").write_text("x\n")


def key(curve):
    private, public = work / f"{curve}.pem", here / f"{curve}.pub"
    subprocess.run(["openssl", "ecparam", "-name", curve, "-genkey", "-out", private], check=True)
    subprocess.run(["openssl", "ec", "-in", private, "-pubout", "-out", public], check=True)
    return private


def sign(name, private, target, hashing=None):
    config = model_signing.signing.Config().use_elliptic_key_signer(private_key=private)
    if hashing is not None:
        config.set_hashing_config(hashing)
    config.sign(target, here / f"{name}.sig")


for curve in ["prime256v1", "secp384r1", "secp521r1"]:
    private = key(curve)
    if curve == "prime256v1":
        config = model_signing.hashing.Config
        sign("single", private, work / "single.bin")
        sign("blake2b", private, model, config().use_file_serialization(hashing_algorithm="blake2"))
        sign("blake3", private, model, config().use_file_serialization(hashing_algorithm="blake3"))
        sign("shards", private, model, config().use_shard_serialization(hashing_algorithm="sha256", shard_size=4))
    # The command, as people use it; the signature lies in the folder and so in its list of ignored paths.
    command = ["python", "-m", "model_signing", "sign", "key", model, "--private_key", private]
    subprocess.run([*command, "--signature", model / "model.sig"], check=True)
    shutil.move(model / "model.sig", here / f"{curve}.sig")
