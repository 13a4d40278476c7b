"""Stores the answers that the self-test expects from the embedded checkpoint. Run it after each training.

python -m training.answers
"""

import json

from model.engines.load import load_encoder
from model.engines.self_test import GOLDEN, TEXTS, answers


def main() -> None:
    """Writes the embedded checkpoint's answers in float32 on the CPU, and runs the self-test with them."""
    encoder = load_encoder(device="cpu", dtype="float32")
    GOLDEN.write_text(json.dumps(answers(encoder, TEXTS), ensure_ascii=False) + "\n", encoding="utf-8")
    encoder.self_test()
    print(f"passed: {GOLDEN}")


if __name__ == "__main__":
    main()
