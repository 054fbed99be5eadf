"""Finds which version of the sources is running: from git, or from the record of a frozen copy."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

# the folder of the package that is running
PACKAGE = Path(__file__).resolve().parents[1]
# the file beside a frozen copy of the package
SOURCE = "source.json"
# set by git's hooks, and by shells they start, for a repository that may be another one
_FOREIGN_GIT_VARIABLES = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")


@dataclass(frozen=True)
class Source:
    """A state of the source tree.

    Args:
        commit: git's commit; None where there is no repository.
        dirty: whether the tree held anything that was not committed.
        diff: what was changed since the commit.
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
        return cls(
            commit,
            bool(run_git(package, "status", "--porcelain")),
            run_git(package, "diff", "HEAD"),
        )


def run_git(folder: Path, *command: str) -> str:
    """Returns git's answer about the tree; empty where that is no repository, or git fails."""
    environment = {
        key: value for key, value in os.environ.items() if key not in _FOREIGN_GIT_VARIABLES
    }
    try:
        result = subprocess.run(
            ["git", *command],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError:
        return ""
    return result.stdout if result.returncode == 0 else ""
