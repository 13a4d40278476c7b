from pathlib import Path

import pytest

from app.label_sets.file_systems import check_local, file_system
from app.label_sets.store import StoreError

MOUNTS = r"""
22 1 0:21 / / rw,relatime master:1 - overlay overlay rw,lowerdir=/a,upperdir=/b
30 22 0:26 / /proc rw - proc proc rw
31 22 254:1 / /data rw,relatime shared:3 - ext4 /dev/vdb rw
32 31 0:50 / /data/shared rw,relatime - nfs4 10.0.0.1:/export rw,vers=4.2
33 31 0:51 / /data/with\040space rw,relatime - cifs //host/share rw
34 22 0:52 / /remote rw - fuse.sshfs host:/ rw
35 22 254:2 / /twice rw - nfs host:/twice rw
36 22 254:2 / /twice rw - xfs /dev/vdc rw
37 22 0:53 / /mnt/host rw - virtiofs share rw
"""


@pytest.mark.parametrize(
    ("path", "type_"),
    [
        ("/var/lib", "overlay"),
        ("/data", "ext4"),
        ("/data/sets", "ext4"),
        ("/data/shared", "nfs4"),
        ("/data/shared/a/b", "nfs4"),
        ("/data/shared-not", "ext4"),
        ("/data/with space/a", "cifs"),
        ("/remote/a", "fuse.sshfs"),
        ("/twice/a", "xfs"),
        ("/mnt/host", "virtiofs"),
    ],
)
def test_the_deepest_and_last_mount_has_the_type(path, type_):
    assert file_system(Path(path), MOUNTS) == type_


def test_nothing_is_known_without_mounts():
    assert file_system(Path("/data"), "") == ""
    assert file_system(Path("/data"), "not a mount\n1 2 3 - ext4") == ""


def test_a_network_file_system_is_an_error_that_says_what_to_use(tmp_path):
    mounts = tmp_path / "mounts"
    for type_ in ("nfs", "nfs4", "cifs", "smb3", "ceph", "lustre", "fuse.sshfs", "fuse.glusterfs"):
        mounts.write_text(f"22 1 0:21 / / rw - ext4 /dev/vda rw\n32 22 0:50 / {tmp_path} rw - {type_} host:/ rw\n")
        with pytest.raises(StoreError, match=rf"network file system \({type_}\).* SIGLIP_STORE=redis://HOST:6379"):
            check_local(tmp_path / "not" / "there", mounts)
        (tmp_path / "link").unlink(missing_ok=True)
        (tmp_path / "link").symlink_to("/")
        check_local(tmp_path / "link" / "data", mounts)


@pytest.mark.parametrize(
    "type_", ["overlay", "ext4", "xfs", "btrfs", "zfs", "tmpfs", "9p", "virtiofs", "fuse.fuse-overlayfs"]
)
def test_local_file_systems_of_machines_and_containers_are_accepted(tmp_path, type_):
    mounts = tmp_path / "mounts"
    mounts.write_text(f"22 1 0:21 / / rw - {type_} source rw\n")
    check_local(tmp_path, mounts)


def test_without_a_list_of_mounts_nothing_is_refused(tmp_path):
    check_local(tmp_path, tmp_path / "none")
    check_local(tmp_path)
