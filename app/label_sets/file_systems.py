"""Which file systems cannot hold an SQLite database with a write-ahead log.

The log's index is memory that all processes of one machine share, which a file system of several machines has not.
See https://sqlite.org/wal.html.
"""

from pathlib import Path

from app.label_sets.store import StoreError
from app.settings import PREFIX

MOUNTS = Path("/proc/self/mountinfo")
# 9p and virtiofs are not here: they also are the local disks of virtual machines and sandboxes. SQLite says itself
# whether it can use its log there.
NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "coda", "ceph", "lustre", "gpfs", "beegfs", "pvfs2"}
NETWORK |= {"glusterfs", "gfs2", "ocfs2", "acfs", "wekafs", "panfs"}
NETWORK_FUSE = {"sshfs", "s3fs", "gcsfuse", "glusterfs", "ceph", "ceph-fuse", "rclone", "juicefs", "goofys", "davfs"}
NETWORK_FUSE |= {"blobfuse", "blobfuse2", "mount-s3", "mfs", "moosefs", "lizardfs", "seaweedfs", "cephfs", "alluxio"}


def check_local(folder: Path, mounts: Path = MOUNTS) -> None:
    """Refuses a folder on a network file system.

    Args:
        folder: The data folder, which need not exist.
        mounts: The file with the system's mounts; without one, as on macOS, nothing is refused.

    Raises:
        StoreError: The folder is on a network file system.
    """
    try:
        text = mounts.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return
    type_ = file_system(folder.expanduser().resolve(), text)
    if type_ in NETWORK or type_.removeprefix("fuse.") in NETWORK_FUSE:
        raise StoreError(
            f"{PREFIX}DATA_DIR {folder} is on a network file system ({type_}), where SQLite cannot be used. Set "
            f"{PREFIX}STORE=redis://HOST:6379, or {PREFIX}DATA_DIR to a local folder"
        )


def file_system(path: Path, mounts: str) -> str:
    """Returns the type of the file system that an absolute path is on, or "".

    Args:
        path: The path, without links.
        mounts: The text of `/proc/self/mountinfo`; see `man 5 proc`. Of several mounts on one folder, the last counts.
    """
    best, found = -1, ""
    for line in mounts.splitlines():
        place, separator, source = line.partition(" - ")
        fields = place.split(" ")
        if not separator or len(fields) < 5:
            continue
        point = Path(unescaped(fields[4]))
        if path.is_relative_to(point) and len(point.parts) >= best:
            best, found = len(point.parts), source.split(" ")[0]
    return found


def unescaped(field: str) -> str:
    r"""Returns a field with its octal escapes resolved: `\040` is a space."""
    for character in " \t\n\\":
        field = field.replace(f"\\{ord(character):03o}", character)
    return field
