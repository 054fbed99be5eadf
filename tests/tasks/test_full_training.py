"""A training whose folder takes no more: what was computed is kept, and a resume completes it."""

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fcn_lab import errors, files
from fcn_lab.errors import WriteFailure
from fcn_lab.report import frames
from fcn_lab.report.runs import Run
from fcn_lab.runs.run import RunFolder
from fcn_lab.training.callbacks import predictions
from fcn_lab.training.loggers.base import RunLogger, guard_library
from support import fakeruns
from support.tiny import make_train, weights

pytestmark = pytest.mark.slow

# of the files that scoring leaves, how their names end
LATE = ("test_test0.png", "confusions.npz", "predictions.zip", "metrics.json")


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where scores go that their run's folder does not take."""
    place = tmp_path / "elsewhere"
    place.mkdir()
    monkeypatch.setattr(files, "list_usual_folders", lambda: iter([place]))
    return place


def fail_for(monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    """Makes the disk full for files whose names end so."""
    replace = Path.replace

    def refuse(self: Path, target: Path) -> Path:
        if str(target).endswith(ending):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refuse)


def drafts(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.name.startswith(".part-"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = tmp_path_factory.mktemp("whole") / "run"
    make_train().run(folder)
    return RunFolder(folder)


@pytest.mark.parametrize("ending", LATE)
def test_scores_are_kept_and_a_resume_completes_the_run(
    ending: str,
    whole: RunFolder,
    elsewhere: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = RunFolder(tmp_path / "run")
    expected = whole.read_metrics()
    with monkeypatch.context() as patch:
        fail_for(patch, ending)
        with pytest.raises(WriteFailure) as caught:
            make_train().run(run.path)
    first, second = str(caught.value).split("\n")
    assert ending in first
    assert f"resume={run.path}" in second
    assert "mean IoU" in capsys.readouterr().out
    (kept,) = [path for path in (*run.path.glob("scores-*"), *elsewhere.iterdir())]
    assert str(kept) in first
    assert json.loads(kept.read_text())["test"] == expected["test"]
    assert not run.metrics.exists()
    assert not list(drafts(tmp_path))
    make_train(resume=True).run(run.path)
    assert run.read_metrics()["test"] == expected["test"]
    assert run.predictions().is_file()
    assert not list(run.path.glob("scores-*"))


class Full(RunLogger):
    """A logger whose disk is full from the first picture of test on, or when it is closed."""

    name, version = "full", 0

    def __init__(self, method: str) -> None:
        super().__init__()
        self.method = method

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None: ...

    def log_hyperparams(self, *args: object, **more: object) -> None: ...

    def show(self, split: str, pictures: object, step: int) -> None:
        self._meet("show" if split == "test" else "")

    def conclude(self, scores: object, matrices: object) -> None:
        self._meet("conclude")

    def close(self, status: int) -> None:
        self._meet("close")

    def _meet(self, method: str) -> None:
        if method == self.method:
            with guard_library(Path("the log")):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "the log")


@pytest.mark.parametrize("method", ["show", "conclude", "close"])
def test_a_log_that_cannot_be_written_costs_no_score(
    method: str,
    whole: RunFolder,
    elsewhere: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    (run.path / "config.yaml").write_text("{}")
    with pytest.raises(WriteFailure, match="the log cannot be written: no space is left") as caught:
        make_train(loggers={"full": lambda info: Full(method)}).run(run.path)
    assert f"resume={run.path}" in str(caught.value)
    assert "mean IoU" in capsys.readouterr().out
    (kept,) = run.path.glob("scores-*")
    assert json.loads(kept.read_text())["test"] == whole.read_metrics()["test"]
    assert not run.metrics.exists()
    make_train(resume=True).run(run.path)
    assert run.read_metrics()["test"] == whole.read_metrics()["test"]


@pytest.mark.parametrize("ending", ["history.csv", "best.ckpt", "last.ckpt", "val_val0.png"])
def test_a_training_that_cannot_go_on_leaves_whole_files(
    ending: str, whole: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(tmp_path / "run")
    with monkeypatch.context() as patch:
        fail_for(patch, ending)
        with pytest.raises(WriteFailure, match=f"{ending} cannot be written: no space is left"):
            make_train().run(run.path)
    assert not list(drafts(tmp_path))
    make_train(resume=run.last_checkpoint.exists()).run(run.path)
    assert run.read_metrics()["test"] == whole.read_metrics()["test"]
    ours, theirs = weights(run.last_checkpoint), weights(whole.last_checkpoint)
    assert all((ours[name] == theirs[name]).all() for name in theirs)


def test_an_archive_takes_nothing_more_once_it_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    omissions = errors.Omissions()
    archive = predictions.Archive(tmp_path / "kept.zip", omissions)
    archive.add({"one": b"1"})
    with monkeypatch.context() as patch:
        patch.setattr("zipfile.ZipFile.writestr", lambda *_: (_ for _ in ()).throw(
            OSError(errno.ENOSPC, "full")))  # fmt: skip
        archive.add({"two": b"2"})
    archive.add({"three": b"3"})
    archive.publish()
    assert len(omissions.errors) == 1
    assert not list(tmp_path.iterdir())


def test_an_archive_is_no_larger_than_a_report_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    limit, omissions, path = 20_000, errors.Omissions(), tmp_path / "predictions.zip"
    frame = {"jpg": b"1" * 900, "truth.png": b"2" * 900, "png": b"3" * 900}
    archive = predictions.Archive(path, omissions, limit)
    for number in range(10):
        archive.add({f"{number}.{ending}": content for ending, content in frame.items()})
    archive.publish()
    assert omissions.errors == []
    monkeypatch.setattr(frames, "PREDICTIONS_LIMIT", limit)
    run = fakeruns.write_run(tmp_path / "run", *fakeruns.street(3), predictions=False)
    path.rename(run / path.name)
    keeper = frames.PredictionArchive.open(Run.read(run))
    held = [number for number in range(10) if keeper.holds(str(number))]
    assert held == list(range(len(held)))
    assert 1 <= len(held) < 10
    assert f"{10 - len(held)} frames did not fit" in capsys.readouterr().out
    with (run / path.name).open("ab") as file:
        file.write(bytes(limit))
    with pytest.raises(ValueError, match="larger than"):
        frames.PredictionArchive.open(Run.read(run))
