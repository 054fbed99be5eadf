"""Recognises which data set lies in a folder."""

from contextlib import suppress
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
        UserError: the folder holds two data sets, or a broken one, or cannot be read.
    """
    try:
        if not root.is_dir():
            return None
        matches = _detect_in(root) or _detect_below(root)
    except OSError as error:
        raise UserError(
            f"{error.filename or root} cannot be read ({error.strerror or error}).\n"
            "Expected a folder that this user may read"
        ) from error
    if len(matches) > 1:
        listing = ", ".join(f"{layout.title} in {folder}" for folder, layout in matches)
        raise UserError(
            f"{root} holds more than one data set: {listing}.\n"
            "Type data.root= with the one you mean."
        )
    return matches[0] if matches else None


def _detect_below(root: Path) -> list[tuple[Path, Layout]]:
    matches = []
    for child in sorted(root.iterdir()):
        # for example a disk's own lost+found, which is no data
        with suppress(PermissionError):
            if child.is_dir():
                matches += _detect_in(child)
    return matches


def _detect_in(folder: Path) -> list[tuple[Path, Layout]]:
    return [
        (folder, layout) for detect in list_detectors() if (layout := detect(folder)) is not None
    ]
