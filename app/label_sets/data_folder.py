"""Whether label sets can be stored in the data folder. It is tested at the start, not by the first client's request."""

import tempfile
from pathlib import Path


def write_fault(folder: Path) -> str | None:
    """Returns why no file can be written in a folder, or None. The folder is created if it does not exist."""
    try:
        folder.expanduser().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder.expanduser()) as file:
            file.write(b"x")
            file.flush()  # a full disk
    except OSError as error:
        return str(error)
    return None
