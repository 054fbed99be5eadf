"""Sweeps: frozen whole before they start, each cell on its own, failures told at the end."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra_plugins.fcn_lab_launcher import UNSCORED_TASKS

from fcn_lab.runs.sweep import Progress
from fcn_lab.sweeps.loop import Sweep
from support.commandline import TypeLine
from support.places import ROOT, RUN
from support.thin import thin_out
from support.waiting import PATIENCE, wait_until


def sweep(*words: str) -> list[str]:
    return [sys.executable, str(RUN), *words, "-m", "task=stub", "hydra.sweep.dir=all"]


def rows() -> dict[str, dict[str, str]]:
    with Path("all/results.csv").open(newline="") as file:
        return {row["cell"]: row for row in csv.DictReader(file)}


def stand_still(sweep: Sweep) -> dict[str, Progress]:
    return {cell.name: cell.read_progress() for cell in sweep.cells}


def test_hydra_finds_the_launcher() -> None:
    found = {launcher.__name__ for launcher in Plugins.instance().discover(Launcher)}
    assert "CellLauncher" in found


def test_a_task_without_scores_is_no_cell(type_line: TypeLine) -> None:
    tasks = {file.stem for file in (ROOT / "conf" / "task").glob("*.yaml")}
    assert tasks - set(UNSCORED_TASKS) == {"train", "staged", "evaluate"}
    refused = type_line("-m", "task=train,profile", "seed=0,1", "sweep.dir=all")
    assert refused.status == 2
    assert "task=profile" in refused.err
    assert "Leave out -m" in refused.err
    assert not Path("all").exists()


@pytest.mark.slow
def test_a_failing_cell_is_told_and_the_others_run(
    stub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = subprocess.run(
        sweep(stub, "task.kind=work,fail", "model=fcn8s", "seed=1,2"),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr == ""
    names = [f"seed={seed},task.kind={kind}" for kind in ("work", "fail") for seed in (1, 2)]
    names = [",".join(reversed(name.split(","))) for name in names]
    table = rows()
    assert list(table) == names
    assert [row["status"] for row in table.values()] == ["done", "done", "failed", "failed"]
    assert table[names[1]]["model"] == "fcn8s"
    assert table[names[1]]["seed"] == "2"
    assert table[names[1]]["test_mean_iou"] == "0.25"
    assert table[names[1]]["params"] == "7"
    for name in names[2:]:
        assert table[name]["reason"] == "RuntimeError: went wrong"
        assert f"{name} failed: RuntimeError: went wrong" in done.stdout.replace("\n", "")
    facts = [json.loads(Path("all", name, "facts.json").read_text()) for name in names]
    # every cell saw all four frozen, and each was a process of its own
    assert [fact["siblings"] for fact in facts] == [sorted(names)] * 4
    assert len({fact["pid"] for fact in facts}) == 4
    assert "RuntimeError" in Path("all", names[2], "log.txt").read_text()


def test_a_wrong_word_in_the_last_cell_stops_the_first_from_starting(
    type_line: TypeLine, stub: str
) -> None:
    ended = type_line(stub, "-m", "task=stub", "model=fcn8s,fcn9s", "hydra.sweep.dir=all")
    assert ended.status == 2
    assert "fcn9s" in ended.err
    assert not list(Path("all").glob("*/*"))


@pytest.mark.slow
def test_a_cell_knows_its_name_and_its_group(
    type_line: TypeLine, stub: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fcn_lab.sweeps.loop.Sweep.run", stand_still)
    line = ["-m", "task=stub", "model=fcn8s,unet", "data=synthetic", "hydra.sweep.dir=all"]
    ended = type_line(stub, *line)
    assert ended.status == 1  # nothing ran, so nothing is done
    assert sorted(p.parent.name for p in Path("all").glob("*/config.yaml")) == [
        "model=fcn8s",
        "model=unet",
    ]
    text = Path("all/model=unet/config.yaml").read_text()
    assert "name: model=unet\n" in text
    assert "group: all\n" in text
    # it keeps the group where its folder is given another name
    Path("all").rename("moved, to=here")
    again = type_line(stub, *line[:-1], "sweep.dir=moved, to=here")
    assert again.status == 1, again.err
    assert Path("moved, to=here/model=unet/config.yaml").read_text() == text


def test_a_cell_is_named_by_what_is_its_own_and_its_arm_by_that_without_the_seed(
    type_line: TypeLine, stub: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fcn_lab.sweeps.loop.Sweep.run", stand_still)
    for axes, folder, name, arm in [
        ("model=fcn8s,unet", "two", "model=unet,seed=1", "model=unet"),
        ("model=unet", "seeds", "seed=1", "stub-unet-transposed-tiny"),
    ]:
        # a flag is written `True` by Hydra and `true` by people; it is shared all the same
        words = ["-m", "task=stub", axes, "seed=0,1", "flip=true", "sweep.accept_changes=true"]
        type_line(stub, *words, f"sweep.dir={folder}")
        assert len(list(Path(folder).glob("*/config.yaml"))) == (4 if "," in axes else 2)
        config = yaml.safe_load(Path(folder, name, "config.yaml").read_text())
        assert (config["name"], config["arm"], config["seed"]) == (name, arm, 1)
    type_line(stub, "-m", "task=stub", "model=unet", "sweep.dir=one")
    assert Path("one/stub-unet-transposed-tiny/config.yaml").is_file()


def test_words_that_no_cell_reads_are_told_once(
    type_line: TypeLine, stub: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fcn_lab.sweeps.loop.Sweep.run", stand_still)
    told = type_line(stub, "-m", "task=stub", "optim=sgd", "seed=0,1", "sweep.dir=all").out
    assert told.count("optim=sgd has no effect: with task=stub nothing reads optim\n") == 1


def test_a_name_too_long_for_a_folder_is_cut_and_stays_its_own(
    type_line: TypeLine, stub: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fcn_lab.sweeps.loop.Sweep.run", stand_still)
    for long, place in (("/far/away" * 40, "all"), ("/写真" * 40, "others")):
        type_line(stub, "-m", "task=stub", f"init_from={long}/a,{long}/b", f"sweep.dir={place}")
        names = [path.parent.name for path in Path(place).glob("*/config.yaml")]
        assert len(set(names)) == 2
        assert max(map(len, names)) < 150
        assert max(len(os.fsencode(name)) for name in names) < 240  # of the 255 that there are


@pytest.mark.parametrize(
    ("axes", "names"),
    [
        (("seed=0,1,1",), ["seed=0", "seed=1"]),
        (("seed=2", "seed=0,1"), ["seed=0", "seed=1"]),
        (("seed=0,1", "seed=2"), ["stub-fcn16s-transposed-tiny"]),
    ],
)
def test_the_last_axis_of_a_key_counts_and_a_value_given_twice_is_one_cell(
    axes: tuple[str, ...],
    names: list[str],
    type_line: TypeLine,
    stub: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fcn_lab.sweeps.loop.Sweep.run", stand_still)
    ended = type_line(stub, "-m", "task=stub", *axes, "sweep.dir=all")
    assert (ended.status, ended.err) == (1, "")  # nothing ran, so nothing is done
    assert sorted(path.parent.name for path in Path("all").glob("*/config.yaml")) == names


def test_cells_that_differ_in_what_no_name_shows_are_refused(
    type_line: TypeLine, stub: str
) -> None:
    ended = type_line(stub, "-m", "task=stub", "group=a/b,a:b", "sweep.dir=all")
    assert ended.status == 2
    assert "two cells differ in group and would both be named group=a-b" in ended.err
    assert not list(Path("all").glob("*/*"))


@pytest.mark.parametrize("signum", thin_out([signal.SIGINT, signal.SIGTERM], every=2))
def test_a_signal_ends_the_running_cell_and_the_sweep(
    signum: signal.Signals, stub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    line = sweep(stub, "task.kind=sleep", "seed=1,2")
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    log = Path("all/seed=1/log.txt")
    wait_until(lambda: log.exists() and "asleep" in log.read_text())
    process.send_signal(signum)
    _, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (128 + signum, "")
    assert [row["status"] for row in rows().values()] == ["stopped", "waiting"]
    with pytest.raises(ProcessLookupError):
        os.kill(json.loads(Path("all/seed=1/facts.json").read_text())["pid"], 0)
