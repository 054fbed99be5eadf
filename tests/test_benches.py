"""The benchmarks of a sweep's cost run on the lab as it is; what they find is not judged here."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from support.places import ROOT

pytestmark = pytest.mark.slow


def test_engines_and_the_start_of_a_cell_are_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "experiments"))
    bench: ModuleType = importlib.import_module("bench_sweep")
    monkeypatch.setattr(bench, "ENGINES", ("basic",))
    result = bench.measure(1, 1, tmp_path)
    bench.print_tables(result)
    assert json.loads(json.dumps(result)) == result
    starts = result["start"]
    assert starts.keys() == {"import", "cell", "help", "first line", "ratio"}
    # a cell imports what the bare import does, and no start takes as long as the whole sweep
    assert starts["first line"]["seconds"] < starts["import"]["seconds"]
    assert starts["import"]["processor"] > 0
    assert max(times["seconds"] for times in starts.values()) < result["engines"]["basic"]
    # copies of ten arms under other rates are arms of their own
    assert result["report"]["arms"] > 10
    assert (tmp_path / "basic" / "seed=0" / "metrics.json").exists()
    assert "of basic" in capfd.readouterr().out


@pytest.mark.parametrize("recipe", ["camvid_cpu", "camvid_pretrained"])
def test_the_parts_of_a_recipes_step_are_its_whole(recipe: str) -> None:
    words = ["data=synthetic", "data.size=[64,96]", "augment.crop=[48,64]", "data.batch_size=2"]
    command = [sys.executable, str(ROOT / "experiments" / "bench_recipes.py"), "--child"]
    command += [f"experiment={recipe}", "trainer.precision=32-true", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert sum(found["shares"].values()) == pytest.approx(1)
    assert found["shares"]["convolution"] > found["shares"]["the optimiser"] > 0
    assert found["frames"] * found["epoch"] == pytest.approx(160)


def test_a_sweep_of_cells_that_do_nothing_is_simulated(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "experiments"))
    bench: ModuleType = importlib.import_module("bench_plan")
    result = bench.simulate(4, tmp_path / "many")
    assert result["cells"] == len(list((tmp_path / "many").glob("all/*/metrics.json"))) == 4
    assert 0 < result["frozen_after"] < result["seconds"]
