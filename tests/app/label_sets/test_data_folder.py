from pathlib import Path

from app.label_sets.data_folder import write_fault


def test_a_folder_is_created_and_left_empty(tmp_path):
    assert write_fault(tmp_path / "a" / "b") is None
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_folder_that_cannot_be_created_or_written_has_a_fault(tmp_path):
    (tmp_path / "file").touch()
    assert "file" in (write_fault(tmp_path / "file" / "a") or "")
    assert "/proc" in (write_fault(Path("/proc/siglip")) or "")  # also for root
