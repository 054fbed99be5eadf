"""task=evaluate, predict and profile over a trained run."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import nn

from fcn_lab.errors import UserError
from fcn_lab.predictor import Predictor, load_weights
from fcn_lab.runfolder import RunFolder
from fcn_lab.tasks.evaluate import Evaluate
from fcn_lab.tasks.predict import Predict
from fcn_lab.tasks.profile import Profile
from tiny import WORDS, Net, Sided, Squares, make_train


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
    kept = np.load(RunFolder(tmp_path).confusions(split))
    assert tuple(kept["names"]) == Squares().frames(split).names
    assert kept["drives"].tolist() == [""] * len(kept["names"])


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
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(images / "c_deep.png")
    (images / "notes.txt").write_text("no picture")
    with pytest.raises(UserError, match=r"3 of 8 .*a_empty.*b_cut.*c_deep"):
        predict(run, images, tmp_path / "out")
    assert len(list((tmp_path / "out").iterdir())) == 2 * 5
    assert capsys.readouterr().out.count("not a readable picture") == 3


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


@pytest.mark.parametrize("given", ["nowhere", "nowhere/*.png", "."])
def test_an_input_without_pictures_is_refused(
    run: Path, given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no picture found"):
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
    ):
        with pytest.raises(UserError, match="expected uint8"):
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
    with pytest.raises(UserError, match=r"data\.size"):
        Profile(Net(), [24], WORDS).run(tmp_path)
