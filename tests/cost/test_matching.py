"""Equal capacity: the search against a cost it knows, and the matches that the project ships."""

import json
from pathlib import Path

import pytest

from fcn_lab.api import build_network
from fcn_lab.cost.macs import Cost, count_cost
from fcn_lab.cost.matching import fit_widths, pick_target, relative_gap
from fcn_lab.cost.sheet import Grid
from fcn_lab.errors import UserError
from fcn_lab.tasks.capacity import Capacity

WORDS = {"model": "fcn8s", "upsample": "bilinear", "encoder": "tiny"}


def bilinear_form(widths: tuple[int, int]) -> Cost:
    early, late = widths
    return Cost(50 * early + 900 * late + late**2, 4000 * early + 30 * early**2 + 40 * late)


def test_widths_that_were_hidden_are_found_again() -> None:
    found = fit_widths(bilinear_form, (32, 256), bilinear_form((45, 301)), 1e-9)
    assert (found.widths, found.distance) == ((45, 301), 0)


def test_a_cost_that_widths_cannot_reach_keeps_its_distance() -> None:
    found = fit_widths(lambda _: Cost(10, 10), (4, 4), Cost(20, 10), 0.01)
    assert found.distance == 0.5


def test_the_spread_is_the_worse_of_the_two() -> None:
    costs = [Cost(100, 50), Cost(102, 55)]
    assert relative_gap(costs) == pytest.approx(0.1)
    assert pick_target([Cost(1, 9), Cost(5, 2)]) == Cost(5, 9)


def capacity(folder: Path, tolerance: float, encoders: list[str] | None = None) -> None:
    typed = ["data=synthetic", "model=fcn8s"]
    grid = Grid(None, ["bilinear", "pixel_shuffle"], encoders, typed, build_network)
    widths = [32, 32, 64, 128, 256]
    Capacity(grid, ["none"], widths, 256, [32, 32], WORDS, tolerance).run(folder)


@pytest.mark.slow
def test_matched_arms_agree_when_they_are_built_from_the_widths_written(tmp_path: Path) -> None:
    capacity(tmp_path, 0.01)
    found = json.loads((tmp_path / "capacity.json").read_text())
    assert len(found) == 2
    costs = []
    for one in found:
        early, late = one["widths"]
        words = [f"model={one['arm'][0]}", f"upsample={one['arm'][1]}", "data=synthetic"]
        widths = [f"encoder.widths=[{early},32,64,128,256]", f"encoder.head_width={late}"]
        costs.append(count_cost(build_network([*words, *widths]), 32, 32))
    assert relative_gap(costs) <= 0.01
    assert "pixel_shuffle" in (tmp_path / "capacity" / "matched.yaml").read_text()


def test_the_widths_of_several_encoders_are_not_matched_together(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"encoders=\[tiny,own\]: .* one encoder at a time"):
        capacity(tmp_path, 0.01, ["tiny", "own"])


def test_an_arm_that_does_not_match_is_not_called_matched(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not matched within 0%"):
        capacity(tmp_path, 1e-9)
    assert not (tmp_path / "capacity").exists()


@pytest.mark.parametrize(
    ("word", "operators", "refines"),
    [
        ("matched", ("transposed", "bilinear", "max_unpool"), ("none", "conv")),
        ("matched_wide", ("bilinear", "bicubic", "pixel_shuffle", "carafe", "dysample"), ("conv",)),
    ],
)
@pytest.mark.parametrize("size", [(180, 240), pytest.param((360, 480), marks=pytest.mark.slow)])
def test_the_widths_that_the_project_ships_match(
    word: str, operators: tuple[str, ...], refines: tuple[str, ...], size: tuple[int, int]
) -> None:
    costs = []
    for upsample in operators:
        for refine in refines:
            arm = [f"upsample={upsample}", f"upsample.refine={refine}", "model=fcn8s"]
            costs.append(count_cost(build_network([*arm, f"capacity={word}"]), *size))
    assert relative_gap(costs) <= 0.01
