"""Which version of the sources is running: git's answer, or what a frozen copy remembers of it."""

import json
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

SOURCE = "source.json"  # beside a frozen copy of the package


@dataclass(frozen=True)
class Source:
    """A state of the source tree.

    Args:
        commit: of git; None where there is no repository.
        dirty: whether the tree held anything that was not committed.
        diff: what was changed since the commit.
    """

    commit: str | None
    dirty: bool
    diff: str

    @classmethod
    def of(cls, package: Path) -> "Source":
        """Of the package in that folder."""
        remembered = package.parent / SOURCE
        if remembered.is_file():
            return cls(**json.loads(remembered.read_text()))
        commit = git(package, "rev-parse", "HEAD").strip() or None
        return cls(
            commit, bool(git(package, "status", "--porcelain")), git(package, "diff", "HEAD")
        )

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def git(folder: Path, *command: str) -> str:
    """Git's answer about the tree, empty where that is no repository or git is absent."""
    try:
        done = subprocess.run(
            ["git", *command],
            cwd=folder,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except FileNotFoundError:
        return ""
    return done.stdout if done.returncode == 0 else ""
