"""Stages: what the finer net reproduces of the coarser, and a training through all of them."""

import json
import shutil
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from fcn_lab.encoders import TinyEncoder
from fcn_lab.errors import UserError
from fcn_lab.networks.fcn import FCN, climb_levels, coarsen
from fcn_lab.networks.weights.warm_start import transplant
from fcn_lab.runs.attempts import begin_attempt
from fcn_lab.runs.outcomes import read_all_epochs, read_history
from fcn_lab.runs.run import RunFolder
from fcn_lab.runs.sweep import Cell
from fcn_lab.signals import StoppedBySignal
from fcn_lab.tasks.staged import TrainInStages, split_epochs
from fcn_lab.tasks.train import Train
from fcn_lab.training.loggers.base import RunInfo, RunLogger
from fcn_lab.training.loggers.files import Csv
from fcn_lab.upsampling import (
    BedOfNails,
    Bicubic,
    Bilinear,
    Carafe,
    MaxUnpool,
    Nearest,
    PixelShuffle,
    TransposedConv,
    UpConv,
)
from fcn_lab.upsampling.base import Upsampling
from support.commandline import METRICS
from support.operators import FORMS as ALL_FORMS
from support.tiny import make_train

SMALL: dict[str, Any] = {"widths": (4, 4, 6, 6, 8), "depths": (1, 1, 1, 1), "head_width": 8}
OPERATORS = [
    TransposedConv,
    Bilinear,
    Nearest,
    MaxUnpool,
    BedOfNails,
    Bicubic,
    UpConv,
    PixelShuffle,
]
COMPOSE = {Nearest, MaxUnpool, BedOfNails, Carafe}  # ×f = ×(f/2) ∘ ×2 on their own
FORMS = [form for form in ALL_FORMS if form[0] in (*OPERATORS, Carafe)]
EXACT = [(k, r) for k, r in FORMS if k in COMPOSE or r != "none"]


def pair(kind: type[Upsampling], refine: str, stride: int) -> tuple[FCN, FCN, Tensor]:
    """A coarse net that has trained, in a manner of speaking, the next finer from it, images."""
    torch.manual_seed(0)
    fine = FCN(TinyEncoder(**SMALL), partial(kind, refine=refine), 3, stride)
    coarse = coarsen(fine, 2 * stride)
    with torch.no_grad():
        for parameter in coarse.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    transplant(fine, coarse.state_dict())
    return coarse.eval(), fine.eval(), torch.rand(2, 3, 40, 70)


@pytest.mark.parametrize("stride", [16, 8, 2])
@pytest.mark.parametrize(("kind", "refine"), EXACT)
@torch.inference_mode()
def test_where_climbs_compose_the_finer_net_begins_as_the_coarser_one(
    kind: type[Upsampling], refine: str, stride: int
) -> None:
    coarse, fine, images = pair(kind, refine, stride)
    assert torch.equal(fine(images), coarse(images))


@pytest.mark.parametrize("stride", [16, 8])
@pytest.mark.parametrize(("kind", "refine"), FORMS)
@torch.inference_mode()
def test_the_finer_net_begins_with_the_scores_of_the_coarser_one_climbed_by_two(
    kind: type[Upsampling], refine: str, stride: int
) -> None:
    coarse, fine, images = pair(kind, refine, stride)
    scores, features, level = coarse.coarse_scores(images)
    climb = getattr(fine, fine.skips[-1][1])
    expected = climb_levels(climb, scores, features.switches, [level])
    assert torch.equal(fine.coarse_scores(images)[0], expected)


@pytest.mark.parametrize("kind", [k for k in OPERATORS if k not in COMPOSE])
@torch.inference_mode()
def test_a_kernel_that_overlaps_or_was_learned_does_not_compose(kind: type[Upsampling]) -> None:
    coarse, fine, images = pair(kind, "none", 16)
    assert not torch.allclose(fine(images), coarse(images), atol=1e-3)


@pytest.mark.parametrize("stride", [16, 8])
@torch.inference_mode()
def test_the_first_stage_starts_with_the_scores_of_the_whole(stride: int) -> None:
    whole = FCN(TinyEncoder(**SMALL), Bilinear, 3, stride).eval()
    images = torch.rand(1, 3, 32, 64)
    scores = coarsen(whole, 32).eval().coarse_scores(images)[0]
    climbed = Bilinear(3, 2)(scores if stride == 16 else Bilinear(3, 2)(scores))
    assert torch.equal(whole.coarse_scores(images)[0], climbed)


def test_the_epochs_of_the_stages_add_up() -> None:
    for epochs in range(3, 12):
        parts = split_epochs(epochs, 3)
        assert sum(parts) == epochs
        assert min(parts) == parts[0] >= 1


def make(**fields: Any) -> TrainInStages:  # noqa: ANN401
    train = make_train({"max_epochs": 4})
    parts = {**vars(train), "net": FCN(TinyEncoder(**SMALL), Nearest, 3, 8), **fields}
    return TrainInStages(**parts)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("staged")
    make().run(folder)
    return folder


def test_a_stage_begins_the_same_after_a_stop_between_stages() -> None:
    """Its new climbs were drawn from wherever the process had got to."""
    staged = make(net=FCN(TinyEncoder(**SMALL), UpConv, 3, 8))
    nets = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        nets.append(staged._coarsen_net(1).state_dict())
        assert torch.initial_seed() == seed
    assert nets[0].keys() == nets[1].keys()
    assert all(torch.equal(tensor, nets[1][name]) for name, tensor in nets[0].items())


def test_stages_leave_runs_and_the_whole_is_one_on_the_whole_budget(done: Path) -> None:
    places = [RunFolder(done / "stages" / n) for n in ("fcn32s", "fcn16s")] + [RunFolder(done)]
    assert [p.read_metrics()["model"] for p in places] == ["fcn32s", "fcn16s", "fcn8s"]
    assert sum(len(read_history(place.path)) for place in places) == make().training.max_epochs
    seconds = [place.read_metrics()["seconds"] for place in places]
    assert seconds == sorted(seconds)
    assert seconds[0] > 0


def test_the_epochs_of_all_stages_are_counted_through(done: Path) -> None:
    rows = read_all_epochs(done)
    assert [int(row["epoch"]) for row in rows] == list(range(make().training.max_epochs))
    steps = [int(row["step"]) for row in rows]
    assert steps == [(number + 1) * steps[0] for number in range(len(steps))]
    assert rows[0]["train/loss"] == read_history(done / "stages/fcn32s")[0]["train/loss"]


def test_a_sweep_counts_the_epochs_of_all_stages(done: Path, tmp_path: Path) -> None:
    whole = make().training.max_epochs
    assert list(Cell("whole", done, {}).curve()) == list(range(1, whole + 1))
    shutil.copytree(done / "stages", tmp_path / "stages")
    begin_attempt(tmp_path).end("stopped")
    before_the_last = [len(read_history(stage)) for stage in (tmp_path / "stages").iterdir()]
    assert Cell("part", tmp_path, {}).read_progress().epochs == sum(before_the_last) > 0


def test_a_signal_at_the_end_of_a_stage_stops_before_the_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Signalling(Csv):
        def __call__(self, run: RunInfo) -> RunLogger:
            logger = super().__call__(run)
            logger.conclude = lambda *_: signal.raise_signal(signal.SIGTERM)  # type: ignore[method-assign]
            return logger

    with pytest.raises(StoppedBySignal):
        make(loggers={"csv": Signalling()}).run(tmp_path)
    assert (tmp_path / "stages/fcn32s/metrics.json").exists()
    assert not (tmp_path / "stages/fcn16s").exists()
    assert f"resume={tmp_path}" in capsys.readouterr().out


def test_a_rate_of_a_part_counts_in_the_stages_that_have_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[dict[str, float]] = []

    def note(task: Train, folder: Path) -> None:
        task.optim.parameter_groups(task.net)
        rates.append(dict(task.optim.rates))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "metrics.json").write_text(METRICS.replace("{", '{"seconds": 1.0, ', 1))

    monkeypatch.setattr(Train, "run", note)
    optim = make().optim
    whole = {"encoder": 0.1, "score_pool4": 10.0}
    make(optim=replace(optim, rates=whole)).run(tmp_path)
    assert rates == [{"encoder": 0.1}, whole, whole]
    with pytest.raises(UserError, match="score_pool2: the network has no such part"):
        make(optim=replace(optim, rates={"score_pool2": 10.0})).run(tmp_path)


def test_each_stage_starts_from_the_one_before_and_one_that_was_stopped_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[str, object, bool]] = []

    def note(task: Train, folder: Path) -> None:
        started.append((task.words["model"], task.init_from, task.resume))
        (folder / "metrics.json").write_text(METRICS.replace("{", '{"seconds": 1.0, ', 1))

    stages = tmp_path / "stages"
    stopped = stages / "fcn16s" / "checkpoints" / "last.ckpt"
    stopped.parent.mkdir(parents=True)
    stopped.touch()
    (stages / "fcn32s").mkdir()
    monkeypatch.setattr(Train, "run", note)
    make(init_from="RUN").run(tmp_path)
    assert started == [
        ("fcn32s", "RUN", False),
        ("fcn16s", stages / "fcn32s", True),
        ("fcn8s", stages / "fcn16s", False),
    ]


def test_a_stage_that_is_done_is_not_trained_again(
    done: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {p: p.stat().st_mtime_ns for p in (done / "stages").rglob("*.ckpt")}
    metrics = (done / "metrics.json").read_text()
    (done / "metrics.json").unlink()
    make(resume=True).run(done)
    assert {p: p.stat().st_mtime_ns for p in (done / "stages").rglob("*.ckpt")} == before
    again = json.loads((done / "metrics.json").read_text())
    assert {**again, "seconds": 0} == {**json.loads(metrics), "seconds": 0}


def test_no_stage_repeats_anothers_draws_and_all_are_recorded_under_one_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn, recorded = [], set()

    def note(task: Train, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "metrics.json").write_text(METRICS.replace("{", '{"seconds": 1.0, ', 1))
        module = task.create_module()
        drawn.append((module.seed - task.seed, task.data.seed - task.seed))
        recorded.add(task.seed)

    monkeypatch.setattr(Train, "run", note)
    make(seed=1).run(tmp_path)
    assert recorded == {1}
    assert drawn[0] == (0, 0)
    assert all(len(set(seeds)) == 3 for seeds in zip(*drawn, strict=True))


@pytest.mark.slow
def test_every_stage_logs_what_was_asked_of_the_whole(tmp_path: Path) -> None:
    told: list[tuple[str, object]] = []

    def note(run: RunInfo) -> RunLogger:
        told.append((run.folder.name, run.config))
        return Csv()(run)

    (tmp_path / "config.yaml").write_text("seed: 3")
    make(loggers={"note": note}).run(tmp_path)
    assert told == [(name, {"seed": 3}) for name in ("fcn32s", "fcn16s", tmp_path.name)]


def test_what_cannot_be_staged_is_refused_before_it_starts() -> None:
    with pytest.raises(UserError, match="no coarser stage"):
        make(net=FCN(TinyEncoder(**SMALL), Nearest, 3, 32))
    with pytest.raises(UserError, match=r"stage_rates: 2 factors, expected 3"):
        make(rates=[1.0, 0.1])
    with pytest.raises(UserError, match=r"trainer\.max_epochs=2 over 3 stages"):
        make(training=make_train({"max_epochs": 2}).training)
