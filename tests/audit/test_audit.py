"""What is planted in a data set, the audit finds; what is sound, it leaves alone."""

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from fcn_lab.audit.audit import Audit
from fcn_lab.audit.copying import find_lookalikes, location_prior
from fcn_lab.audit.facts import gather_facts
from fcn_lab.audit.file_checks import check_absent_classes
from fcn_lab.audit.finding import Level
from fcn_lab.audit.findings import collect_findings
from fcn_lab.audit.positions import find_nearest
from fcn_lab.audit.weights import class_weights
from fcn_lab.data.balance import count_pixels
from fcn_lab.data.camvid import CamVid
from fcn_lab.data.classes import CAMVID11, CAMVID32
from fcn_lab.data.folder import Folder
from fcn_lab.data.survey import FrameSurvey
from fcn_lab.data.synthetic import Synthetic
from fcn_lab.errors import UserError
from fcn_lab.pixels import VOID
from fcn_lab.tasks.audit import Audit as AuditTask
from fcn_lab.training.datamodule import FrameDataModule
from support import fakes, pictures
from support.release import COUNTS, SIZE, as_drawn, frame_name, write_release

pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.fixture(scope="module")
def scenes() -> Synthetic:
    return Synthetic(SIZE, train=6, val=2, test=3)


def test_pixels_of_two_shapes_have_two_digests() -> None:
    class Blank(Synthetic):
        def survey(self, split: str) -> Iterator[FrameSurvey]:
            images = [np.zeros((*shape, 3), np.uint8) for shape in ((2, 8), (4, 4))]
            for number, image in enumerate(images if split == "train" else ()):
                size = image.shape[:2]
                yield FrameSurvey(f"{number}", "", image, image[..., 0], size, Counter(), None)

    first, second = gather_facts(Blank()).splits["train"].frames
    assert first.image != second.image
    assert first.label != second.label


@pytest.fixture
def release(tmp_path: Path, scenes: Synthetic) -> Path:
    return write_release(tmp_path / "camvid", scenes, as_drawn)


def wrong(audit: Audit) -> list[str]:
    found = [finding for finding in collect_findings(audit) if finding.level is Level.WRONG]
    return [f"{finding.title} {finding.text}" for finding in found]


def test_nothing_is_wrong_with_sound_data(release: Path) -> None:
    audit = Audit.measure(CamVid(str(release)))
    assert wrong(audit) == []
    assert audit.damage == {}
    assert audit.twins == []
    assert {split: len(found.frames) for split, found in audit.data.splits.items()} == COUNTS


def test_shares_and_void_are_those_of_the_pixels(release: Path, scenes: Synthetic) -> None:
    audit = Audit.measure(CamVid(str(release)))
    for split, found in audit.data.splits.items():
        labels = scenes.frames(split).labels
        assert found.void_share == pytest.approx((labels == VOID).mean())
        seen = labels[labels != VOID]
        assert audit.shares(found) == pytest.approx([(seen == k).mean() for k in range(11)])


def test_an_id_out_of_range_is_named_with_its_frame(release: Path, scenes: Synthetic) -> None:
    label = as_drawn(scenes.frames("val").labels[1])
    label[:2, :3] = 40
    fakes.save(release / "valannot" / f"{frame_name('val', 1)}.png", label)
    (finding,) = wrong(Audit.measure(CamVid(str(release))))
    assert finding.startswith("val: 6 label pixels in 1 frame hold")
    assert "id 40 in 6 pixels" in finding
    assert frame_name("val", 1) in finding


def test_a_file_that_cannot_be_read_is_named_and_the_rest_is_audited(release: Path) -> None:
    broken = release / "test" / f"{frame_name('test', 0)}.png"
    broken.write_bytes(broken.read_bytes()[:100])
    audit = Audit.measure(CamVid(str(release)))
    (finding,) = wrong(audit)
    assert str(broken) in finding
    assert len(audit.data.splits["test"].frames) == COUNTS["test"] - 1


@pytest.mark.parametrize("factor", [0.5, 2])
@pytest.mark.parametrize("method", [cv2.INTER_LINEAR, cv2.INTER_CUBIC])
def test_interpolated_masks_are_told_from_resized_ones(
    tmp_path: Path, scenes: Synthetic, factor: float, method: int
) -> None:
    def resized(with_method: int) -> Audit:
        root = write_release(
            tmp_path / str(with_method),
            scenes,
            lambda label: cv2.resize(
                as_drawn(label), None, fx=factor, fy=factor, interpolation=with_method
            ),
        )
        return Audit.measure(CamVid(str(root)))

    assert not resized(cv2.INTER_NEAREST).damage
    damaged = resized(method)
    assert damaged.damage["train"].interpolated
    told = next(finding for finding in wrong(damaged) if "look interpolated" in finding)
    assert re.search(r", \d+\.\d % of the pixels are spoilt .*loss: .* \d+\.\d %", told)


def test_the_damage_to_coloured_masks_is_the_pixels_of_no_colour_and_worst_for_thin_classes(
    tmp_path: Path, scenes: Synthetic
) -> None:
    palette = np.zeros((VOID + 1, 3), np.uint8)
    names = {"Pavement": "Sidewalk", "Pole": "Column_Pole"}
    palette[:11] = [CAMVID32[names.get(title, title)] for title in CAMVID11]
    root = fakes.kaggle(tmp_path / "kaggle")
    foreign, truth, lost = 0, np.zeros(11), np.zeros(11)
    for path in root.glob("*_labels/*.png"):
        path.unlink()
    for path in (path for split in COUNTS for path in (root / split).glob("*.png")):
        path.unlink()
    for split in COUNTS:
        frames = scenes.frames(split)
        for i, label in enumerate(frames.labels):
            blurred = cv2.resize(palette[label], (128, 96), interpolation=cv2.INTER_LINEAR)
            sharp = cv2.resize(label, (128, 96), interpolation=cv2.INTER_NEAREST_EXACT)
            fakes.save(root / f"{split}_labels" / f"{frame_name(split, i)}_L.png", blurred)
            fakes.save(
                root / split / f"{frame_name(split, i)}.png",
                cv2.resize(frames.images[i], (128, 96)),
            )
            known = (blurred[..., None, :] == np.array(list(CAMVID32.values()))).all(-1).any(-1)
            foreign += int((~known).sum())
            for k in range(11):
                truth[k] += (sharp == k).sum()
                lost[k] += ((sharp == k) & ~known).sum()
    audit = Audit.measure(CamVid(str(root)))
    strange = sum(split.strange_values.total() for split in audit.data.splits.values())
    assert strange == foreign
    share = lost / np.maximum(truth, 1)
    estimates = audit.damage["train"].by_class
    thin, broad = list(CAMVID11)[int(share.argmax())], list(CAMVID11)[int(truth.argmax())]
    assert estimates[thin] > 3 * estimates[broad]


def test_a_class_that_training_never_shows_is_wrong_and_elsewhere_a_caution(
    tmp_path: Path, scenes: Synthetic
) -> None:
    root = write_release(
        tmp_path / "camvid", scenes, lambda label: np.where(label == 3, 11, as_drawn(label))
    )
    found = collect_findings(Audit.measure(CamVid(str(root))))
    levels = {f.title.split()[0]: f.level for f in found if "never shows" in f.title}
    assert levels == {"train": Level.WRONG, "val": Level.CAREFUL, "test": Level.CAREFUL}
    assert all("Road" in f.title for f in found if "never shows" in f.title)


def test_a_set_that_keeps_void_among_its_classes_is_not_told_that_no_label_shows_it() -> None:
    split = SimpleNamespace(frames=[SimpleNamespace(name="a")], counts=np.array([[9, 0, 0]]))
    data = SimpleNamespace(classes=("Road", "Void", "Tree"), splits={"train": split})
    titles = [f.title for f in check_absent_classes(SimpleNamespace(data=data))]
    assert titles[0] == "train never shows Tree"


def test_a_scored_picture_that_was_trained_on_is_wrong(release: Path) -> None:
    for folder in ("", "annot"):
        source = release / f"train{folder}" / f"{frame_name('train', 2)}.png"
        target = release / f"test{folder}" / f"{frame_name('test', 1)}.png"
        target.write_bytes(source.read_bytes())
    audit = Audit.measure(CamVid(str(release)))
    (twins,) = audit.twins
    assert set(twins.names) == {frame_name("train", 2), frame_name("test", 1)}
    assert twins.labels == 1
    assert "trained on" in wrong(audit)[0]
    closest = audit.closest_frames["test"][0]
    assert audit.data.splits["test"].frames[closest[0]].name == frame_name("test", 1)
    assert closest[2] == 0


def test_a_split_that_repeats_training_is_solved_by_copying(
    tmp_path: Path, scenes: Synthetic
) -> None:
    root = write_release(tmp_path / "camvid", scenes, as_drawn)
    for i in range(COUNTS["val"]):
        for folder in ("", "annot"):
            source = root / f"train{folder}" / f"{frame_name('train', i)}.png"
            (root / f"val{folder}" / f"{frame_name('val', i)}.png").write_bytes(source.read_bytes())
    audit = Audit.measure(CamVid(str(root)))
    assert audit.copy_scores["val"]["lookalike"]["mean_iou"] == 1
    leak = next(x for x in wrong(audit) if x.startswith("val: copying the label of the most"))
    assert "scores 100.0 % mean IoU" in leak


def test_the_frame_before_is_of_the_same_drive(release: Path, scenes: Synthetic) -> None:
    """Where all labels of a drive are one, copying is perfect; the first frame takes the second."""
    for i in range(COUNTS["test"]):
        first = as_drawn(scenes.frames("test").labels[0])
        first[first == 11] = 0  # a copied void is no guess
        fakes.save(release / "testannot" / f"{frame_name('test', i)}.png", first)
    scores = Audit.measure(CamVid(str(release))).copy_scores["test"]["previous"]
    assert scores["mean_iou"] == scores["pixel_accuracy"] == 1


def test_distances_to_training_are_those_counted_one_by_one(tmp_path: Path) -> None:
    numbers = {"train": [0, 30, 60, 300], "val": [100, 104, 108], "test": [61, 400]}
    splits = {split: [f"0016E5_{n:05d}" for n in found] for split, found in numbers.items()}
    audit = Audit.measure(CamVid(str(fakes.segnet(tmp_path / "camvid", splits))))
    by_split = {span.split: span for span in audit.drive_spans}
    for split in ("val", "test"):
        distances = [min(abs(n - t) for t in numbers["train"]) for n in numbers[split]]
        assert by_split[split].nearest == min(distances)
        assert by_split[split].median == np.median(distances)
    assert (by_split["val"].before, by_split["val"].after) == (60, 300)
    assert by_split["test"].after is None
    assert (by_split["train"].step, by_split["val"].step) == (30, 4)


def test_the_nearest_number_is_that_of_a_search_through_all() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        numbers = sorted(rng.integers(0, 50, rng.integers(1, 9)).tolist())
        number = int(rng.integers(-5, 55))
        nearest = find_nearest(number, numbers)
        assert abs(number - nearest) == min(abs(number - other) for other in numbers)
    assert find_nearest(10**20, [5, 10**20 + 7]) == 10**20 + 7


def test_copies_are_those_found_by_comparing_all_with_all(
    release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = Audit.measure(CamVid(str(release))).data
    train, split = data.splits["train"], data.splits["val"]
    prior = location_prior(train, 11)
    seen = np.stack(train.labels)
    counts = np.stack([(seen == k).sum(0) for k in range(11)])
    assert np.array_equal(prior, counts.argmax(0))
    whole = find_lookalikes(split, train)
    monkeypatch.setattr("fcn_lab.audit.copying.LOOKALIKE_ROWS", 2)
    for one, two in zip(find_lookalikes(split, train), whole, strict=True):
        np.testing.assert_allclose(one, two)


def test_equal_classes_weigh_alike_and_an_absent_one_nothing() -> None:
    counts = np.array([[50, 50, 0], [50, 50, 0]])
    for title, weights in class_weights(counts, 100).items():
        assert weights[0] == weights[1] > 0, title
        assert weights[2] == 0, title


def test_a_class_half_as_frequent_weighs_more_by_every_definition() -> None:
    counts = np.array([[400, 200, 100]])
    for title, weights in class_weights(counts, 1000).items():
        assert (np.diff(weights) > 0).all(), title
    balanced = class_weights(counts, 1000)["median share"]
    assert (balanced * counts[0]).tolist() == [200, 200, 200]


def test_the_task_leaves_a_page_and_the_numbers(
    release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    AuditTask(FrameDataModule(CamVid(str(release)))).run(tmp_path)
    printed = capsys.readouterr().out
    assert "nothing is wrong with the files" in printed
    facts = json.loads((tmp_path / "audit.json").read_text())
    assert facts["splits"]["train"]["frames"] == COUNTS["train"]
    assert facts["protocol"] in printed
    text = (tmp_path / "audit.html").read_text()
    for title in ("Findings", "Drives", "Leakage", "Class weights"):
        assert f">{title}</h2>" in text


def test_scenes_drawn_in_memory_are_audited_too(tmp_path: Path, scenes: Synthetic) -> None:
    AuditTask(FrameDataModule(scenes)).run(tmp_path)
    counts, _ = count_pixels(scenes.frames("train"), 11)
    facts = json.loads((tmp_path / "audit.json").read_text())
    shares = list(facts["splits"]["train"]["shares"].values())
    assert shares == pytest.approx(counts / counts.sum())


@pytest.mark.slow
def test_camvid_shows_what_is_known_of_it(camvid_root: Path) -> None:
    audit = Audit.measure(CamVid(str(camvid_root)))
    assert wrong(audit) == []
    drives = {(s.split, s.drive): (s.count, s.first, s.last) for s in audit.drive_spans}
    assert drives["val", "0016E5"] == (101, 7959, 8159)
    assert drives["test", "0001TP"][0] == 62
    assert drives["test", "Seq05VD"][0] == 171
    assert [drives["train", d][0] for d in ("0001TP", "0006R0", "0016E5")] == [62, 101, 204]
    (val,) = (s for s in audit.drive_spans if s.split == "val")
    assert (val.before, val.after, val.step) == (7920, 8190, 2)
    published = {("val", "previous"): 0.731, ("test", "previous"): 0.427, ("test", "prior"): 0.170}
    for (split, rule), score in published.items():
        assert audit.copy_scores[split][rule]["mean_iou"] == pytest.approx(score, abs=5e-4)
    signs = list(CAMVID11).index("SignSymbol")
    assert audit.weights["median frequency"][signs] == pytest.approx(3.85, abs=5e-3)
    titles = " ".join(finding.title for finding in collect_findings(audit))
    assert "Seq05VD (171 frames) is a drive that training never sees" in titles


@pytest.mark.slow
@pytest.mark.parametrize("size", [(960, 720), (240, 180)])
def test_camvid_resized_bilinearly_is_found_out_in_every_split(
    camvid_root: Path, tmp_path: Path, size: tuple[int, int]
) -> None:
    for split in COUNTS:
        for label in sorted((camvid_root / f"{split}annot").glob("*.png"))[::5]:
            pixels = np.asarray(Image.open(label))
            resized = cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR)
            fakes.save(tmp_path / "c" / f"{split}annot" / label.name, resized)
            fakes.save(tmp_path / "c" / split / label.name, np.zeros((*size[::-1], 3), np.uint8))
    audit = Audit.measure(CamVid(str(tmp_path / "c")))
    assert set(audit.damage) == set(COUNTS)
    for damage in audit.damage.values():
        assert damage.by_class["Pole"] > 5 * damage.by_class["Road"] > 0


def blank(path: Path, mode: str) -> None:
    Image.new(mode, SIZE[::-1]).save(path)


def one_mask(value: int, kind: type[np.unsignedinteger[Any]] = np.uint8) -> Callable[[Path], None]:
    return lambda path: Image.fromarray(np.full(SIZE, value, kind)).save(path)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def made_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def made_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def made_large(path: Path) -> None:
    path.write_bytes(pictures.png(np.zeros((1, 1, 1), np.uint16), 0, size=(50000, 50000)))


# where → what is done to every file there
ODD: dict[str, tuple[str, Callable[[Path], None]]] = {
    "nothing readable at all": ("*", emptied),
    "no picture readable": ("*[!o]?", emptied),
    "no mask readable": ("*annot", emptied),
    "no training readable": ("train", emptied),
    "no val readable": ("valannot", emptied),
    "masks of one bit": ("*annot", lambda path: blank(path, "1")),
    "masks with transparency": ("*annot", lambda path: blank(path, "LA")),
    "masks of colours": ("*annot", lambda path: fakes.save(path, fakes.picture("x", SIZE))),
    "masks of sixteen bits": ("*annot", one_mask(3, np.uint16)),
    "masks of strange sixteen bits": ("*annot", one_mask(3000, np.uint16)),
    "masks of strange ids": ("*annot", one_mask(77)),
    "masks of void": ("*annot", one_mask(11)),
    "masks without void": ("*annot", one_mask(5)),
    "masks of another size": ("*annot", lambda path: fakes.save(path, np.zeros((3, 5), np.uint8))),
    "frames of one pixel": ("*", lambda path: fakes.save(path, np.zeros((1, 1), np.uint8))),
    "folders for pictures": ("test", made_folder),
    "pipes for masks": ("testannot", made_pipe),
    "pictures too large": ("test", made_large),
}


@pytest.mark.parametrize("kind", ODD)
def test_an_audit_of_odd_files_ends_in_a_page_that_names_them(
    kind: str, release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place, change = ODD[kind]
    for path in sorted(release.glob(f"{place}/*.png")):
        change(path)
    AuditTask(FrameDataModule(CamVid(str(release)))).run(tmp_path)
    printed = capsys.readouterr().out
    facts = json.loads((tmp_path / "audit.json").read_text(), parse_constant=pytest.fail)
    assert ">Findings</h2>" in (tmp_path / "audit.html").read_text()
    for split, found in facts["splits"].items():
        readable = len(found["unreadable"]) + found["frames"]
        assert readable == COUNTS[split]
        if not found["frames"]:
            assert f"{split}: no frame is left" in printed
        for name in found["unreadable"]:
            assert name in found["unreadable"][name]


@pytest.mark.parametrize("splits", [["train"], ["train", "test"], ["train", "val"]])
@pytest.mark.parametrize("count", [1, 2])
def test_an_audit_of_a_frame_or_two_ends_in_a_page(
    splits: list[str], count: int, tmp_path: Path
) -> None:
    frames = {split: [frame_name(split, number) for number in range(count)] for split in splits}
    root = fakes.segnet(tmp_path / "few", frames)
    AuditTask(FrameDataModule(CamVid(str(root)))).run(tmp_path)
    facts = json.loads((tmp_path / "audit.json").read_text(), parse_constant=pytest.fail)
    assert {split: found["frames"] for split, found in facts["splits"].items()} == {
        split: count for split in splits
    }
    for rules in facts["copies"].values():
        assert ("previous" in rules) == (count > 1)


def test_training_names_the_odd_file_that_an_audit_skips(release: Path) -> None:
    path = release / "train" / f"{frame_name('train', 2)}.png"
    made_large(path)
    found = CamVid(str(release))
    with pytest.raises(UserError, match=rf"{path.name} is 50000x50000 .*\n.*data\.megapixels=2500"):
        found.frames("train")
    made_pipe(path)
    with pytest.raises(UserError, match=rf"{path.name} is a pipe"):
        found.frames("train")


@pytest.mark.parametrize("prefix", ["", "cam_"])
def test_photos_that_are_numbered_are_no_drive_and_one_frame_is_no_range(
    prefix: str, tmp_path: Path
) -> None:
    for number in range(6):
        for kind, pixels in (("photos", fakes.picture("x")), ("masks", fakes.ids("x", 2))):
            fakes.save(tmp_path / kind / f"{prefix}{number}.png", pixels)
    audit = Audit.measure(Folder(str(tmp_path), "photos", "masks", ["a", "b"]))
    texts = [f"{f.title} {f.text}" for f in collect_findings(audit) if "a drive" in f.title]
    first = "val: cam_ (1 frame) is a drive that is trained on too, 1 number away at the least"
    second = "test: cam_ (1 frame) is a drive that is trained on too, 2 numbers away at the least"
    wanted = [f"{first} Its frame 4 lies after 3 of training."]
    wanted += [f"{second} Its frame 5 lies after 3 of training."]
    assert texts == (wanted if prefix else [])
