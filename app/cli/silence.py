"""Keeps TensorFlow's first messages, which it prints at any log level, off a person's terminal."""

import os
import sys
import tempfile
from importlib import import_module


def import_tensorflow() -> None:
    """Imports the TensorFlow engine without its messages. If the import fails, all of them are shown."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as messages:
        os.dup2(messages.fileno(), 2)
        try:
            import_module("model.engines.tensorflow_encoder")
        except Exception:
            messages.seek(0)
            os.write(terminal, messages.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
