"""The audit's page shows labels: each class in each drive, rare ones, what is complained of."""

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from fcn_lab.audit import gallery
from fcn_lab.audit.audit import Audit
from fcn_lab.audit.drawing import MARK, choose_crop, crop_picture, draw_mask, lay_over, mark_pixels
from fcn_lab.audit.finding import SPOILT, Finding, Level
from fcn_lab.audit.findings import collect_findings
from fcn_lab.audit.html import render_audit
from fcn_lab.audit.looks import LONGEST_SIDE, Look
from fcn_lab.audit.selection import (
    SMALLEST_DISTANCE,
    find_largest,
    find_typical,
    group_drives,
    rank_rarest,
)
from fcn_lab.data.camvid import CamVid
from fcn_lab.data.synthetic import Synthetic
from fcn_lab.tasks.audit import Audit as AuditTask
from fcn_lab.training.datamodule import FrameDataModule
from support import fakes
from support.release import COUNTS, SIZE, as_drawn, frame_name, write_release

pytestmark = pytest.mark.usefixtures("elsewhere")

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def scenes() -> Synthetic:
    return Synthetic(SIZE, train=6, val=2, test=3)


@pytest.fixture
def release(tmp_path: Path, scenes: Synthetic) -> Path:
    return write_release(tmp_path / "camvid", scenes, as_drawn)


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory, scenes: Synthetic) -> Audit:
    root = write_release(tmp_path_factory.mktemp("sound") / "camvid", scenes, as_drawn)
    return Audit.measure(CamVid(str(root)))


def list_alts(page: str) -> list[str]:
    return re.findall(r'<img src="data:image/[^"]+" alt="([^"]*)"', page)


def test_a_typical_frame_shows_the_middle_share(audit: Audit, scenes: Synthetic) -> None:
    drives = group_drives(audit.data)
    assert [len(frames) for frames in drives.values()] == sorted(COUNTS.values(), reverse=True)
    labels = scenes.frames("train").labels
    for k in range(len(scenes.classes)):
        shares = sorted(share for share in (labels == k).mean((1, 2)) if share)
        place = find_typical(audit.data, k, drives["0016E5"])
        assert (place is None) == (not shares)
        if place is not None:
            assert place.share == pytest.approx(shares[len(shares) // 2])
            assert (labels[place.index] == k).mean() == pytest.approx(place.share)


def test_examples_are_those_with_the_largest_share_and_neighbours_come_last(audit: Audit) -> None:
    for k in range(len(audit.data.classes)):
        chosen = find_largest(audit.data, k, 4)
        every = [
            (label == k).mean()
            for split in audit.data.splits.values()
            for label in split.labels
            if (label == k).any()
        ]
        assert len(chosen) == min(4, len(every))
        assert not chosen or chosen[0].share == pytest.approx(max(every))
        assert len({(one.split, one.index) for one in chosen}) == len(chosen)
        # there are fewer frames a drive than lie between two that are shown
        assert max(COUNTS.values()) < SMALLEST_DISTANCE
        drives = [one.split for one in chosen]
        assert len(set(drives[: len(set(drives))])) == len(set(drives))


def test_the_rarest_class_is_the_one_of_fewest_pixels(audit: Audit, scenes: Synthetic) -> None:
    pixels = np.concatenate([scenes.frames(split).labels.ravel() for split in COUNTS])
    counts = np.bincount(pixels, minlength=256)[: len(scenes.classes)]
    ranked = [k for k, _ in rank_rarest(audit.data)]
    assert ranked == [int(k) for k in np.argsort(counts, kind="stable") if counts[k]]


def test_a_thin_line_stays_marked_in_a_smaller_picture() -> None:
    mask = np.zeros((400, 600), np.bool_)
    mask[:, 301] = True
    shown = mark_pixels(np.full((100, 150, 3), 90, np.uint8), mask)
    coloured = (shown.max(2).astype(int) - shown.min(2)) > 50
    assert coloured.any(1).all()
    assert coloured.any(0).sum() == 1
    whole = mark_pixels(np.full((100, 150, 3), 90, np.uint8), np.ones((400, 600), np.bool_))
    assert np.abs(whole[0, 0].astype(int) - MARK).max() < 64
    assert np.ptp(mark_pixels(np.full((9, 9, 3), 90, np.uint8), np.zeros((9, 9), np.bool_))) == 0


def test_a_single_spoilt_pixel_stays_marked_in_a_mask_of_any_size() -> None:
    spoilt = np.zeros((2000, 1500), np.bool_)
    spoilt[777, 333] = True
    shown = draw_mask(np.zeros((2000, 1500), np.uint8), [(0, 0, 0)], spoilt)
    assert (shown == MARK).all(2).sum() >= 1
    assert (draw_mask(np.zeros((3, 5), np.uint8), [(7, 8, 9)]) == (7, 8, 9)).all()


@pytest.mark.parametrize("corner", [(0, 0), (40, 50), (85, 105)])
def test_a_crop_holds_the_largest_part_of_a_class_in_the_frames_proportions(
    corner: tuple[int, int],
) -> None:
    mask = np.zeros((90, 120), np.bool_)
    mask[88, 3] = True
    top, left = min(corner[0], 80), min(corner[1], 105)
    mask[top : top + 10, left : left + 15] = True
    rows, columns = choose_crop(mask)
    assert mask[rows, columns].sum() >= 150
    assert 0 <= rows.start < rows.stop <= 90
    assert 0 <= columns.start < columns.stop <= 120
    assert (rows.stop - rows.start, columns.stop - columns.start) == (30, 40)
    picture = RNG.integers(0, 256, (45, 60, 3), np.uint8)
    near = crop_picture(picture, (rows, columns), mask.shape)
    assert abs(near.shape[0] - 15) <= 1
    assert abs(near.shape[1] - 20) <= 1
    drawn = lay_over(near, mask[rows, columns].astype(np.uint8), [(0, 0, 0), (200, 0, 0)], 1)
    assert drawn.shape == near.shape
    assert (drawn == 255).all(2).any()


def test_a_copy_keeps_the_picture_and_every_spoilt_pixel() -> None:
    image = cv2.resize(RNG.integers(0, 256, (6, 9, 3), np.uint8), (90, 60))
    spoilt = RNG.random((60, 90)) < 0.1
    look = Look.take(image, spoilt)
    np.testing.assert_array_equal(look.open_marks((60, 90)), spoilt)
    assert np.abs(look.open().astype(int) - image).mean() < 8
    assert not Look.take(image, None).open_marks((60, 90)).any()
    large = Look.take(np.zeros((10, 4000, 3), np.uint8), None)
    assert large.open().shape == (2, LONGEST_SIDE, 3)


def test_the_page_shows_every_class_in_every_drive_and_fetches_nothing(
    audit: Audit, scenes: Synthetic
) -> None:
    page = render_audit(audit, collect_findings(audit))
    assert not re.findall(r'<img src="(?!data:)', page)
    alts = list_alts(page)
    for split in COUNTS:
        labels = scenes.frames(split).labels
        for k, title in enumerate(scenes.classes):
            drive = frame_name(split, 0).rpartition("_")[0]
            shown = [alt for alt in alts if alt.startswith(f"{title} in {drive}")]
            assert bool(shown) == bool((labels == k).any()), (split, title)
    assert all(alts)
    for title in ("Labels", "Rarest classes"):
        assert f">{title}</h2>" in page


def test_of_many_drives_and_classes_the_page_stays_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    splits = {"train": [f"drive{i}x_{i:05d}" for i in range(12)], "val": ["0016E5_00001"]}
    measured = Audit.measure(CamVid(str(fakes.segnet(tmp_path / "camvid", splits))))
    section = gallery.show_classes(measured)
    assert section is not None
    assert f"the {gallery.DRIVES_SHOWN} drives of most frames among" in section.lead
    assert len(list_alts(section.body)) <= gallery.DRIVES_SHOWN * len(measured.data.classes)
    monkeypatch.setattr(gallery, "OVERLAYS_LIMIT", 5)
    section = gallery.show_classes(measured)
    assert section is not None
    assert len(list_alts(section.body)) <= 5
    assert "the first 5 of 11 classes" in section.lead


def find_one(audit: Audit, words: str) -> Finding:
    (found,) = (one for one in collect_findings(audit) if words in one.title)
    return found


def test_values_of_no_class_are_marked_in_the_mask_of_their_frame(
    release: Path, scenes: Synthetic
) -> None:
    label = as_drawn(scenes.frames("val").labels[1])
    label[:2, :3] = 40
    fakes.save(release / "valannot" / f"{frame_name('val', 1)}.png", label)
    audit = Audit.measure(CamVid(str(release)))
    (shown,) = find_one(audit, "hold values of no class").frames
    assert (shown.split, shown.frame, shown.marked) == ("val", frame_name("val", 1), SPOILT)
    split = audit.data.splits["val"]
    marks = split.looks[split.places[shown.frame]].open_marks(label.shape)
    assert marks[:2, :3].all()
    page = render_audit(audit, collect_findings(audit))
    alts = list_alts(page)
    at = alts.index(f"the picture {shown.frame}")
    assert alts[at + 1] == f"the mask of {shown.frame}"


def test_twins_under_different_labels_are_shown_side_by_side(release: Path) -> None:
    source = release / "train" / f"{frame_name('train', 2)}.png"
    (release / "test" / f"{frame_name('test', 1)}.png").write_bytes(source.read_bytes())
    frames = find_one(Audit.measure(CamVid(str(release))), "are one picture").frames
    assert {(one.split, one.frame) for one in frames} == {
        ("train", frame_name("train", 2)),
        ("test", frame_name("test", 1)),
    }


def test_a_class_of_few_images_is_marked_where_it_is_largest(audit: Audit) -> None:
    split = audit.data.splits["val"]
    found = find_one(audit, "val shows").frames
    assert found
    for one in found:
        k = audit.data.classes.index(one.marked)
        assert split.places[one.frame] == split.counts[:, k].argmax()


def test_the_nearest_frames_of_a_shared_drive_are_shown(tmp_path: Path) -> None:
    numbers = {"train": [0, 30, 60, 300], "val": [100, 104], "test": [67, 400]}
    splits = {split: [f"0016E5_{n:05d}" for n in found] for split, found in numbers.items()}
    audit = Audit.measure(CamVid(str(fakes.segnet(tmp_path / "camvid", splits))))
    shown = find_one(audit, "test: 0016E5").frames
    assert [one.frame for one in shown] == ["0016E5_00060", "0016E5_00067"]
    assert [one.split for one in shown] == ["train", "test"]


def test_pictures_of_findings_have_a_limit(audit: Audit, monkeypatch: pytest.MonkeyPatch) -> None:
    found = collect_findings(audit)
    many = sum(len(finding.frames) for finding in found)
    assert many > 1
    monkeypatch.setattr(gallery, "EVIDENCE_LIMIT", many - 1)
    shown = "".join(gallery.show_evidence(audit, found))
    assert len(list_alts(shown)) == 2 * (many - 1)


def test_the_numbers_name_the_frames_that_the_page_shows(release: Path, tmp_path: Path) -> None:
    AuditTask(FrameDataModule(CamVid(str(release)))).run(tmp_path)
    facts = json.loads((tmp_path / "audit.json").read_text())
    frames = [frame for finding in facts["findings"] for frame in finding["frames"]]
    assert frames
    assert all(set(frame) == {"split", "frame", "marked"} for frame in frames)


@pytest.mark.slow
def test_the_page_of_camvid_is_of_moderate_size(camvid_root: Path) -> None:
    audit = Audit.measure(CamVid(str(camvid_root)))
    found = collect_findings(audit)
    assert {finding.level for finding in found} == {Level.CAREFUL, Level.KNOWN}
    assert len(render_audit(audit, found).encode()) < 8e6
