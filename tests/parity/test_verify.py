"""`python -m app verify`, run on a full-size checkpoint that was not published."""

import subprocess
import sys
import tempfile

from PIL import Image

from model.checkpoint.weights import save_checkpoint
from model.network.siglip import SigLIP
from model.published import VARIANTS
from model.text.tokenizer import SigLIPTokenizer
from tests.golden.cases import HERE, photos


def test_a_wrong_checkpoint_gives_a_line_per_failed_fact_and_exit_status_1(tmp_path):
    Image.fromarray(photos()["noise 17 x 23"]).save(tmp_path / "apple-ipod.jpg")
    with tempfile.TemporaryDirectory() as directory:
        model = SigLIP(VARIANTS["SigLIPBaseP16"]["google_224"].config)
        save_checkpoint(model, directory, tokenizer=SigLIPTokenizer(HERE / "spiece.model", 64, 32_000))
        command = [sys.executable, "-m", "app", "verify", "--model", "SigLIPBaseP16", "--weights", directory]
        done = subprocess.run([*command, "--images", tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "FAIL: sha256 of model.safetensors\n    expected 2c63cb7d1f2e" in done.stdout
    assert "FAIL: scale\n    expected 117.3308  (DeploySharp" in done.stdout
    assert "    actual   10  (tolerance 0.001)" in done.stdout
    assert "FAIL: token ids 'Z\\xfcrich'\n    expected 262 761 5879 5345" in done.stdout
    assert "FAIL: logits 'an apple' 'a picture of an apple' in apple-ipod.jpg" in done.stdout
    assert "NOT CHECKED: logits 'an apple' 'a picture of an apple' in apple-blank.jpg" in done.stdout
    assert "download it from http://images.cocodataset.org/val2017/000000039769.jpg" in done.stdout
