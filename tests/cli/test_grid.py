"""The combinations of a sweep are those of Hydra's own sweeper."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobStatus
from hydra.errors import HydraException
from hydra_plugins.fcn_lab_grid import GridSweeper
from hydra_plugins.fcn_lab_launcher import CellReturn

from fcn_lab.errors import SweepFailure, UserError

AXES = [
    ["seed=1,2,3"],
    ["model=fcn8s,fcn16s", "upsample=nearest", "seed=range(3)"],
    ["+a=[1,2],[3]", "~flip", "b={x:1},{x:2}", "c='p,q',r"],
    ["seed=glob(*)", "seed=1,2"],
    ["seed=5", "lr=choice(0.1,0.2)", "lr=0.3"],
    [],
]


class Recorder:
    """A launcher that writes down what it is given; its first cell may fail."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.batches: list[tuple[int, Sequence[Sequence[str]]]] = []
        self.failure = failure

    def launch(self, batch: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[Any]:
        self.batches.append((initial_job_idx, batch))
        return [self.end(initial_job_idx + number) for number in range(len(batch))]

    def end(self, number: int) -> CellReturn:
        result = CellReturn()
        if number == 0 and self.failure is not None:
            result.status, result.return_value = JobStatus.FAILED, self.failure
        return result


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def sweep(recorder: Recorder, arguments: list[str], **options: Any) -> None:  # noqa: ANN401
    sweeper = GridSweeper(**options)
    loader = SimpleNamespace(get_group_options=lambda *_, **__: ["one", "two"])
    sweeper.loader, sweeper.cells = loader, recorder  # type: ignore[assignment]
    sweeper.sweep(arguments)


@pytest.mark.parametrize("size", [None, 1, 2, 100])
@pytest.mark.parametrize("arguments", AXES, ids=" ".join)
def test_every_combination_is_launched_once_in_hydras_order(
    recorder: Recorder, arguments: list[str], size: int | None
) -> None:
    sweep(recorder, arguments, max_batch_size=size)
    loader: Any = SimpleNamespace(get_group_options=lambda *_, **__: ["one", "two"])
    parsed = OverridesParser.create(config_loader=loader).parse_overrides(arguments)
    expected = BasicSweeper.split_arguments(parsed, size)
    assert [batch for _, batch in recorder.batches] == expected
    done = 0
    for first, batch in recorder.batches:
        assert first == done
        done += len(batch)


def test_the_command_lines_axes_count_more_than_declared_ones(recorder: Recorder) -> None:
    sweep(recorder, ["seed=5"], params={"seed": "1,2", "model": "unet"})
    assert recorder.batches == [(0, [["seed=5", "model=unet"]])]


def test_an_interval_is_refused_with_what_to_type(recorder: Recorder) -> None:
    with pytest.raises(HydraException, match=r"lr=interval\(0,1\): .*lr=0.1,0.2\n.*optuna"):
        sweep(recorder, ["lr=interval(0,1)"])


@pytest.mark.parametrize(("stop", "count"), [(False, 3), (True, 1)])
def test_a_failure_ends_batches_at_once_only_where_that_was_said(stop: bool, count: int) -> None:
    recorder = Recorder(failure=SweepFailure("the first"))
    sweeper = GridSweeper(max_batch_size=1)
    sweeper.loader, sweeper.cells = SimpleNamespace(), recorder  # type: ignore[assignment]
    sweeper.stops_at_failure = stop
    with pytest.raises(SweepFailure, match="the first"):
        sweeper.sweep(["seed=0,1,2"])
    assert len(recorder.batches) == count


@pytest.mark.parametrize("size", [0, -1, 1.5, "all"])
def test_a_size_of_batches_that_is_none_is_refused(recorder: Recorder, size: object) -> None:
    with pytest.raises(UserError, match=f"max_batch_size={size}: expected an integer of at least"):
        sweep(recorder, ["seed=1,2"], max_batch_size=size)
    assert recorder.batches == []
