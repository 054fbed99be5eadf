"""Which data set lies in a folder, told by looking."""

from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from fcn_lab.data.layouts.layout import Detector, Layout
from fcn_lab.errors import UserError


@cache
def list_detectors() -> tuple[Detector, ...]:
    """Returns the ``detect`` of every module of this folder that has one."""
    modules = (import_module(f"{__name__}.{info.name}") for info in iter_modules(__path__))
    return tuple(module.detect for module in modules if hasattr(module, "detect"))


def recognise(root: Path) -> tuple[Path, Layout] | None:
    """Returns the data set in a folder or one folder below it, and its path.

    Raises:
        UserError: the folder holds two data sets, or a broken one.
    """
    if not root.is_dir():
        return None
    children = (child for child in sorted(root.iterdir()) if child.is_dir())
    matches = _detect_in(root) or [hit for child in children for hit in _detect_in(child)]
    if len(matches) > 1:
        listing = ", ".join(f"{layout.title} in {folder}" for folder, layout in matches)
        raise UserError(
            f"{root} holds more than one data set: {listing}.\n"
            "Type data.root= with the one you mean."
        )
    return matches[0] if matches else None


def _detect_in(folder: Path) -> list[tuple[Path, Layout]]:
    return [
        (folder, layout) for detect in list_detectors() if (layout := detect(folder)) is not None
    ]
