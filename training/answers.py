"""Stores the answers that the self-test wants of the embedded checkpoint, after it was trained anew.

python -m training.answers
"""

import json

from model.engines.load import load_encoder
from model.engines.self_test import GOLDEN, TEXTS, answers


def main() -> None:
    """Writes the answers of the embedded checkpoint in float32 on the CPU, and tests it against them."""
    encoder = load_encoder(device="cpu", dtype="float32")
    GOLDEN.write_text(json.dumps(answers(encoder, TEXTS), ensure_ascii=False) + "\n", encoding="utf-8")
    encoder.self_test()
    print(f"passed: {GOLDEN}")


if __name__ == "__main__":
    main()
