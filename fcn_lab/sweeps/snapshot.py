"""Freezes the sources of a sweep: its cells run a copy, whatever happens to the originals."""

import hashlib
import os
import shutil
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from importlib.machinery import PathFinder
from pathlib import Path

from fcn_lab.config.trust import find_targets
from fcn_lab.errors import UserError
from fcn_lab.files import publish_folder, write_json
from fcn_lab.runs.names import SWEEP_CODE
from fcn_lab.runs.provenance import PACKAGE, SOURCE, Source
from fcn_lab.runs.sweep import SweepFolder
from fcn_lab.text.terminal import shorten_list

# what is installed lies below one of these, be it the system's, the user's or an environment's
_LIBRARY_FOLDERS = {"site-packages", "dist-packages"}
# a compiled module while Python is still writing it
_HALF_COMPILED = "*.pyc.*"


def hash_sources() -> str:
    """Returns a hash of every source file's name and content, which stands for the sources."""
    return hashlib.sha256(repr(sorted(_hash_files(PACKAGE).items())).encode()).hexdigest()[:12]


def list_versions(sweep: Path) -> set[str]:
    """Returns the versions of the sources that a sweep has copies of."""
    return {folder.name for folder in (sweep / SWEEP_CODE).glob("*")}


def copy_sources(sweep: Path) -> str:
    """Copies the sources into SWEEP/code/VERSION, unless they are there; returns the version.

    Raises:
        UserError: the folder of that version holds other sources, or Python would not search it.
    """
    version = hash_sources()
    folder = sweep / SWEEP_CODE / version
    if os.pathsep in str(folder.absolute()):
        raise UserError(
            f"{sweep}: Python's search path cannot name a folder with {os.pathsep} in its path, so "
            "that cells would run other sources.\nType sweep.dir=FOLDER without it"
        )
    if os.path.lexists(folder):
        _require_own(folder)
    else:
        with publish_folder(folder) as draft:
            # compiled files come along and stay valid, since copies keep their sources' times
            ignore = shutil.ignore_patterns("conf", _HALF_COMPILED)
            shutil.copytree(PACKAGE, draft / PACKAGE.name, ignore=ignore)
            write_json(draft / SOURCE, asdict(Source.find(PACKAGE)))
    return version


def hash_own_code(nodes: Iterable[object]) -> dict[str, str]:
    """Returns a hash of each source file of modules of the user's own that these nodes name.

    Neither the lab nor what is installed beside it counts. Nothing is imported to find out.
    """
    targets = (target for node in nodes for target in find_targets(node))
    names = {target.partition(".")[0] for target in targets} - {PACKAGE.name}
    standard_library = Path(sysconfig.get_path("stdlib"))
    hashes: dict[str, str] = {}
    for name in sorted(names):
        spec = PathFinder.find_spec(name, [*sys.path, os.getcwd()])
        places: Iterable[str | None] = ()
        if spec is not None:
            places = spec.submodule_search_locations or [spec.origin]
        for place in (Path(place) for place in places if place):
            if place.is_relative_to(standard_library) or _LIBRARY_FOLDERS & {*place.parts}:
                continue
            files = place.rglob("*.py") if place.is_dir() else [place]
            hashes |= {str(f.relative_to(place.parent)): _hash_file(f) for f in files}
    return hashes


def require_unchanged(sweep: SweepFolder, own_code: Mapping[str, str]) -> None:
    """Compares the sources with those that a sweep was frozen with.

    Args:
        sweep: its record.
        own_code: hashes of the source files of the user's own, as they are now.

    Raises:
        UserError: they differ; the message names the files.
    """
    files = own_code.keys() & sweep.own_code
    names = [name for name in files if own_code[name] != sweep.own_code[name]]
    if sweep.code != hash_sources():
        copies = _hash_files(sweep.path / SWEEP_CODE / sweep.code / PACKAGE.name)
        names += {name for name, _ in copies.items() ^ _hash_files(PACKAGE).items()}
    elif not names:
        return
    raise UserError(
        f"the code changed since {sweep.path} was frozen: {shorten_list(sorted(names), 3)}.\n"
        "sweep.accept_changes=true runs the remaining cells with the code as it is now."
    )


def _require_own(folder: Path) -> None:
    """Refuses sources that are not the lab's, since a stranger's folder may hold any code.

    Raises:
        UserError: a file is not the lab's.
    """
    copy = folder / PACKAGE.name
    for path in [folder, *folder.rglob("*")]:
        original = PACKAGE / path.relative_to(copy) if path.is_relative_to(copy) else None
        if path.is_dir() and not path.is_symlink():
            continue
        if original is None and path == folder / SOURCE and not path.is_symlink():
            continue
        is_compiled = path.suffix == ".pyc" or path.match(_HALF_COMPILED)
        if is_compiled and not (original and _have_equal_content(path, original)):
            # Python compiles the module again
            path.unlink(missing_ok=True)
        elif original is None or path.is_symlink() or not _have_equal_content(path, original):
            raise UserError(
                f"{path} is none of the lab's files, and the cells would run it.\n"
                f"rm -r {folder} lets them have the lab's own again"
            )
    if _hash_files(copy) != _hash_files(PACKAGE):
        raise UserError(f"{folder} lacks files of the lab.\nrm -r {folder} lets it be copied again")


def _have_equal_content(first: Path, second: Path) -> bool:
    return first.is_file() and second.is_file() and first.read_bytes() == second.read_bytes()


def _hash_files(package: Path) -> dict[str, str]:
    """Returns a hash of each source file's content, by its name."""
    return {
        str(file.relative_to(package)): _hash_file(file)
        for file in package.rglob("*")
        if file.is_file() and not {"__pycache__", "conf"} & {*file.relative_to(package).parts}
    }


def _hash_file(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
