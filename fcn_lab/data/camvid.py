"""CamVid, in whichever of its releases lies in a folder."""

from pathlib import Path

from fcn_lab.data.classes import choose
from fcn_lab.data.download import SEGNET_RELEASE, fetch_segnet_release
from fcn_lab.data.layouts import recognise
from fcn_lab.data.layouts.layout import Layout
from fcn_lab.data.layouts.splits import drive_of
from fcn_lab.data.locations import nothing_found, usual_place
from fcn_lab.data.packs.source import CACHE, PackedSource
from fcn_lab.data.pictures.unreadable import LIMIT
from fcn_lab.values import Classes, Positive, Size, checked


@checked
class CamVid(PackedSource):
    """A CamVid release as a Source: recognised by looking, decoded once, memory-mapped.

    Args:
        root: the data folder or the one above it; by default the folder that FCN_LAB_CAMVID names,
            else ``../shared/camvid``, else ``data/camvid``
        size: see ``PackedSource``, as for ``split_by``, ``held_out``, ``cache``, ``megapixels``
        classes: 11, or 32 to keep the classes of the class file (void is ignored, so 31 are scored)
        download: fetch the SegNet release where nothing is found
        url: the archive that a download fetches

    Raises:
        UserError: nothing found, a broken data set, or classes that its labels do not hold
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
    ) -> None:
        place, layout = _found(
            usual_place() if root is None else Path(root).expanduser(), download, url
        )
        codec = layout.codec
        class_set = choose(classes, codec.names, codec.colours, place.resolve().name)
        super().__init__(
            place, layout, class_set, drive_of, size, split_by, held_out, cache, megapixels
        )


def _found(root: Path, download: bool, url: str) -> tuple[Path, Layout]:
    found = recognise(root)
    if found is None and download:
        fetch_segnet_release(root, url)
        found = recognise(root)
    if found is None:
        raise nothing_found(root, url)
    return found
