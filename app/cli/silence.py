"""TensorFlow's first words, which it writes whatever its log level is, kept from a person's terminal."""

import os
import sys
import tempfile
from importlib import import_module


def import_tensorflow() -> None:
    """Imports what takes seconds, without its remarks on its own build; if that fails, all of them are shown."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as words:
        os.dup2(words.fileno(), 2)
        try:
            import_module("model.engines.tensorflow_encoder")
        except Exception:
            words.seek(0)
            os.write(terminal, words.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
