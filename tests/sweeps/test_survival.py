"""The whole thing: real trainings in real sweeps, under every engine, killed at random moments."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fcn_lab.runs.attempts import find_last_attempt, list_attempts
from support import clusters
from support.offline import offline_runs
from support.places import RUN

SMALL = (
    *("data=synthetic", "data.size=[32,48]", "data.batch_size=2", "encoder.widths=[4,4,8,8,8]"),
    *("+data.train=6", "+data.val=2", "+data.test=2", "encoder.head_width=8"),
    *("trainer.accelerator=cpu", "sweep.dir=all"),
)
FIFTEEN = (
    "model=fcn32s,fcn16s,fcn8s",
    "upsample=transposed,bilinear,nearest,max_unpool,bed_of_nails",
    *("logger=csv", "trainer.max_epochs=4"),
)
FOUR = ("model=fcn32s,fcn8s", "upsample=bilinear,max_unpool", "logger=csv", "trainer.max_epochs=1")

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("cells")]


def need(engine: str) -> None:
    if engine == "ray":
        pytest.importorskip("ray")
    if engine == "slurm":
        clusters.need_slurm()


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("RAY_worker_niceness", "0")


def sweep(*words: str) -> list[str]:
    return [sys.executable, str(RUN), "-m", *SMALL, *words]


def rows() -> list[dict[str, str]]:
    with Path("all/results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def epochs(cell: Path) -> list[int]:
    with (cell / "history.csv").open(newline="") as file:
        return [int(row["epoch"]) for row in csv.DictReader(file)]


def scores(run: Path) -> dict[str, object]:
    metrics: dict[str, object] = json.loads((run / "metrics.json").read_text())
    return {split: metrics[split] for split in ("val", "test")}


@pytest.mark.long
def test_fifteen_cells_survive_five_kills() -> None:
    seed = int.from_bytes(os.urandom(4))
    print(f"the moments are those of random.Random({seed})")
    moments = random.Random(seed)
    line = sweep(*FIFTEEN, "hydra/launcher=local", "sweep.retries=5")
    for victim in ("runner", "worker", "runner", "worker", "runner"):
        runner = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(moments.uniform(2.0, 20.0))
        running = [
            a for path in Path("all").glob("*/") if (a := find_last_attempt(path)) and a.is_alive()
        ]
        if victim == "worker" and running:
            os.kill(moments.choice(running).pid, signal.SIGKILL)
            time.sleep(moments.uniform(0.0, 2.0))
        runner.kill()
        runner.wait()
    subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
    table = rows()
    assert [row["status"] for row in table] == ["done"] * 15
    cells = [Path("all", row["cell"]) for row in table]
    for cell in cells:
        *before, final = [attempt.status for attempt in list_attempts(cell)]
        assert "done" not in before
        assert final == "done"
        assert epochs(cell) == [0, 1, 2, 3]
    # the cell that was interrupted most ends like the run that never was
    cell = max(cells, key=lambda cell: len(list_attempts(cell)))
    again = [f"--config-path={cell}", "--config-name=config", "hydra.run.dir=alone"]
    subprocess.run([sys.executable, str(RUN), *again], check=True, stdout=subprocess.DEVNULL)
    assert scores(Path("alone")) == scores(cell)


@pytest.mark.long
@pytest.mark.parametrize("engine", ["basic", "ray", "slurm"])
def test_a_grid_runs_under_every_engine(engine: str) -> None:
    need(engine)
    line = sweep(*FOUR, f"hydra/launcher={engine}")
    subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
    assert [row["status"] for row in rows()] == ["done"] * 4
    assert {len(list_attempts(Path("all", row["cell"]))) for row in rows()} == {1}


@pytest.mark.parametrize("engine", ["basic", "local"])  # the others have tests of their own
def test_a_cell_of_two_ranks_trains_once_in_one_folder(engine: str) -> None:
    ranks = ("trainer.devices=2", "trainer.strategy=ddp", "trainer.max_epochs=2")
    axes = ("seed=0,1", "upsample=bilinear", "logger=wandb")
    done = subprocess.run(
        sweep(*ranks, *axes, f"hydra/launcher={engine}"), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for cell in (Path("all/seed=0"), Path("all/seed=1")):
        assert [attempt.status for attempt in list_attempts(cell)] == ["done"]
        assert epochs(cell) == [0, 1]
        assert json.loads((cell / "env.json").read_text()).get("resumed", []) == []
        (run,) = offline_runs(cell)  # one run of W&B, of the first rank
        assert (run.run.run_group, run.run.display_name) == ("all", "train-fcn16s-bilinear-tiny")
        assert run.config["seed"] == int(cell.name.removeprefix("seed="))
    assert sorted(path.name for path in Path("all").glob("*/config.yaml")) == ["config.yaml"] * 2


def test_torchrun_starts_the_ranks_of_one_run() -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    words = [word for word in SMALL if not word.startswith("sweep.")]
    ranks = ["trainer.devices=2", "trainer.strategy=ddp", "trainer.max_epochs=1", "logger=none"]
    line = [*torchrun, "--standalone", str(RUN), *words, *ranks, "hydra.run.dir=both"]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert epochs(Path("both")) == [0]
    other = [word.replace("devices=2", "devices=1") for word in line]
    other[-1] = "hydra.run.dir=other"
    refused = subprocess.run(other, capture_output=True, text=True)
    assert refused.returncode != 0
    assert "2 processes were started, but trainer.devices=1" in refused.stderr
    assert not Path("other/metrics.json").exists()
    swept = subprocess.run([*line, "-m", "seed=0,1"], capture_output=True, text=True)
    assert swept.returncode != 0
    assert "torchrun starts the ranks of one run" in swept.stderr
