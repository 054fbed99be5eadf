"""Patterns find what Python's own glob finds, and more: linked folders, endings in capitals."""

import glob
import os
import random
from pathlib import Path

import pytest

from fcn_lab.data.finding import match, split_pattern, walk

PATTERNS = (
    *("*.png", "*/*.png", "**/*.png", "a/**/f*.png", "**", "**/a/*", "./*.png", "a/../*.png", "*"),
    *("*/../*.png", "c[[]1]/*.png", "?/*.jpg", ".h/*.png", "**/.f.png", "x y/*", "[ab]/**/*.jpg"),
    *("**/**/*.png", "nothing/*.png", "../here/*/*.png"),
)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def found(pattern: str) -> list[str]:
    return sorted(map(str, match(*split_pattern(pattern))))


def scatter() -> None:
    dice = random.Random(1)
    names = ("f1.png", "g.jpg", ".f.png", "png", "f.tar.png", "é.png", "h.Png.jpg")
    for _ in range(80):
        folders = [dice.choice(["a", "b", "A", ".h", "c[1]", "x y"]) for _ in range(3)]
        path = Path(*folders[: dice.randint(0, 3)], dice.choice(names))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_patterns_find_what_glob_finds() -> None:
    scatter()
    for pattern in (*PATTERNS, f"{os.getcwd()}/*/*.png"):
        there = {str(Path(path)) for path in glob.glob(pattern, recursive=True)}
        assert found(pattern) == sorted(filter(os.path.isfile, there)), pattern


def test_an_ending_is_found_in_capitals_and_a_name_is_not() -> None:
    for name in ("a.JPG", "b.jpg", "B.Jpg", "c.jpeg", "jpg"):
        Path(name).touch()
    assert found("*.jpg") == ["B.Jpg", "a.JPG", "b.jpg"]
    assert found("[ab].jpg") == ["a.JPG", "b.jpg"]


def test_linked_folders_are_entered_and_circles_are_not() -> None:
    Path("a/b").mkdir(parents=True)
    Path("a/b/f.png").touch()
    Path("a/b/up").symlink_to("../..", target_is_directory=True)
    Path("L").symlink_to("a", target_is_directory=True)
    Path("loop").symlink_to("loop")
    expected = ["L/b/f.png", "a/b/f.png"]
    assert found("**/*.png") == expected
    assert sorted(map(str, walk(Path()))) == expected
