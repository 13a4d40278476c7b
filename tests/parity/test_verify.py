"""`python -m app verify` as a user runs it, on a full-size checkpoint that is none of the published ones."""

import subprocess
import sys
import tempfile

from PIL import Image

from model.checkpoint.weights import save_checkpoint
from model.network.siglip import SigLIP
from model.published import VARIANTS
from model.text.tokenizer import SigLIPTokenizer
from tests.golden.cases import HERE, photos


def test_a_wrong_checkpoint_is_told_line_by_line_and_by_the_exit_status(tmp_path):
    Image.fromarray(photos()["noise 17 x 23"]).save(tmp_path / "apple-ipod.jpg")
    with tempfile.TemporaryDirectory() as directory:
        model = SigLIP(VARIANTS["SigLIPBaseP16"]["google_224"].config)
        save_checkpoint(model, directory, tokenizer=SigLIPTokenizer(HERE / "spiece.model", 64, 32_000))
        command = [sys.executable, "-m", "app", "verify", "--model", "SigLIPBaseP16", "--weights", directory]
        answer = subprocess.run([*command, "--images", tmp_path], capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    assert "FAIL: sha256 of model.safetensors\n    expected 2c63cb7d1f2e" in answer.stdout
    assert "FAIL: scale\n    expected 117.3308  (DeploySharp" in answer.stdout
    assert "    came     10  (tolerance 0.001)" in answer.stdout
    assert "FAIL: token ids 'Z\\xfcrich'\n    expected 262 761 5879 5345" in answer.stdout
    assert "FAIL: logits 'an apple' 'a picture of an apple' in apple-ipod.jpg" in answer.stdout
    assert "NOT CHECKED: logits 'an apple' 'a picture of an apple' in apple-blank.jpg" in answer.stdout
    assert "it can be had from http://images.cocodataset.org/val2017/000000039769.jpg" in answer.stdout
