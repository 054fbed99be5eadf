"""task=evaluate, predict and profile over a trained run."""

import io
import json
import re
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from torch import nn

from fcn_lab.data.frames import Frames
from fcn_lab.errors import UserError
from fcn_lab.inference.media import MediaError, VideoFile
from fcn_lab.inference.predictor import Predictor
from fcn_lab.report.runs import Run
from fcn_lab.runs.run import RunFolder
from fcn_lab.tasks.evaluate import Evaluate
from fcn_lab.tasks.predict import Predict
from fcn_lab.tasks.profile import Profile
from fcn_lab.text import terminal
from fcn_lab.training.datamodule import FrameDataModule
from support.tiny import WORDS, Net, Sided, Squares, load_weights, make_train, speckle
from support.videos import film


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    make_train({"max_epochs": 1}).run(folder)
    return folder


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    frames = Squares().frames("test")
    for name, image in zip(frames.names, frames.images, strict=True):
        Image.fromarray(image).save(folder / f"{name}.png")
    return folder


def predict(run: Path, given: Path | str, output: Path) -> None:
    Predict(run, Net(), str(given), str(output)).run(output)


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def test_evaluating_repeats_the_scores_of_training(run: Path, tmp_path: Path) -> None:
    task = make_train()
    Evaluate(run, Net(), task.data, task.training, WORDS, seed=1).run(tmp_path)
    ours, theirs = RunFolder(tmp_path).read_metrics(), RunFolder(run).read_metrics()
    assert ours.pop("seconds") > 0
    assert ours == {k: v for k, v in theirs.items() if k not in ("seconds", "val")}
    assert RunFolder(tmp_path).confusions("test").exists()
    assert list((tmp_path / "panels").iterdir())


@pytest.mark.parametrize("split", ["val", "train"])
def test_evaluating_scores_the_split_that_is_asked_for(
    run: Path, split: str, tmp_path: Path
) -> None:
    task = make_train()
    task.data.split = split
    Evaluate(run, Net(), task.data, task.training, WORDS).run(tmp_path)
    assert 0 < RunFolder(tmp_path).read_metrics()[split]["mean_iou"] <= 1
    kept, names = np.load(tmp_path / "confusions.npz"), Squares().frames(split).names
    assert tuple(kept["names"]) == names
    with zipfile.ZipFile(RunFolder(tmp_path).predictions()) as pictures:
        assert {f"{name}.png" for name in names} <= set(pictures.namelist())
    assert Run.read(tmp_path).split == split
    assert kept["drives"].tolist() == [""] * len(kept["names"])


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (("Square", "Ground", "Unseen"), "the same 3, in another order"),
        (("Ground", "Square"), "only the run has Unseen"),
        (("Ground", "Circle", "Unseen"), "only the run has Square, only the data has Circle"),
    ],
)
def test_data_of_other_classes_are_refused_before_they_are_scored(
    run: Path, classes: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    task = make_train()
    task.data.source.classes = classes  # type: ignore[misc]
    with pytest.raises(UserError, match=rf"other classes .*: {said}\.\n.*data\.names="):
        Evaluate(run, Net(), task.data, task.training, WORDS).run(tmp_path)
    assert not list(tmp_path.iterdir())


def test_data_of_other_channels_are_refused_before_they_are_scored(
    run: Path, tmp_path: Path
) -> None:
    class Deep(Squares):
        def frames(self, split: str) -> Frames:
            frames = super().frames(split)
            images = [np.concatenate([image, image[..., :1]], 2) for image in frames.images]
            return Frames(np.stack(images), frames.labels, frames.names)

    data = FrameDataModule(Deep(), speckle, batch_size=3)
    with pytest.raises(UserError, match=r"reads 3 channels, .* have 4\.\n.*data\.images="):
        Evaluate(run, Net(), data, make_train().training, WORDS).run(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_run_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"best\.ckpt"):
        load_weights(Net(), tmp_path)


def test_another_network_than_the_runs_is_refused(run: Path) -> None:
    with pytest.raises(UserError, match="do not fit"):
        load_weights(nn.Linear(1, 1), run)


def test_predictions_are_index_pictures_of_the_predictors_labels(
    run: Path, images: Path, tmp_path: Path
) -> None:
    predict(run, images, tmp_path / "out")
    predictor = Predictor(load_weights(Net(), run), Squares().classes, Squares().palette)
    for path in images.iterdir():
        with Image.open(tmp_path / "out" / path.name) as labels, Image.open(path) as image:
            assert labels.mode == "P"
            expected = predictor(np.asarray(image))
            assert np.array_equal(np.asarray(labels), expected)
            shown = np.asarray(labels.convert("RGB"))[0, 0]
            assert tuple(shown) == Squares().palette[expected[0, 0]]
        assert size(tmp_path / "out" / f"{path.stem}_overlay.png") == (32, 24)


def test_a_file_or_a_pattern_is_taken_too(run: Path, images: Path, tmp_path: Path) -> None:
    predict(run, images / "test1.png", tmp_path / "one")
    assert len(list((tmp_path / "one").iterdir())) == 2
    predict(run, str(images / "*[23].png"), tmp_path / "two")
    assert len(list((tmp_path / "two").iterdir())) == 4


def test_bad_files_are_named_and_the_rest_is_finished(
    run: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (images / "a_empty.png").touch()
    whole = (images / "test0.png").read_bytes()
    (images / "b_cut.png").write_bytes(whole[: len(whole) // 2])
    Image.fromarray(np.full((4, 4), np.nan, np.float32)).save(images / "c_deep.tiff")
    (images / "notes.txt").write_text("no picture")
    with pytest.raises(UserError, match=r"3 of 8 .*a_empty.*b_cut.*c_deep"):
        predict(run, images, tmp_path / "out")
    assert len(list((tmp_path / "out").iterdir())) == 2 * 5
    assert capsys.readouterr().out.count("not a readable picture") == 3


def test_in_a_terminal_a_bad_file_is_told_in_whole_words(
    run: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = io.StringIO()
    console = Console(file=file, width=40, force_terminal=True)
    monkeypatch.setattr(terminal, "Console", lambda: console)
    (images / "bad.png").write_text("no picture")
    with pytest.raises(UserError, match=r"1 of \d+ files could not be read"):
        predict(run, images, tmp_path / "out")
    reason = "it is truncated or corrupt (no picture format that is read here; 10 bytes)."
    assert reason in " ".join(file.getvalue().split())
    # a path stays in one piece
    lines = map(str.strip, file.getvalue().splitlines())
    assert max(len(line) for line in lines if " " in line) <= 40


def test_pictures_of_one_name_do_not_overwrite_each_other(
    run: Path, images: Path, tmp_path: Path
) -> None:
    Image.fromarray(Squares().frames("test").images[0]).save(images / "test0.bmp")
    predict(run, images, tmp_path / "out")
    found = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"test0.png.png", "test0.bmp.png"} <= found
    assert len(found) == 2 * 6


def test_a_picture_is_turned_upright(run: Path, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held sideways
    Image.new("RGB", (8, 4)).save(tmp_path / "turned.jpg", exif=exif)
    predict(run, tmp_path / "turned.jpg", tmp_path / "out")
    assert size(tmp_path / "out" / "turned.png") == (4, 8)


def test_a_video_becomes_labels_frame_by_frame_and_a_video(
    run: Path, images: Path, tmp_path: Path
) -> None:
    frames = film(images / "drive.avi")
    predict(run, images, tmp_path / "out")
    predictor = Predictor(load_weights(Net(), run), Squares().classes, Squares().palette)
    labelled = sorted((tmp_path / "out" / "drive").iterdir())
    assert len(labelled) == len(frames)
    for path, frame in zip(labelled, frames, strict=True):
        with Image.open(path) as labels:
            assert np.array_equal(np.asarray(labels), predictor(frame))
    shown = cv2.VideoCapture(str(tmp_path / "out" / "drive_overlay.mp4"))
    assert shown.get(cv2.CAP_PROP_FRAME_COUNT) == len(frames)
    assert shown.get(cv2.CAP_PROP_FPS) == 10
    assert (tmp_path / "out" / "test0.png").exists()


@pytest.mark.parametrize(
    ("rate", "written"),
    [
        (10, 10),
        (1e-4, 2e-3),
        (30000 / 1001, 29.97),
        (119.523, 119.52),
        (239.523, 239.52),
        (1500.04, 1500.0),
    ],
)
def test_a_video_keeps_its_rate_as_far_as_its_format_can_say_it(
    rate: float, written: float, tmp_path: Path
) -> None:
    copy = VideoFile(tmp_path / "copy.mp4", rate)
    for image in Squares().frames("test").images:
        copy.add(image)
    copy.close()
    assert copy.refusal is None
    shown = cv2.VideoCapture(str(tmp_path / "copy.mp4"))
    assert shown.get(cv2.CAP_PROP_FPS) == pytest.approx(written, abs=1e-3)


def test_a_video_of_odd_size_keeps_its_last_row_and_column(tmp_path: Path) -> None:
    frame = np.zeros((33, 47, 3), np.uint8)
    frame[-8:, -8:] = 255
    copy = VideoFile(tmp_path / "copy.mp4", 10)
    copy.add(frame)
    copy.close()
    _, shown = cv2.VideoCapture(str(tmp_path / "copy.mp4")).read()
    assert shown.shape == (34, 48, 3)
    assert shown[32, 46].min() > 200


def test_a_video_whose_frames_change_their_size_breaks_off_there(tmp_path: Path) -> None:
    copy = VideoFile(tmp_path / "copy.mp4", 10)
    copy.add(np.zeros((32, 48, 3), np.uint8))
    with pytest.raises(MediaError, match="change their size after 1"):
        copy.add(np.zeros((48, 32, 3), np.uint8))
    copy.close()


def test_a_video_that_cannot_be_written_again_is_labelled_and_named(
    run: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = film(images / "drive.avi")
    (images / "z.png").write_bytes((images / "test0.png").read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cv2.VideoWriter, "isOpened", lambda writer: False)
        with pytest.raises(UserError, match=r"1 of 7 .*drive\.avi"):
            predict(run, images, tmp_path / "out")
    told = capsys.readouterr().out
    assert "cannot write a video of 32×24 pixels; its frames are labelled" in told
    assert len(list((tmp_path / "out" / "drive").iterdir())) == len(frames)
    assert (tmp_path / "out" / "z.png").exists()
    assert not (tmp_path / "out" / "drive_overlay.mp4").exists()


def test_a_video_that_is_none_or_breaks_off_is_named(
    run: Path, images: Path, tmp_path: Path
) -> None:
    film(images / "cut.avi", 20)
    whole = (images / "cut.avi").read_bytes()
    (images / "cut.avi").write_bytes(whole[: len(whole) // 2])
    (images / "none.mp4").write_text("no video")
    with pytest.raises(UserError, match=r"2 of 7 .*cut\.avi.*none\.mp4"):
        predict(run, images, tmp_path / "out")
    assert (tmp_path / "out" / "test4.png").exists()


@pytest.mark.parametrize("flip", [False, True])
def test_scores_are_probabilities_whose_largest_is_the_label(
    run: Path, images: Path, tmp_path: Path, flip: bool
) -> None:
    Predict(run, Net(), str(images), str(tmp_path / "out"), flip, scores=True).run(tmp_path)
    predict_plainly = Predictor(
        load_weights(Net(), run), Squares().classes, Squares().palette, flip
    )
    for path in images.iterdir():
        kept = np.load(tmp_path / "out" / f"{path.stem}.npz")
        assert kept["scores"].dtype == np.float16
        assert tuple(kept["classes"]) == Squares().classes
        assert kept["scores"].sum(0, dtype=np.float32) == pytest.approx(1, abs=2e-3)
        with Image.open(path) as image, Image.open(tmp_path / "out" / path.name) as labels:
            assert np.array_equal(np.asarray(labels), predict_plainly(np.asarray(image)))
            chosen = np.take_along_axis(kept["scores"], np.asarray(labels)[None], 0)[0]
            assert np.array_equal(chosen, kept["scores"].max(0))


def test_several_inputs_are_labelled_once_each(run: Path, images: Path, tmp_path: Path) -> None:
    both = [str(images / "test1.png"), str(images / "test[12].png")]
    Predict(run, Net(), both, str(tmp_path / "out")).run(tmp_path)
    assert {path.name for path in (tmp_path / "out").glob("test?.png")} == {
        "test1.png",
        "test2.png",
    }


def test_results_are_not_written_over_what_they_are_made_of(run: Path, images: Path) -> None:
    before = (images / "test0.png").read_bytes()
    with pytest.raises(UserError, match="would overwrite"):
        predict(run, images, images)
    assert (images / "test0.png").read_bytes() == before


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("nowhere", "there is no such file or folder"),
        ("no/where/a.png", "there is no such file or folder"),
        ("nowhere/*.png", "no picture found; there is no folder nowhere"),
        (".", "no picture found; . holds"),
        ("", "it names nothing"),
    ],
)
def test_an_input_without_pictures_is_refused(
    run: Path, given: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=f"input={re.escape(given)}: {says}"):
        predict(run, given, tmp_path / "out")


def test_a_predictor_takes_any_size_and_refuses_other_arrays(run: Path) -> None:
    predictor = Predictor(load_weights(Net(), run), Squares().classes, Squares().palette, flip=True)
    labels = predictor(np.zeros((1, 5, 3), np.uint8))
    assert labels.shape == (1, 5)
    assert labels.dtype == np.uint8
    for wrong in (
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 3)),
        np.zeros((1, 4, 4, 3), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        Image.new("RGB", (4, 4)),
        [[[0, 0, 0]]],
        None,
    ):
        with pytest.raises(UserError, match=r"expected .*uint8 \(H, W, 3\)"):
            predictor(wrong)  # type: ignore[arg-type]


def test_a_predictors_flip_averages_probabilities_of_picture_and_mirrored_picture() -> None:
    picture = np.zeros((4, 6, 3), np.uint8)
    plain, flipped = (Predictor(Sided(), "abc", (), flip, "cpu") for flip in (False, True))
    assert [set(part.ravel().tolist()) for part in np.split(plain(picture), 2, 1)] == [{0}, {2}]
    assert (flipped(picture) == 2).all()


def test_a_profile_counts_and_times(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Profile(Net(), [24, 32], WORDS).run(tmp_path)
    facts = json.loads((tmp_path / "profile.json").read_text())
    assert facts["params"] == sum(p.numel() for p in Net().parameters())
    assert facts["macs"] == 24 * 32 * (3 * 8 * 9 + 8 * 3)
    assert facts["seconds_per_image"] > 0
    assert "fcn8s" in capsys.readouterr().out


def test_a_profile_of_a_wrong_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^Profile\(size=\[24\]\): expected"):
        Profile(Net(), [24], WORDS).run(tmp_path)
