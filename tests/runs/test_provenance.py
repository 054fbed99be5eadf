"""The recorded commit is that of the sources, or none."""

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
