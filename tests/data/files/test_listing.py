"""A line of a list means one frame or is refused, whatever editor wrote the file."""

import os
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from fcn_lab.data.camvid import CamVid
from fcn_lab.data.files.listing import FrameIndex
from fcn_lab.data.files.text_files import read_lines, read_table
from fcn_lab.data.folder import Folder
from fcn_lab.data.layouts.layout import Pair
from fcn_lab.errors import UserError
from support import fakes

ODD = "é à #1 (copy), it's [v2]"
FILES = ("A/rgb/000.png", "A/rgb/001.png", "B/rgb/000.png", f"B/rgb/{ODD}.JPG")


def frames(root: Path, files: Sequence[str] = FILES) -> list[Pair]:
    """Pairs whose masks lie under gt/ and are called as their pictures are, but all PNG."""
    return [
        Pair(
            file.replace("/rgb/", "_").rpartition(".")[0],
            root / file,
            (root / file.replace("rgb", "gt")).with_suffix(".png"),
        )
        for file in files
    ]


def listed(root: Path, lines: Sequence[str], file: str = "list.txt") -> list[str]:
    """The pictures that a list names, from the root."""
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_text("\n".join(lines), encoding="utf-8")
    found = FrameIndex(frames(root), root).read_list(root / file)
    return [pair.image.relative_to(root).as_posix() for pair in found]


@pytest.mark.parametrize(
    "line",
    [
        "A/rgb/001.png",
        "./A/rgb/001.png",
        "A/x/../rgb/001.png",
        r"A\rgb\001.png",
        '"A/rgb/001.png"',
        "001.png",
        "001",
        "rgb/001",
        "A_001",
        "A/gt/001.png",
        "A/rgb/001.png A/gt/001.png",
        "A/rgb/001.png\tA/gt/001.png",
        "A/rgb/001.png, A/gt/001.png",
    ],
)
def test_a_frame_is_named_by_path_by_name_or_beside_its_mask(line: str, tmp_path: Path) -> None:
    assert listed(tmp_path, [line]) == ["A/rgb/001.png"]


def test_paths_start_from_the_list_from_the_root_or_from_everywhere(tmp_path: Path) -> None:
    assert listed(tmp_path, ["../rgb/000.png"], "A/lists/val.txt") == ["A/rgb/000.png"]
    assert listed(tmp_path, ["A/rgb/000.png"], "lists/val.txt") == ["A/rgb/000.png"]
    assert listed(tmp_path, [f"{tmp_path}/A/rgb/000.png"], "val.txt") == ["A/rgb/000.png"]


def test_names_may_hold_spaces_commas_brackets_quotes_and_accents(tmp_path: Path) -> None:
    for name in (ODD, unicodedata.normalize("NFD", ODD)):
        for line in (f"{name}.JPG", name, f"B/rgb/{name}.JPG", f"B/rgb/{name}.JPG B/gt/{name}.png"):
            assert listed(tmp_path, [line]) == [f"B/rgb/{ODD}.JPG"]


def test_a_list_of_all_frames_is_all_frames_though_they_share_names(tmp_path: Path) -> None:
    assert listed(tmp_path, FILES) == list(FILES)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["000.png"], r"line 1: 000\.png may be A/rgb/000\.png or B/rgb/000\.png"),
        (["rgb/000"], r"may be A/rgb/000\.png or B/rgb/000\.png"),
        (["C/rgb/001.png"], r"names C/rgb/001\.png, .* no such picture. There is A/rgb/001\.png"),
        (["/else/001.png"], r"names /else/001\.png"),
        (["001.png 1"], r"names 001\.png 1"),
        (["A/rgb/001.png B/gt/000.png"], r"may be A/rgb/001\.png or B/rgb/000\.png"),
        (["# all", "001", "", "A/rgb/001.png"], r"line 4: .* is the frame of line 2 already"),
        (["# none", ""], "names no frame"),
        ([], "names no frame"),
    ],
)
def test_what_is_no_frame_or_could_be_two_is_refused(
    lines: list[str], says: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=says):
        listed(tmp_path, lines)


def test_a_path_from_the_list_and_from_the_root_must_be_one_frame(tmp_path: Path) -> None:
    pairs = frames(tmp_path, ["rgb/1.png", "A/rgb/1.png"])
    (tmp_path / "A").mkdir()
    (tmp_path / "A" / "list.txt").write_text("rgb/1.png")
    with pytest.raises(UserError, match=r"may be rgb/1\.png or A/rgb/1\.png"):
        FrameIndex(pairs, tmp_path).read_list(tmp_path / "A" / "list.txt")


def test_a_frame_that_looks_like_a_comment_is_not_lost(tmp_path: Path) -> None:
    pairs = frames(tmp_path, ["rgb/#1.png", "rgb/2.png"])
    (tmp_path / "list.txt").write_text("#1.png\n2.png\n")
    with pytest.raises(UserError, match=r"#1\.png is a frame.*\n.*\./#1\.png"):
        FrameIndex(pairs, tmp_path).read_list(tmp_path / "list.txt")
    (tmp_path / "list.txt").write_text("./#1.png\n2.png\n")
    assert len(FrameIndex(pairs, tmp_path).read_list(tmp_path / "list.txt")) == 2


def test_a_list_of_one_drive_never_trains_on_another(tmp_path: Path) -> None:
    for drive in "AB":
        for number in range(8):
            name = f"{number:03d}.png"
            fakes.save(tmp_path / drive / "rgb" / name, fakes.picture(drive + name))
            fakes.save(tmp_path / drive / "gt" / name, fakes.ids(drive + name, 2))
    lines = [f"{drive}/rgb/{number:03d}.png" for drive in "AB" for number in range(8)]
    (tmp_path / "train.txt").write_text("\n".join(lines))
    given = {"images": "*/rgb/*.png", "masks": "*/gt/*.png", "names": ["road", "car"]}
    source = Folder(str(tmp_path), **given, splits={"train": "train.txt"})
    assert len(source.frames("train")) == 16
    for name, image in zip(
        source.frames("train").names, source.frames("train").images, strict=True
    ):
        drive, _, number = name.partition("_")
        assert np.array_equal(image, fakes.picture(f"{drive}{number}.png"))
    (tmp_path / "train.txt").write_text("\n".join(f"{n:03d}.png" for n in range(8)))
    with pytest.raises(UserError, match=r"may be A/rgb/000\.png or B/rgb/000\.png"):
        Folder(str(tmp_path), **given, splits={"train": "train.txt"})


Dress = Callable[[str], bytes]
EDITORS: dict[str, Dress] = {
    "plain": lambda text: text.encode(),
    "utf-8 mark": lambda text: text.encode("utf-8-sig"),
    "utf-16": lambda text: text.encode("utf-16"),
    "utf-16 big": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "utf-32": lambda text: text.encode("utf-32"),
    "windows": lambda text: text.replace("\n", "\r\n").encode("utf-8-sig") + b"\r\n\x1a",
    "old mac": lambda text: text.replace("\n", "\r").encode(),
    "comments and gaps": lambda text: b"\n# made by hand\n\n" + text.encode() + b"\n  \n#end\n",
    "invisible": lambda text: text.replace("\n", "\u200b \n\ufeff").encode(),
}
SETS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "SegNet's list": (fakes.segnet, "val.txt"),
    "fast.ai's list": (fakes.fastai, "valid.txt"),
    "fast.ai's classes": (fakes.fastai, "codes.txt"),
    "Kaggle's classes": (fakes.kaggle, "class_dict.csv"),
    "Cambridge's classes": (fakes.cambridge, "label_colors.txt"),
}


def facts(source: CamVid | Folder) -> list[object]:
    pairs = {split: [pair.name for pair in part] for split, part in source._layout.pairs.items()}
    return [pairs, source.classes, source.palette, source.protocol]


@pytest.mark.parametrize("editor", EDITORS)
@pytest.mark.parametrize("kind", SETS)
def test_every_file_of_every_layout_may_come_from_any_editor(
    kind: str, editor: str, tmp_path: Path
) -> None:
    build, name = SETS[kind]
    file = build(tmp_path / "set") / name
    before = facts(CamVid(str(tmp_path / "set")))
    file.write_bytes(EDITORS[editor](file.read_text()))
    assert facts(CamVid(str(tmp_path / "set"))) == before


@pytest.mark.parametrize("editor", EDITORS)
def test_lists_and_tables_of_ones_own_may_come_from_any_editor(editor: str, tmp_path: Path) -> None:
    for name in ("a 1", "é", "c"):
        fakes.save(tmp_path / "photos" / f"{name}.png", fakes.picture(name))
        fakes.save(tmp_path / "masks" / f"{name}.png", fakes.ids(name, 2))
    table = "frame,drive\nphotos/a 1.png,one\né,two\nc,one\n"
    for file, text in {"t.txt": "a 1.png\né\n", "v.txt": "photos\\c.png\n", "b.csv": table}.items():
        (tmp_path / file).write_bytes(EDITORS[editor](text))
    source = Folder(
        str(tmp_path), "photos", "masks", ["x", "y"], {"train": "t.txt", "val": "v.txt"},
        blocks="b.csv:drive",
    )  # fmt: skip
    assert facts(source)[0] == {"train": ["a 1", "é"], "val": ["c"]}
    assert source.frames("train").drives == ("one", "two")


def test_tables_are_parted_by_what_their_first_line_holds_most_of(tmp_path: Path) -> None:
    for delimiter in ",;\t":
        rows = [["name", "day, or night"], ["a", "x"], ["b", ""]]
        quoted = [[f'"{cell}"' for cell in row] for row in rows]
        text = "\n".join(delimiter.join(row) for row in quoted)
        (tmp_path / "t.csv").write_text(text.replace('"day, or night"', '"day"'))
        columns, found = read_table(tmp_path / "t.csv")
        assert columns == ("name", "day")
        assert [row for _, row in found] == [{"name": "a", "day": "x"}, {"name": "b", "day": ""}]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"name,drive\na, b.png,one\n", r"line 2: 3 cells under 2 columns .*\n.*quotes"),
        (b"name,drive,drive\na,one,two\n", "the column drive twice"),
        (b"caf\xe9\n", r"line 1: is not UTF-8.*\nSave it as UTF-8"),
        ("name".encode("utf-16-le"), r"zero bytes.*\nSave it as UTF-8"),
    ],
)
def test_a_table_that_could_be_read_in_two_ways_is_refused(
    text: bytes, says: str, tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_bytes(text)
    with pytest.raises(UserError, match=says):
        read_table(tmp_path / "t.csv")


def test_a_list_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    os.mkfifo(pipe := tmp_path / "pipe")
    for file in (tmp_path, tmp_path / "nowhere.txt", pipe, Path("/dev/zero")):
        with pytest.raises(UserError, match=r"cannot be read \(.*expected a text file"):
            read_lines(file)


SPELLINGS: dict[str, Callable[[Pair, Path, Path], str]] = {
    "from the root": lambda pair, root, folder: os.path.relpath(pair.image, root),
    "from the list": lambda pair, root, folder: os.path.relpath(pair.image, folder),
    "absolute": lambda pair, root, folder: str(pair.image),
    "dotted": lambda pair, root, folder: f"./{os.path.relpath(pair.image, root)}",
    "windows": lambda pair, root, folder: os.path.relpath(pair.image, root).replace("/", "\\"),
    "beside its mask": lambda pair, root, folder: (
        f"{os.path.relpath(pair.image, root)} {os.path.relpath(pair.label, root)}"
    ),
    "file": lambda pair, root, folder: pair.image.name,
    "stem": lambda pair, root, folder: pair.image.stem,
    "name": lambda pair, root, folder: pair.name,
    "mask": lambda pair, root, folder: os.path.relpath(pair.label, root),
    "elsewhere": lambda pair, root, folder: f"/elsewhere/{pair.image.name}",
    "other folder": lambda pair, root, folder: f"none/{pair.image.name}",
}
CERTAIN = {"from the root", "absolute", "dotted", "windows", "beside its mask", "mask"}
NEVER = {"elsewhere", "other folder"}
PARTS = ("a", "b", "1", "01", "é", "x y", "c,d", "it's", "[v]", "(2)", "a.b", "Z", "#3", "_")


@pytest.mark.slow
@pytest.mark.long
def test_a_corpus_of_lists_is_read_right_or_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever is returned is the truth; sure spellings are never refused, wrong ones always."""
    rng = np.random.default_rng(10)
    counts = {"lists": 0, "lines": 0, "read": 0, "refused": 0}

    def pick(options: Sequence[str]) -> str:
        return options[int(rng.integers(len(options)))]

    for number in range(3000):
        root = tmp_path / f"{number % 7}"
        files = {
            "/".join([pick(PARTS) for _ in range(rng.integers(0, 3))] + ["rgb", pick(PARTS)])
            + pick((".png", ".JPG", ".tif"))
            for _ in range(rng.integers(2, 12))
        }
        pairs = frames(root, sorted(files))
        by_stem = {pair.label: pair for pair in pairs}
        pairs = [pair for pair in pairs if by_stem[pair.label] is pair]  # one picture a mask
        chosen = [pair for pair in pairs if rng.random() < 0.6] or pairs[:1]
        kinds = [pick(list(SPELLINGS)) for _ in chosen]
        if rng.random() < 0.5:
            kinds = [kind if kind in CERTAIN else "from the root" for kind in kinds]
        file = root / pick(("list.txt", "lists/list.txt"))
        file.parent.mkdir(parents=True, exist_ok=True)
        lines = [
            SPELLINGS[kind](pair, root, root) for kind, pair in zip(kinds, chosen, strict=True)
        ]
        lines = [f"./{line}" if line.startswith("#") else line for line in lines]
        file.write_bytes(EDITORS[pick(list(EDITORS))]("\n".join(lines) + "\n"))
        counts["lists"] += 1
        counts["lines"] += len(lines)
        try:
            found = FrameIndex(pairs, root).read_list(file)
        except UserError:
            assert not set(kinds) <= CERTAIN, lines
            counts["refused"] += 1
        else:
            assert found == tuple(chosen), lines
            assert not NEVER & set(kinds), lines
            counts["read"] += 1
    assert min(counts.values()) > 100
    with capsys.disabled():
        print(f"\nlists: {counts}")
