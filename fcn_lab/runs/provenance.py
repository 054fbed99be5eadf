"""Finds which version of the sources is running: from git, or from the record of a frozen copy."""

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# the folder of the package that is running
PACKAGE = Path(__file__).resolve().parents[1]
# the file beside a frozen copy of the package
SOURCE = "source.json"
# set by git's hooks, and by shells they start, for a repository that may be another one
_FOREIGN_GIT_VARIABLES = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")
# such that `git apply` takes the answer, whatever the user has configured
_DIFF = ("diff", "--no-color", "--no-ext-diff", "--no-textconv", "--binary", "HEAD")
# the most bytes of a new file whose content is kept
_LARGEST_NEW_FILE = 2**20


@dataclass(frozen=True)
class Source:
    """A state of the source tree.

    Args:
        commit: git's commit; None where there is no repository.
        dirty: whether the tree held anything that was not committed.
        diff: what was changed since the commit, new files that git does not ignore included.
    """

    commit: str | None
    dirty: bool
    diff: str

    @classmethod
    def find(cls, package: Path) -> "Source":
        """Returns the state of the package in that folder."""
        record = package.parent / SOURCE
        if record.is_file():
            return cls(**json.loads(record.read_text()))
        if not run_git(package, "ls-files", "__init__.py"):
            # the package is installed inside another repository, or in none
            return cls(None, False, "")
        commit = run_git(package, "rev-parse", "HEAD").strip() or None
        is_dirty = bool(run_git(package, "status", "--porcelain"))
        return cls(commit, is_dirty, _read_changes(package) if is_dirty else "")


def _read_changes(package: Path) -> str:
    """Returns the difference to the commit; the repository's own index stays as it is."""
    root = Path(run_git(package, "rev-parse", "--show-toplevel").removesuffix("\n"))
    names = run_git(root, "ls-files", "-z", "--others", "--exclude-standard").split("\0")
    new_files = [n for n in filter(None, names) if _is_small_file(root / n)]
    if not new_files:
        return run_git(root, *_DIFF)
    with tempfile.TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": str(Path(folder, "index")), "GIT_LITERAL_PATHSPECS": "1"}
        run_git(root, "read-tree", "HEAD", variables=index)
        run_git(root, "add", "--intent-to-add", "--", *new_files, variables=index)
        return run_git(root, *_DIFF, variables=index)


def _is_small_file(path: Path) -> bool:
    return path.is_file() and path.stat().st_size <= _LARGEST_NEW_FILE


def run_git(folder: Path, *command: str, variables: Mapping[str, str] | None = None) -> str:
    """Returns git's answer about the tree; empty where that is no repository, or git fails.

    `os.fsencode` makes of it the bytes that git wrote.

    Args:
        folder: a folder of the tree.
        command: what is asked.
        variables: environment variables, beside those that this process has.
    """
    environment = {
        key: value for key, value in os.environ.items() if key not in _FOREIGN_GIT_VARIABLES
    } | dict(variables or {})
    try:
        result = subprocess.run(
            ["git", *command],
            cwd=folder,
            env=environment,
            capture_output=True,
            check=False,
        )
    except OSError:
        return ""
    return os.fsdecode(result.stdout) if result.returncode == 0 else ""
