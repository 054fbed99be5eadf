"""Checks whether a place has room for a pack, and whether it is a disk of this machine."""

import logging
import os
import shutil
from pathlib import Path

import psutil

from fcn_lab.errors import UserError

NETWORK_KINDS = frozenset(
    [
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "9p", "ceph", "lustre", "gpfs", "beegfs"),
        *("glusterfs", "wekafs", "pvfs2", "orangefs", "fuse.glusterfs", "fuse.sshfs", "fuse.ceph"),
    ]
)
# the bytes of a block, in which the system counts the room that a file takes
BLOCK = 512
_log = logging.getLogger(__name__)


def require_room(draft: Path, size: int, split: str) -> None:
    """Refuses a pack that the disk has no room for, before anything is decoded.

    A line tells of a network file system: every epoch reads the pack over the network, and a quota
    may bound its room, which shows only when it is written.

    Args:
        draft: the folder that it is written to; files that lie there already need no more room.
        size: the pack's bytes.
        split: the split that is packed, for messages.

    Raises:
        UserError: there is too little room.
    """
    if kind := find_network_kind(draft):
        _log.warning(
            "%s lies on a network file system (%s): every epoch reads the frames over the network. "
            "+data.cache= with a folder on a disk of this machine is faster",
            draft.parent, kind,
        )  # fmt: skip
    draft_size = sum(file.stat().st_blocks * BLOCK for file in draft.iterdir() if file.is_file())
    room = shutil.disk_usage(draft).free + draft_size
    if size > room:
        raise UserError(
            f"{draft.parent}: the pack of {split} takes {size / 1e9:.3g} GB, and {room / 1e9:.3g} "
            "GB are free there.\nType +data.cache= with a folder on another disk, or "
            "data.pack=false to read the files themselves"
        )


def find_network_kind(folder: Path) -> str:
    """Returns the kind of network file system that a folder lies on; "" on a local disk."""
    path = os.path.realpath(folder)
    mounts = [
        mount
        for mount in psutil.disk_partitions(all=True)
        if Path(path).is_relative_to(mount.mountpoint)
    ]
    kind = max(mounts, key=lambda mount: len(mount.mountpoint)).fstype if mounts else ""
    return kind if kind in NETWORK_KINDS else ""
