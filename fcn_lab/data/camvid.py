"""CamVid as a data source, in whichever of its releases lies in a folder."""

import os
from pathlib import Path

from fcn_lab.data.classes import choose_classes
from fcn_lab.data.download import SEGNET, SEGNET_RELEASE, fetch_release
from fcn_lab.data.layouts import recognise
from fcn_lab.data.layouts.layout import Layout
from fcn_lab.data.layouts.splits import find_drive
from fcn_lab.data.locations import describe_releases, find_default_folder
from fcn_lab.data.packs.source import CACHE, PackedSource
from fcn_lab.data.pictures.unreadable import LIMIT
from fcn_lab.data.resizing import Resize
from fcn_lab.values import Classes, Positive, Size, check_arguments


@check_arguments
class CamVid(PackedSource):
    """A CamVid release as a Source: detected by its files, decoded once, memory-mapped.

    Args:
        root: the data folder or the one above it; by default the folder that FCN_LAB_CAMVID names,
            else ``../shared/camvid``, else ``data/camvid``.
        size: see ``PackedSource``, as for ``split_by``, ``held_out``, ``cache``, ``megapixels``,
            ``resize`` and ``pack``.
        classes: 11, or 32 to keep the classes of the class file (without void, 31 are scored).
        download: fetch the SegNet release where nothing is found.
        url: the archive that a download fetches.

    Raises:
        UserError: nothing found, a broken data set, or classes that its labels do not hold.
    """

    def __init__(
        self,
        root: str | None = None,
        size: Size | None = None,
        classes: Classes = 11,
        download: bool = False,
        cache: str = CACHE,
        split_by: str | None = None,
        held_out: str | None = None,
        megapixels: Positive = LIMIT.megapixels,
        url: str = SEGNET_RELEASE,
        resize: Resize | None = None,
        pack: bool = True,
    ) -> None:
        folder, layout = _find_layout(
            find_default_folder() if root is None else Path(os.path.expanduser(root)), download, url
        )
        codec = layout.codec
        class_set = choose_classes(classes, codec.names, codec.colours, folder.resolve().name)
        super().__init__(
            folder, layout, class_set, find_drive, size, split_by, held_out, cache, megapixels,
            resize, pack,
        )  # fmt: skip


def _find_layout(root: Path, download: bool, url: str) -> tuple[Path, Layout]:
    match = recognise(root)
    if match is None and download:
        fetch_release(root, SEGNET, url)
        match = recognise(root)
    if match is None:
        raise describe_releases(root, url)
    return match
