import contextlib
import errno
import json
import logging
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from fcn_lab.data.camvid import CamVid
from fcn_lab.data.packs import pack
from fcn_lab.data.packs.decode import open_mask
from fcn_lab.data.packs.folder import FORMAT, open_pack
from fcn_lab.data.packs.sealed import seal, unseal
from fcn_lab.errors import UserError
from fcn_lab.pixels import VOID
from support import fakes

FIRST, SECOND = fakes.SPLITS["train"][:2]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return fakes.segnet(tmp_path / "set")


def packs(cache: str = ".cache/fcn_lab") -> list[Path]:
    return sorted(path for path in Path(cache).iterdir() if path.name != "sources")


def labels_of(root: Path, cache: str = ".cache/fcn_lab") -> list[list[list[int]]]:
    return CamVid(str(root), cache=cache).frames("train").labels.tolist()


def no_reading(*_: object) -> None:
    raise AssertionError("a picture was read")


def test_a_second_start_reads_no_picture(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = labels_of(root)
    monkeypatch.setattr(pack, "read_pair", no_reading)
    monkeypatch.setattr("fcn_lab.data.packs.checksums.open_regular", no_reading)
    assert labels_of(root) == before


def test_frames_are_memory_mapped_and_cannot_be_written_to(root: Path) -> None:
    frames = CamVid(str(root)).frames("train")
    assert isinstance(frames.images, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        frames.images[0] = 0


def test_equal_sources_in_two_folders_share_one_pack(root: Path, tmp_path: Path) -> None:
    labels_of(root)
    labels_of(fakes.segnet(tmp_path / "copy"))
    assert len(packs()) == 1


def test_another_size_gets_another_pack(root: Path) -> None:
    labels_of(root)
    CamVid(str(root), size=[12, 16]).frames("train")
    assert len(packs()) == 2


def test_a_touched_file_with_the_same_content_is_no_change(root: Path) -> None:
    before = labels_of(root)
    os.utime(root / "train" / f"{FIRST}.png", (1, 1))
    assert labels_of(root) == before


@pytest.mark.parametrize("cache", [".cache/fcn_lab", "-my 'cache'"])
def test_a_file_changed_after_packing_is_named_until_the_change_is_accepted(
    root: Path, cache: str
) -> None:
    before = labels_of(root, cache)
    changed = root / "trainannot" / f"{FIRST}.png"
    fakes.save(changed, 10 - fakes.ids(FIRST, 11))
    with pytest.raises(UserError, match=rf"{FIRST}\.png has changed since .*\n.*: rm ") as caught:
        labels_of(root, cache)
    (record,) = shlex.split(str(caught.value).rsplit("rm ", 1)[1])
    Path(record).unlink()
    after = labels_of(root, cache)
    assert after[0] == (10 - fakes.ids(FIRST, 11)).tolist()
    assert after[1:] == before[1:]


def test_frames_that_come_or_go_after_packing_are_named(root: Path) -> None:
    labels_of(root)
    listing = root / "train.txt"
    lines = listing.read_text()
    listing.write_text("".join(lines.splitlines(keepends=True)[:-1]))
    with pytest.raises(UserError, match=r"0016E5_00390\.png is gone since"):
        labels_of(root)
    listing.write_text(lines + "x/new.png\n")
    for folder in ("train", "trainannot"):
        fakes.save(root / folder / "new.png", fakes.ids("new", 11))
    with pytest.raises(UserError, match=r"new\.png is new since this set was packed \(and 1 more"):
        labels_of(root)


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _cut_the_end_mark(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-8])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _html(path: Path) -> None:
    path.write_text("<html>404</html>")


@pytest.mark.parametrize("damage", [_truncate, _cut_the_end_mark, _flip_a_bit, _empty, _html])
@pytest.mark.parametrize("folder", ["train", "trainannot"])
def test_a_damaged_file_is_named_and_leaves_no_pack(
    damage: Callable[[Path], None], folder: str, root: Path
) -> None:
    path = root / folder / f"{SECOND}.png"
    whole = path.read_bytes()
    damage(path)
    with pytest.raises(UserError, match=rf"{folder}/{SECOND}\.png is truncated or corrupt .*\n"):
        labels_of(root)
    assert packs() == []
    path.write_bytes(whole)
    assert len(labels_of(root)) == 3


def test_no_flipped_bit_of_a_label_goes_unseen_into_its_pixels(tmp_path: Path) -> None:
    path = tmp_path / "label.png"
    label = np.kron(fakes.ids(FIRST, 11, (3, 4)), np.ones((8, 8), np.uint8))
    fakes.save(path, label)
    data = path.read_bytes()
    for place in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(flipped)
        with contextlib.suppress(UserError):
            assert np.array_equal(np.asarray(open_mask(path)), label)


def test_a_label_of_another_size_is_named_with_both_sizes(root: Path) -> None:
    fakes.save(root / "trainannot" / f"{FIRST}.png", fakes.ids(FIRST, 11, (12, 32)))
    with pytest.raises(UserError, match=rf"{FIRST}\.png is 24x32 but its label .* is 12x32"):
        labels_of(root)


def test_frames_of_another_size_are_brought_to_the_size_that_is_asked_for(root: Path) -> None:
    fakes.save(root / "train" / f"{SECOND}.png", fakes.picture(SECOND, (48, 64)))
    fakes.save(root / "trainannot" / f"{SECOND}.png", fakes.ids(SECOND, 12, (48, 64)))
    assert CamVid(str(root), size=[24, 32]).frames("train").images.shape == (3, 24, 32, 3)


def test_an_id_out_of_range_is_named(root: Path) -> None:
    wrong = fakes.ids(FIRST, 11)
    wrong[0, :2] = 12
    fakes.save(root / "trainannot" / f"{FIRST}.png", wrong)
    with pytest.raises(
        UserError, match=rf"{FIRST}\.png holds id 12 \(2 pixels\); expected 0\.\.10"
    ):
        labels_of(root)


def test_more_than_a_ten_thousandth_of_strange_colours_is_an_error_that_says_how_to_look(
    tmp_path: Path,
) -> None:
    root = fakes.kaggle(tmp_path / "set")
    label = fakes.COLOURS[fakes.ids(FIRST, 32)]
    label[0, :3] = (1, 2, 3)
    fakes.save(root / "train_labels" / f"{FIRST}_L.png", label)
    with pytest.raises(UserError) as caught:
        labels_of(root)
    text = str(caught.value)
    assert "0.13%" in text  # 3 of 3 * 24 * 32 pixels
    assert "(1,2,3) in 3 pixels" in text
    assert f"{FIRST}_L.png" in text
    assert "to look: python -c" in text
    assert text.count("\n") == 1


def test_the_command_that_looks_at_a_file_runs_nothing_that_its_name_says(tmp_path: Path) -> None:
    root = fakes.kaggle(tmp_path / "$(touch pwned)'`id`")
    label = root / "train_labels" / f"{FIRST}_L.png"
    fakes.save(label, np.full((*fakes.SIZE, 3), (1, 2, 3), np.uint8))
    with pytest.raises(UserError) as caught:
        labels_of(root)
    command = str(caught.value).rsplit("to look: ", 1)[1]
    program, *words = shlex.split(command)
    assert (program, words[0], words[2:]) == ("python", "-c", [str(label)])
    shown = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == str([(fakes.SIZE[0] * fakes.SIZE[1], (1, 2, 3))])


def test_fewer_strange_colours_become_void_and_are_counted_aloud(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = fakes.kaggle(tmp_path / "set", size=(100, 120))
    label = fakes.COLOURS[fakes.ids(FIRST, 32, (100, 120))]
    label[5, 5] = (1, 2, 3)
    fakes.save(root / "train_labels" / f"{FIRST}_L.png", label)
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            frames = CamVid(str(root)).frames("train")
        assert "(1,2,3) in 1 pixel" in caplog.text
        assert frames.labels[0, 5, 5] == VOID


def _no_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def _half_manifest(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text()[:-5])


def _short_array(folder: Path) -> None:
    path = folder / "images.npy"
    path.write_bytes(path.read_bytes()[:-1])


def _no_array(folder: Path) -> None:
    (folder / "labels.npy").unlink()


def _missing_frame(folder: Path) -> None:
    path = folder / "manifest.json"
    manifest = unseal(path.read_text())
    path.write_text(seal({**manifest, "names": manifest["names"][1:]}))


def _other_format(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(seal({**unseal(path.read_text()), "format": FORMAT - 1}))


def _no_digests(folder: Path) -> None:
    """As packs were written before they had any."""
    path = folder / "manifest.json"
    manifest = unseal(path.read_text())
    path.write_text(json.dumps({key: manifest[key] for key in ("names", "size", "strange")}))


@pytest.mark.parametrize(
    "damage",
    [
        _no_manifest,
        _half_manifest,
        _short_array,
        _no_array,
        _missing_frame,
        _other_format,
        _no_digests,
    ],
)
def test_a_pack_that_is_not_whole_is_built_anew_and_that_is_said(
    damage: Callable[[Path], None], root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = labels_of(root)
    damage(packs()[0])
    with caplog.at_level(logging.WARNING):
        assert labels_of(root) == before
    assert f"{packs()[0]} is damaged, or of another version: it is packed anew" in caplog.text
    assert CamVid(str(root)).frames("train").names == fakes.SPLITS["train"]
    assert len(packs()) == 1


@pytest.mark.parametrize("name", ["images.npy", "labels.npy", "manifest.json"])
def test_no_flipped_bit_of_a_pack_goes_unseen(name: str, root: Path) -> None:
    CamVid(str(root)).frames("train")
    (folder,) = packs()
    whole = (folder / name).read_bytes()
    rng = np.random.default_rng(len(whole))
    for place in rng.integers(0, 8 * len(whole), 40):
        flipped = bytearray(whole)
        flipped[place // 8] ^= 1 << place % 8
        (folder / name).write_bytes(flipped)
        assert open_pack(folder) is None, place
    (folder / name).write_bytes(whole)
    assert open_pack(folder) is not None


def test_an_array_is_read_for_its_digest_once_a_process(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = labels_of(root)
    monkeypatch.setattr("fcn_lab.data.packs.folder.digest", no_reading)
    assert labels_of(root) == before


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is damaged"),
        ('{"content": {"a": [1]}, "digest": 0}', "is damaged"),
        ("[]", "cannot be verified"),
        ('{"/data/a.png": [1, 2, "ab"]}', "cannot be verified"),  # as it was before digests
    ],
)
def test_a_damaged_record_of_the_sources_is_said_and_written_anew(
    text: str, says: str, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = labels_of(root)
    (record,) = Path(".cache/fcn_lab/sources").glob("train-*")
    whole = record.read_text()
    record.write_text(text)
    with caplog.at_level(logging.WARNING):
        assert labels_of(root) == before
    assert str(record) in caplog.text
    assert says in caplog.text
    assert record.read_text() == whole


def test_a_process_that_dies_while_packing_leaves_nothing_that_is_trusted(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("fcn_lab.files._publish", no_reading)
        patch.setattr("shutil.rmtree", lambda *_, **__: None)  # a killed process cleans nothing up
        with pytest.raises(AssertionError):
            labels_of(root)
    (half,) = packs()
    assert half.name.startswith(".part-")
    os.utime(half, (1, 1))
    assert labels_of(root)[0] == np.where((ids := fakes.ids(FIRST, 12)) == 11, VOID, ids).tolist()
    assert not half.exists()
    half.mkdir()
    os.utime(half, (1, 1))
    CamVid(str(root), size=[6, 8]).frames("train")
    assert not half.exists()


def test_many_may_pack_at_the_same_time(root: Path) -> None:
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(labels_of, [root] * 12))
    assert all(result == results[0] for result in results)
    assert len(packs()) == 1


@pytest.mark.parametrize("moment", ["before its folder is made", "before its journal is opened"])
def test_a_draft_that_another_process_publishes_meanwhile_is_made_anew(
    root: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mkdir, lost = os.mkdir, []

    def lose_race(path: Path, *arguments: int) -> None:
        is_first = Path(path).name.startswith(".part-") and not lost
        if is_first:
            lost.append(path)
        if is_first and moment == "before its folder is made":
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        mkdir(path, *arguments)
        if is_first:
            os.rmdir(path)

    with monkeypatch.context() as patch:
        patch.setattr("os.mkdir", lose_race)
        labels = labels_of(root)
    assert lost
    assert labels_of(root) == labels
    assert len(packs()) == 1


def test_a_draft_whose_name_is_a_link_to_nowhere_is_named(root: Path) -> None:
    labels_of(root)
    (pack_folder,) = packs()
    draft = pack_folder.with_name(f".part-{pack_folder.name}")
    shutil.rmtree(pack_folder)
    draft.symlink_to("nowhere")
    with pytest.raises(UserError, match=f"{pack_folder.name}.*cannot be written"):
        labels_of(root)


def test_a_cache_that_cannot_be_written_is_named(root: Path) -> None:
    Path("taken").write_text("")
    with pytest.raises(UserError, match=r"taken.* cannot be written: .*\n.*data\.cache="):
        CamVid(str(root), cache="taken").frames("train")
