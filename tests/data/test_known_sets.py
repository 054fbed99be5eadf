"""Data sets of others, each a folder with a table of classes: found, read and audited."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from scipy.io import savemat

from fcn_lab.audit.audit import Audit
from fcn_lab.audit.finding import Level
from fcn_lab.audit.findings import collect_findings
from fcn_lab.data.folder import Folder
from fcn_lab.data.label_codecs import IndexLabels
from fcn_lab.errors import UserError
from fcn_lab.pixels import VOID
from support import fakes, mixed
from support.places import CONF

PHOTOGRAPHS = ("ade20k", "pascal_context", "pascal_context_mat", "siftflow")
SCENES = "spatial_envelope_256x256_static_8outdoorcategories"


def node(word: str, root: Path) -> dict[str, Any]:
    """The arguments that a word of conf/data gives to Folder, with another root."""
    found: dict[str, Any] = yaml.safe_load((CONF / "data" / f"{word}.yaml").read_text())
    assert found.pop("defaults") == ["folder"]
    return {**found, "root": str(root)}


def put(root: Path, number: int, picture: str, mask: str, ids: tuple[int, ...]) -> None:
    """Writes a frame of a size of its own; masks of MATLAB as their authors have them."""
    image, labels = mixed.draw(picture, mixed.SIZES[number % len(mixed.SIZES)], ids)
    fakes.save(root / picture, image)
    if not mask.endswith(".mat"):
        fakes.save(root / mask, labels)
        return
    (root / mask).parent.mkdir(parents=True, exist_ok=True)
    if mask.startswith("trainval"):  # 459 ids
        savemat(root / mask, {"LabelMap": np.array([0, 2, 458, 459], np.uint16)[labels]})
        return
    key = "S" if "Semantic" in mask else "segmentation"
    savemat(root / mask, {key: labels.astype(float), "names": np.array([["sky"]], object)})


def cityscapes(root: Path) -> dict[str, list[str]]:
    cities = {"train": ("aachen", "ulm"), "val": ("lindau",), "test": ("bonn",)}
    number = 0
    for split, names in cities.items():
        for city in names:
            for frame in range(14):
                stem = f"{split}/{city}/{city}_{frame:06d}_000019"
                mask = f"gtFine/{stem}_gtFine_labelIds.png"
                put(root, number, f"leftImg8bit/{stem}_leftImg8bit.png", mask, (7, 26, 3, 33))
                number += 1
    return {"train": ["aachen"] * 14 + ["ulm"] * 14, "val": ["lindau"] * 14}


def ade20k(root: Path) -> dict[str, list[str]]:
    for number, split in enumerate(["training"] * 6 + ["validation"] * 4):
        stem = f"{split}/ADE_{number:08d}"
        put(root, number, f"images/{stem}.jpg", f"annotations/{stem}.png", (1, 0, 150))
    return {"train": [""] * 6, "val": [""] * 4}


def listed(
    picture: str, mask: str, lists: Mapping[str, str], ids: tuple[int, ...]
) -> Callable[[Path], dict[str, list[str]]]:
    """A set of ten frames whose lists name four each; the last two have pictures alone."""

    def make(root: Path) -> dict[str, list[str]]:
        for number in range(10):
            put(root, number, picture.format(number), mask.format(number), ids)
        for number in (8, 9):
            (root / mask.format(number)).unlink()
        names = [Path(picture.format(number)).stem.removeprefix("img_") for number in range(8)]
        for place, (split, file) in enumerate(lists.items()):
            share = names[place * 2 : place * 2 + 2] if split != "train" else names[4:]
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            (root / file).write_text("\n".join(share) + "\n")
        return {split: [""] * (4 if split == "train" else 2) for split in lists}

    return make


CONTEXT = "ImageSets/SegmentationContext/"
SETS: dict[str, tuple[int, Callable[[Path], dict[str, list[str]]]]] = {
    "cityscapes": (19, cityscapes),
    "ade20k": (150, ade20k),
    "pascal_context": (
        59,
        listed(
            "JPEGImages/2008_{:06d}.jpg",
            "SegmentationClassContext/2008_{:06d}.png",
            {"val": f"{CONTEXT}val.txt", "train": f"{CONTEXT}train.txt"},
            (0, 1, 59),
        ),
    ),
    "pascal_context_mat": (
        59,
        listed(
            "JPEGImages/2008_{:06d}.jpg",
            "trainval/2008_{:06d}.mat",
            {"val": "ImageSets/Main/val.txt", "train": "ImageSets/Main/train.txt"},
            (0, 1, 2, 3),
        ),
    ),
    "nyud": (
        40,
        listed(
            "data/images/img_{}.png",
            "segmentation/img_{}.mat",
            {"val": "val.txt", "test": "test.txt", "train": "train.txt"},
            (0, 1, 40),
        ),
    ),
    "siftflow": (
        33,
        listed(
            f"Images/{SCENES}/coast_arnat{{}}.jpg",
            f"SemanticLabels/{SCENES}/coast_arnat{{}}.mat",
            {"val": "test.txt", "train": "trainval.txt"},
            (0, 1, 33),
        ),
    ),
}


@pytest.mark.parametrize("word", SETS)
def test_a_known_set_is_found_with_its_classes_splits_and_sizes(word: str, tmp_path: Path) -> None:
    classes, make = SETS[word]
    drives = make(tmp_path / word)
    data = Folder(**node(word, tmp_path / word))
    assert len(data.classes) == len(set(data.classes)) == classes
    assert data.protocol.startswith(f"{word}{classes}-own_size-")
    for split in data.splits:
        frames = data.frames(split)
        assert len(frames) == len(drives[split])
        # a photograph stands alone
        expected = sorted(frames.names) if word in PHOTOGRAPHS else drives[split]
        assert sorted(frames.drives) == expected
    assert set(data.splits) == set(drives)
    labels = np.concatenate([label.ravel() for label in data.frames("train").labels])
    # the first class and the last are drawn, and void
    assert set(np.unique(labels)) <= {0, classes - 1, VOID, 13}
    assert {0, classes - 1, VOID} <= set(np.unique(labels))
    assert not data.frames("train").has_one_size
    findings = collect_findings(Audit.measure(data))
    wrong = [f.title for f in findings if f.level is Level.WRONG and "never shows" not in f.title]
    assert not [title for title in wrong if "copying" not in title]


def test_a_folder_that_holds_no_picture_is_no_split(tmp_path: Path) -> None:
    ade20k(tmp_path)
    (tmp_path / "images" / "empty").mkdir()
    given = node("ade20k", tmp_path)
    with pytest.raises(UserError, match=r"empty holds no picture of data\.images"):
        Folder(**{**given, "splits": {"train": "images/empty", "val": "images/validation"}})


def test_a_star_that_the_pattern_lacks_names_no_blocks(tmp_path: Path) -> None:
    ade20k(tmp_path)
    with pytest.raises(UserError, match=r"data\.blocks=3: data\.images=.* has 2 stars\.\n"):
        Folder(**{**node("ade20k", tmp_path), "blocks": 3})


def test_the_59_classes_of_pascal_context_are_those_of_its_459_ids(tmp_path: Path) -> None:
    """A table of numbers alone would hide a class that is another one's neighbour."""
    names = node("pascal_context_mat", tmp_path)["names"]
    theirs = node("pascal_context", tmp_path)["names"]
    assert len(set(names.values())) == len(names)
    assert {*names, "void"} == set(theirs)
    # the release lists its ids by the alphabet
    assert sorted(names, key=names.get) == sorted(names)


def test_ids_of_no_class_are_void_where_the_others_are_ignored() -> None:
    picture = Image.fromarray(np.array([[0, 2, 458], [459, 65535, 40000]], np.int32))
    kept = IndexLabels(["a", "b"], [(0, 0, 0), (1, 1, 1)], ids=[2, 458], are_others_void=True)
    ids, strange = kept.decode(picture)
    assert ids.tolist() == [[VOID, 0, 1], [VOID, VOID, VOID]]
    assert not strange
    strict = IndexLabels(["a", "b"], [(0, 0, 0), (1, 1, 1)], ids=[2, 458])
    with pytest.raises(UserError, match=r"holds id 0, id 459, id 40000 \(3 pixels\)"):
        strict.decode(picture)
    below = Image.fromarray(np.array([[-2]], np.int32))
    with pytest.raises(UserError, match="id -2"):
        kept.decode(below)
