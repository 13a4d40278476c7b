from pathlib import Path

from app.processes.shared_folder import SharedFolder


def test_the_paths_are_short_and_different():
    folder = SharedFolder(Path("folder"))
    assert len({folder.device, folder.counts, folder.metrics}) == 3
    assert len(str(folder.device)) <= len("folder") + 8  # a socket's path has at most 107 characters
