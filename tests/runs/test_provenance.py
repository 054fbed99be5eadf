"""The recorded commit is that of the sources, or none."""

import os
import subprocess
from pathlib import Path

import pytest

from fcn_lab.runs.provenance import Source, run_git


def repository(folder: Path) -> Path:
    """One commit with a package in it."""
    package = folder / "package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    for words in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=n", "-c", "user.email=e", "commit", "-qm", "first"],
    ):
        subprocess.run(["git", *words], cwd=folder, check=True)
    return package


def test_a_commit_is_that_of_the_repository_which_holds_the_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, other = repository(tmp_path / "ours"), repository(tmp_path / "other")
    expected = run_git(ours, "rev-parse", "HEAD").strip()
    assert len(expected) == 40
    (other / "more.py").write_text("")
    for name, value in {"GIT_DIR": other.parent / ".git", "GIT_WORK_TREE": other.parent}.items():
        monkeypatch.setenv(name, str(value))
    assert Source.find(ours) == Source(expected, False, "")
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert Source.find(ours).commit == expected


@pytest.mark.parametrize("color", ["auto", "always"])
def test_the_difference_makes_the_commit_what_was_run(
    color: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = repository(tmp_path / "ours")
    (package / "data.bin").write_bytes(b"\0\1")
    (package / "new [a] \u00fc.py").write_text("depth = 2\n")
    (package / "__init__.py").write_text("depth = 1\n")
    # of another system, and of other bytes than UTF-8
    (package / "windows.py").write_bytes(b"depth = 1\r\nname = '\xe9'\r\n")
    (package / "too_large.py").write_bytes(b"#" * (2**20 + 1))
    (package / "ignored.py").write_text("")
    (package / ".gitignore").write_text("ignored.py\n")
    for name, value in {"COUNT": "1", "KEY_0": "color.ui", "VALUE_0": color}.items():
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)
    staged = run_git(package, "ls-files", "-s")
    source = Source.find(package)
    assert source.dirty
    assert run_git(package, "ls-files", "-s") == staged
    again = tmp_path / "again"
    subprocess.run(["git", "clone", "-q", tmp_path / "ours", again], check=True)
    subprocess.run(["git", "apply", "-"], input=os.fsencode(source.diff), cwd=again, check=True)
    kept = {path.name: path.read_bytes() for path in (again / "package").iterdir()}
    assert kept == {
        path.name: path.read_bytes()
        for path in package.iterdir()
        if path.name not in ("too_large.py", "ignored.py")
    }


def test_a_package_installed_inside_another_repository_has_no_commit(tmp_path: Path) -> None:
    installed = repository(tmp_path).parent / "site-packages" / "fcn_lab"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("")
    assert Source.find(installed) == Source(None, False, "")


@pytest.mark.parametrize("path", ["", "/nowhere", "FOLDER"])
def test_a_git_that_cannot_be_run_is_none(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = repository(tmp_path / "ours")
    (tmp_path / "git").write_text("no program")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", path.replace("FOLDER", str(tmp_path)))
    assert Source.find(package) == Source(None, False, "")
