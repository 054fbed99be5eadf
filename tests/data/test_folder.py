"""A folder of one's own is a data set like any other."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fcn_lab.audit.audit import Audit
from fcn_lab.audit.findings import collect_findings
from fcn_lab.data.folder import SHARES, Folder
from fcn_lab.data.layouts.layout import Pair
from fcn_lab.data.splitting import split_by_shares
from fcn_lab.errors import UserError
from fcn_lab.pixels import VOID
from fcn_lab.report.blocks import cut_blocks
from fcn_lab.text import terminal
from support import fakes

NAMES = ["road", "car", "void", "person"]
COLOURS = {"road": [128, 64, 128], "car": [0, 0, 142], "void": [0, 0, 0], "person": [220, 20, 60]}
FRAMES = [f"{field}_{number:02d}" for field in "abcdef" for number in range(5)]


def mask(name: str) -> NDArray[np.uint8]:
    return fakes.ids(name, len(NAMES))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Pictures, masks of ids and of colours, and a table of fields."""
    palette = np.array(list(COLOURS.values()), np.uint8)
    folder = tmp_path / "farm"
    for name in FRAMES:
        fakes.save(folder / "photos" / f"{name}.jpg", fakes.picture(name))
        fakes.save(folder / "masks" / f"{name}_label.png", mask(name))
        fakes.save(folder / "coloured" / f"{name}.png", palette[mask(name)])
    with (folder / "fields.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "field", "day"])
        rows.writerows([f"{name}.jpg", f"field {name[0]}", "monday"] for name in FRAMES)
    return folder


def source(root: Path, **changes: Any) -> Folder:  # noqa: ANN401
    given: Mapping[str, Any] = {
        "root": str(root), "images": "photos/*.jpg", "masks": "masks/*_label.png", "names": NAMES
    }  # fmt: skip
    return Folder(**{**given, **changes})


def test_ids_and_colours_give_the_same_labels_without_void(root: Path) -> None:
    ids = source(root)
    colours = source(root, masks="coloured", names=COLOURS)
    assert ids.classes == colours.classes == ("road", "car", "person")
    assert colours.palette == tuple(map(tuple, (COLOURS[name] for name in colours.classes)))
    for split in ids.splits:
        frames = ids.frames(split)
        assert np.array_equal(frames.labels, colours.frames(split).labels)
        for name, label in zip(frames.names, frames.labels, strict=True):
            expected = np.array([0, 1, VOID, 2], np.uint8)[mask(name)]
            assert np.array_equal(label, expected)


def test_shares_cut_the_frames_in_order_and_lose_none(root: Path) -> None:
    found = source(root)
    names = [name for split in found.splits for name in found.frames(split).names]
    assert names == sorted(FRAMES)
    counts = [len(found.frames(split)) for split in found.splits]
    assert counts == pytest.approx([0.7 * 30, 0.15 * 30, 0.15 * 30], abs=1)


def test_no_block_is_divided_and_frames_carry_theirs(root: Path) -> None:
    found = source(root, blocks="fields.csv:field", splits={"train": 0.5, "val": 0.2, "test": 0.3})
    blocks = {split: set(found.frames(split).drives) for split in found.splits}
    assert sum(map(len, blocks.values())) == len(set.union(*blocks.values())) == 6
    assert found.frames("val").drives == tuple(f"field {n[0]}" for n in found.frames("val").names)
    assert len(blocks["train"]) > len(blocks["test"]) >= len(blocks["val"]) == 1


@pytest.mark.parametrize("sizes", [(2, 2, 2), (9, 1, 1), (1, 1, 9), (3, 2, 2, 2), (5, 5)])
def test_as_many_blocks_as_splits_are_enough(sizes: tuple[int, ...]) -> None:
    pairs = [
        Pair(f"{block}_{number}", Path(), Path())
        for block, size in enumerate(sizes)
        for number in range(size)
    ]
    shares = {"test": 0.15, "train": 0.7, "val": 0.15} if len(sizes) > 2 else BOTH
    parts = split_by_shares(pairs, shares, lambda name: name[0])
    assert list(parts) == [split for split in ("train", "val", "test") if split in shares]
    blocks = {split: {pair.name[0] for pair in part} for split, part in parts.items()}
    assert sum(map(len, blocks.values())) == len(set.union(*blocks.values())) == len(sizes)
    assert all(parts.values())
    assert len(parts["train"]) == max(map(len, parts.values()))


BOTH = {"train": 0.8, "val": 0.2}


@pytest.mark.parametrize("shares", [dict(SHARES), BOTH, {"train": 0.99, "test": 0.01}])
def test_as_many_frames_as_splits_are_enough(shares: dict[str, float]) -> None:
    for count in range(1, 40):
        pairs = [Pair(f"{number:02d}", Path(), Path()) for number in range(count)]
        if count < len(shares):
            with pytest.raises(UserError, match=f"no more than {count} frame"):
                split_by_shares(pairs, shares, lambda name: "")
            continue
        parts = split_by_shares(pairs, shares, lambda name: "")
        assert [pair for part in parts.values() for pair in part] == pairs
        assert all(parts.values())
        for split, part in parts.items():
            assert abs(len(part) - shares[split] * count) < 2


def test_a_block_can_be_held_out(root: Path) -> None:
    found = source(root, blocks="fields.csv:field", split_by="drive", held_out="field c")
    assert found.frames("test").names == tuple(f"c_{number:02d}" for number in range(5))
    assert len(found.frames("train")) == 20


def test_pictures_that_stand_alone_are_each_their_own_drive(root: Path) -> None:
    found = source(root, blocks="single")
    for split in found.splits:
        frames = found.frames(split)
        assert frames.drives == frames.names
        assert cut_blocks(frames.drives, frames.names).has_single_frames
    # in an audit drives are what they are where they are not known: names without their number
    audit = Audit.measure(found)
    assert {span.drive for span in audit.drive_spans} == {f"{c}_" for c in "abcdef"}
    assert not [finding for finding in collect_findings(audit) if "is a drive" in finding.title]
    with pytest.raises(UserError, match=r"the drive of a_00 is not known\.\nExpected CamVid's"):
        source(root, blocks="single", split_by="drive", held_out="c_00")


def test_lists_name_frames_with_or_without_folder_and_suffix(root: Path) -> None:
    lists = {"train": "a_00\nb_01\n", "val": "photos/c_02.jpg\n", "test": "/else/d_03.png\n"}
    lists["test"] = "d_03.jpg\n"
    for split, text in lists.items():
        (root / f"{split}.txt").write_text(text)
    found = source(root, splits={split: f"{split}.txt" for split in lists})
    names = {split: found.frames(split).names for split in found.splits}
    assert names == {"train": ("a_00", "b_01"), "val": ("c_02",), "test": ("d_03",)}


def test_folders_choose_however_they_are_written_and_say_what_lacks_a_mask(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (root / "masks" / "a_00_label.png").unlink()
    for place in ("photos", "../farm/photos", str(root / "photos")):
        assert len(source(root, splits={"train": place}).frames("train")) == len(FRAMES) - 1
    assert "photos/a_00.jpg has no mask (1 such): left out" in caplog.text


def test_lists_name_frames_by_any_link(root: Path) -> None:
    link = root.parent / "link"
    link.symlink_to(root)
    for listed, used in ((root, link), (link, root)):
        (root / "list.txt").write_text(f"{listed}/photos/a_00.jpg")
        found = source(used, splits={"train": "list.txt"})
        assert found.frames("train").names == ("a_00",)


def test_other_splits_are_another_protocol_and_no_change_of_the_data(root: Path) -> None:
    first = source(root)
    first.frames("train")
    second = source(root, splits={"train": 0.5, "val": 0.25, "test": 0.25})
    second.frames("train")
    assert first.protocol != second.protocol
    assert first.protocol == source(root).protocol
    assert "farm3-24x32-void_ignored" in first.protocol


def test_stars_pair_files_of_nested_folders(tmp_path: Path) -> None:
    for drive in ("x", "y"):
        for name in ("1", "2"):
            fakes.save(tmp_path / drive / "rgb" / f"{name}.png", fakes.picture(drive + name))
            fakes.save(tmp_path / drive / "gt" / f"{name}.png", mask(drive + name))
    found = source(
        tmp_path, images="*/rgb/*.png", masks="*/gt/*.png", splits={"train": 0.5, "test": 0.5}
    )
    assert found.frames("train").names == ("x_1", "x_2")
    assert np.array_equal(
        found.frames("test").labels[1], np.array([0, 1, VOID, 2], np.uint8)[mask("y2")]
    )


def test_an_own_folder_is_audited(root: Path) -> None:
    label = mask("a_00")
    label[0, 0] = 9
    fakes.save(root / "masks" / "a_00_label.png", label)
    audit = Audit.measure(source(root, blocks="fields.csv:field"))
    assert audit.data.splits["train"].strange_values == {"id 9": 1}
    assert {span.drive for span in audit.drive_spans} == {f"field {c}" for c in "abcdef"}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"images": None}, r"data\.images=None .*two patterns"),
        ({"images": "fotos/*.jpg"}, r"data\.images=fotos/\*\.jpg: no such file"),
        ({"masks": "masks/a_*_label.png"}, "has no mask"),
        ({"images": "photos/a_*.jpg"}, "has no"),
        ({"names": {"road": [1, 2, 300]}}, r"data\.names\.road=.*expected \[red, green, blue\]"),
        ({"splits": {"train": 0.7, "val": 0.7}}, "sum to 1"),
        ({"splits": {"train": 0.7, "tset": 0.3}}, "shares of train, val and test"),
        ({"splits": {"train": 0.9, "test": "test.txt"}}, "for all"),
        ({"splits": {}}, r"data\.splits={}: expected shares"),
        ({"splits": {"training": "nowhere.txt"}}, r"data\.splits\.training: expected the splits"),
        ({"splits": {"train": "nowhere.txt"}}, r"nowhere\.txt cannot be read"),
        ({"blocks": "fields.csv:colour"}, "has field, day"),
        ({"blocks": "fields.csv:day"}, r"no more than 1 block\."),
        ({"blocks": "nowhere.csv:day"}, "cannot be read"),
        ({"blocks": "fields.csv"}, r"expected FILE\.csv:COLUMN"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    root: Path, changes: Mapping[str, object], says: str
) -> None:
    with pytest.raises(UserError, match=f"(?s){says}"):
        source(root, **changes)


def test_a_frame_in_two_lists_is_refused(root: Path) -> None:
    for split in ("train", "val"):
        (root / f"{split}.txt").write_text("a_00\n")
    with pytest.raises(UserError, match=r"a_00, which train has already"):
        source(root, splits={"train": "train.txt", "val": "val.txt"})


def test_a_frame_without_block_is_refused(root: Path) -> None:
    (root / "fields.csv").write_text("file,field\na_00,one\n")
    with pytest.raises(UserError, match=r"gives a_01 no field \(29 such\)"):
        source(root, blocks="fields.csv:field")


def test_a_frame_with_two_blocks_is_refused(root: Path) -> None:
    with (root / "fields.csv").open("a") as file:
        file.write("photos/c_03.jpg,field c,tuesday\n")
    with pytest.raises(UserError, match=r"line 32: c_03 has a line already"):
        source(root, blocks="fields.csv:field")


def test_a_root_that_is_not_there_is_named(root: Path) -> None:
    with pytest.raises(UserError, match=r"there is no folder .*nowhere"):
        source(root / "nowhere")


def test_other_masks_in_the_same_folder_are_another_set(tmp_path: Path) -> None:
    for name in "abcdef":
        fakes.save(tmp_path / "photos" / f"{name}.png", fakes.picture(name))
        for number, kind in enumerate(("fine", "coarse")):
            fakes.save(
                tmp_path / "masks" / f"{name}_{kind}.png", np.full(fakes.SIZE, number, np.uint8)
            )
    for number, kind in ((0, "fine"), (1, "coarse"), (0, "fine")):
        found = Folder(str(tmp_path), "photos", f"masks/*_{kind}.png", ["x", "y"])
        assert (found.frames("train").labels[0] == number).all()
    fakes.save(tmp_path / "masks" / "a_fine.png", np.ones(fakes.SIZE, np.uint8))
    with pytest.raises(UserError, match=r"a_fine\.png has changed since"):
        Folder(str(tmp_path), "photos", "masks/*_fine.png", ["x", "y"]).frames("train")


def test_what_may_take_long_shows_that_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    titles: list[str] = []
    report = terminal.ProgressReport.__init__

    def note(self: terminal.ProgressReport, total: int, title: str) -> None:
        titles.append(title)
        report(self, total, title)

    monkeypatch.setattr(terminal.ProgressReport, "__init__", note)
    for name in "abcdef":
        fakes.save(tmp_path / "photos" / f"{name}.png", fakes.picture(name))
        fakes.save(tmp_path / "masks" / f"{name}.png", fakes.ids(name, 2))
    Folder(str(tmp_path), "photos", "masks", ["x", "y"]).frames("val")
    assert titles == [
        "reading sizes",
        "looking for 255 in masks",
        "comparing files",
        "packing val",
        "checking packed frames",
    ]
