"""Patterns find what a user sees in his folders, or say what is there."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fcn_lab.data.files.patterns import Pattern
from fcn_lab.data.folder import Folder, pair_files
from fcn_lab.errors import UserError
from support import fakes


def touch(root: Path, *files: str) -> None:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()


def found(root: Path, pattern: str) -> dict[str, str]:
    """File from the root → what stands in place of the stars."""
    files = Pattern.parse(pattern, root).find_files()
    return {file.relative_to(root).as_posix(): name for file, name in files.items()}


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*/rgb/*.png", {"A/rgb/0.png": "A_0", "B/rgb/0.png": "B_0"}),
        ("**/*.png", {"A/rgb/0.png": "A_rgb_0", "B/rgb/0.png": "B_rgb_0", "top.png": "top"}),
        ("A/**/*.png", {"A/rgb/0.png": "rgb_0"}),
        ("A/**", {"A/rgb/0.png": "rgb_0.png"}),
        ("?/rgb/[0-9].png", {"A/rgb/0.png": "A_0", "B/rgb/0.png": "B_0"}),
        ("[!A]/rgb/*", {"B/rgb/0.png": "B_0.png"}),
        ("top.png", {"top.png": "top"}),
        (r"A\rgb\*.png", {"A/rgb/0.png": "0"}),
        ("t*p.png", {"top.png": "o"}),
        ("nothing/*.png", {}),
    ],
)
def test_stars_stand_for_parts_of_paths(
    pattern: str, names: dict[str, str], tmp_path: Path
) -> None:
    touch(tmp_path, "A/rgb/0.png", "B/rgb/0.png", "top.png", "top.txt", ".hidden.png")
    assert found(tmp_path, pattern) == names
    absolute = Pattern.parse(f"{tmp_path}/{pattern}", Path("/nowhere")).find_files()
    assert {file.relative_to(tmp_path).as_posix(): name for file, name in absolute.items()} == names


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("a[?]b.png", {"a?b.png": "?"}),
        ("a[*]b.png", {"a*b.png": "*"}),
        ("a[!?*]b.png", {"a^b.png": "^", "a-b.png": "-"}),
        ("a[!-a]b.png", {f"a{letter}b.png": letter for letter in "?*^"}),
        ("a[^-]b.png", {"a^b.png": "^", "a-b.png": "-"}),
        ("a?b.png", {f"a{letter}b.png": letter for letter in "?*^-"}),
    ],
)
def test_brackets_hold_letters_that_stand_for_themselves(
    pattern: str, names: dict[str, str], tmp_path: Path
) -> None:
    touch(tmp_path, *(f"a{letter}b.png" for letter in "?*^-"))
    assert found(tmp_path, pattern) == names


def test_brackets_that_hold_no_range_are_named(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    with pytest.raises(UserError, match=r"\[z-a\]\*\.png: bad character range z-a; expected"):
        found(tmp_path, "[z-a]*.png")


def test_no_pattern_at_all_is_the_root(tmp_path: Path) -> None:
    touch(tmp_path, "a.txt")
    with pytest.raises(
        UserError, match=rf"data\.images=: no such file; {tmp_path} holds 1 × \.txt"
    ):
        pair_files(tmp_path, [""], "*.txt")


def test_suffixes_fit_in_capitals_too(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.JPG", "c.Jpg", "d.jpeg")
    assert found(tmp_path, "*.jpg") == {"a.jpg": "a", "b.JPG": "b", "c.Jpg": "c"}
    touch(tmp_path, "a.JPG", "m/a.PNG", "m/b.png", "m/c.png")
    with pytest.raises(UserError, match=r"a\.(JPG|jpg) and .*a\.(jpg|JPG) would have one name"):
        pair_files(tmp_path, ["*.jpg"], "m/*.png")


def test_two_stars_follow_links_and_do_not_run_in_circles(tmp_path: Path) -> None:
    touch(tmp_path, "data/one/a.png", "elsewhere/two/b.png")
    (tmp_path / "data" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "one" / "back").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "loop").symlink_to(tmp_path / "data")
    names = found(tmp_path, "data/**/*.png")
    assert names == {"data/linked/two/b.png": "linked_two_b", "data/one/a.png": "one_a"}


def test_a_path_is_found_from_the_root_from_home_and_with_windows_separators(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    touch(tmp_path, "set/photos/a.png", "set/masks/a.png")
    for place in ("set", "~/set", f"{tmp_path}/set", "set/../set"):
        for separator in "/\\":
            folders = [f"{place}/{kind}".replace("/", separator) for kind in ("photos", "masks")]
            (pair,) = pair_files(tmp_path, folders[:1], folders[1])
            assert pair.image.samefile(tmp_path / "set/photos/a.png")


def test_stars_that_are_filled_in_two_ways_make_no_pair(tmp_path: Path) -> None:
    touch(tmp_path, "A_1/rgb/2.png", "A/ids/1_2.png")
    with pytest.raises(UserError, match=r"A_1/rgb/2\.png has no mask: .*has A and 1_2 in place"):
        pair_files(tmp_path, ["*/rgb/*.png"], "*/ids/*.png")


def test_a_folder_whose_name_has_brackets_is_a_folder(tmp_path: Path) -> None:
    touch(tmp_path, "data [v2]/a.png", "data v/b.png")
    assert found(tmp_path, "data [v2]/*.png") == {"data [v2]/a.png": "a"}


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("photos/*.png", r"photos holds 3 × \.heic, 1 × no suffix, 1 × folder"),
        ("photos", r"photos holds 3 × \.heic"),
        ("empty/*.png", "empty holds nothing"),
        ("nowhere/*.png", "there is no folder .*nowhere"),
        ("*/deep/*.png", "holds 2 × folder"),
    ],
)
def test_where_nothing_fits_the_message_says_what_is_there(
    pattern: str, says: str, tmp_path: Path
) -> None:
    touch(tmp_path, *[f"photos/{n}.heic" for n in "abc"], "photos/README", "photos/in/x.txt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=says):
        pair_files(tmp_path, [pattern], "masks")


@pytest.mark.parametrize("suffix", [".tif", ".TIFF", ".bmp", ".webp", ".ppm"])
def test_a_folder_of_other_pictures_is_a_folder_of_pictures(suffix: str, tmp_path: Path) -> None:
    for name in "abcd":
        fakes.save(tmp_path / "masks" / f"{name}.png", fakes.ids(name, 2))
        (tmp_path / "photos").mkdir(exist_ok=True)
        picture = Image.fromarray(fakes.picture(name))
        picture.save(tmp_path / "photos" / f"{name}{suffix}", lossless=True)
    found = Folder(str(tmp_path), "photos", "masks", ["x", "y"])
    assert np.array_equal(found.frames("train").images[0], fakes.picture("a"))
