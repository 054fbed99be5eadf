"""Every command on a full and on a read-only disk: two lines that name the place, nothing half."""

import json
import os
import shlex
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fcn_lab.runs.sweep import Cell, SweepFolder
from support.commandline import Ended
from support.forked import type_line

pytestmark = pytest.mark.slow
SMALL = "encoder.widths=[4,4,8,8,8] encoder.head_width=8 trainer.accelerator=cpu augment=none"
NET = f"model=fcn32s upsample=bilinear {SMALL}"
DATA = (
    "data=folder data.root={data} data.images=photos/*.png data.masks=masks/*.png "
    "data.names=[ground,square] 'data.splits={{train: 0.5, val: 0.25, test: 0.25}}' "
    "data.batch_size=2 +data.cache={cache}"
)
TRAIN = f"{DATA} {NET} trainer.max_epochs=1"
# the command of each name; {place} is full or read-only, {run} a finished run elsewhere, {inside}
# one in the place, {stopped} in the place one that is to go on, {free} a folder elsewhere
COMMANDS = {
    "train": f"{TRAIN} logger=none hydra.run.dir={{place}}/run",
    "train csv": f"{TRAIN} logger=csv hydra.run.dir={{place}}/run",
    "train tensorboard": f"{TRAIN} logger=tensorboard hydra.run.dir={{place}}/run",
    "train wandb": f"{TRAIN} logger=wandb hydra.run.dir={{place}}/run",
    "staged": f"task=staged {DATA} {NET} model=fcn16s trainer.max_epochs=2 logger=none "
    "hydra.run.dir={place}/run",
    "resume": "resume={stopped}",
    "evaluate": "task=evaluate run={run} hydra.run.dir={place}/run",
    "predict": "task=predict run={run} input={data}/photos output={place}/out "
    "hydra.run.dir={free}/run",
    "predict folder": "task=predict run={run} input={data}/photos output={free}/out "
    "hydra.run.dir={place}/run",
    "predict scores": "task=predict run={run} input={data}/photos output={place}/out scores=true "
    "hydra.run.dir={free}/run",
    "profile": f"task=profile data=synthetic data.size=[32,32] {NET} hydra.run.dir={{place}}/run",
    "profile sheet": f"task=profile data=synthetic data.size=[32,32] {NET} models=[fcn32s] "
    "hydra.run.dir={place}/run",
    "capacity": f"task=capacity data=synthetic data.size=[32,32] {NET} models=[fcn32s] "
    "upsamples=[bilinear,nearest] refines=[none] hydra.run.dir={place}/run",
    "ceilings": f"task=ceilings {DATA} hydra.run.dir={{place}}/run",
    "shapes": f"task=shapes data=synthetic data.size=[32,32] {NET} hydra.run.dir={{place}}/run",
    "export onnx": "task=export run={run} format=onnx output={place}/net.onnx "
    "hydra.run.dir={free}/run",
    "export torchscript": "task=export run={run} format=torchscript output={place}/net.pt "
    "hydra.run.dir={free}/run",
    "export torch_export": "task=export run={run} format=torch_export output={place}/net.pt2 "
    "hydra.run.dir={free}/run",
    "export folder": "task=export run={run} format=torchscript output={free}/net.pt "
    "hydra.run.dir={place}/run",
    "audit": f"task=audit {DATA} hydra.run.dir={{place}}/run",
    "report": "task=report runs={inside}",
    "report output": "task=report runs={run} output={place}/report",
    "dashboard": "task=dashboard runs={run} output={place}/dashboard",
    "sweep": f"-m {TRAIN} seed=0,1 logger=none sweep.dir={{place}}/sweep",
    "search": f"-m {TRAIN} optim.lr=interval(0.01,0.1) hydra/sweeper=optuna "
    "hydra.sweeper.n_trials=1 logger=none sweep.dir={place}/sweep",
    "pack": f"{TRAIN} logger=none +data.cache={{place}}/cache hydra.run.dir={{free}}/run".replace(
        "+data.cache={cache} ", ""
    ),
}
# what only reads goes through where nothing can be written
ONLY_READS = {
    "status": "task=status sweep.dir={place}/kept",
    "report elsewhere": "task=report runs={inside} output={free}/report",
    "evaluate a run there": "task=evaluate run={inside} hydra.run.dir={free}/run",
    "predict from a run there": "task=predict run={inside} input={data}/photos output={free}/out "
    "hydra.run.dir={free}/run",
}
# whoever writes elsewhere than into a claimed run's folder; train stands for all that claim one
FIRST = (
    *("train", "resume", "predict", "predict scores", "export torchscript", "report"),
    *("report output", "dashboard", "sweep", "search", "pack"),
)
# 20 KB, 80 KB and 1 MB are left for these
TIGHT = (
    *("train", "train csv", "train tensorboard", "train wandb", "staged", "resume", "evaluate"),
    *("predict", "predict scores", "export onnx", "export torchscript", "export torch_export"),
    *("report", "report output", "audit", "sweep", "search", "pack"),
)
# pages of 4 KiB that a full disk still has: enough to claim a folder, and to begin in it
ROOM = {
    8: (
        *("train csv", "train tensorboard", "train wandb", "staged", "resume", "evaluate"),
        *("predict", "predict folder", "profile", "profile sheet", "capacity", "ceilings"),
        *("shapes", "export folder", "audit", "report", "dashboard", "sweep"),
    ),
    5: TIGHT,
    20: TIGHT,
    40: ("train", "train wandb", "staged", "evaluate", "predict", "report", "audit"),
    80: ("train wandb", "train tensorboard", "evaluate", "sweep", "report"),
    256: TIGHT,
}


def typed(line: str, cwd: Path) -> Ended:
    return type_line(shlex.split(line), cwd)


def mount(place: Path, megabytes: int) -> None:
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")


def fill(place: Path, pages: int) -> None:
    free = os.statvfs(place).f_bavail * os.statvfs(place).f_frsize
    with (place / "filler").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(free - (pages << 12), 1))


def seal(place: Path, pages: int) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A data set, a finished run, a stopped one and a sweep."""
    root = tmp_path_factory.mktemp("made")
    data, rng = root / "data", np.random.default_rng(0)
    for folder in ("photos", "masks"):
        (data / folder).mkdir(parents=True)
    for name in map(str, range(8)):
        label = np.zeros((24, 32), np.uint8)
        label[8:16, 4 : rng.integers(10, 30)] = 1
        image = np.where(label[..., None] == 1, 180, 70) + rng.integers(-40, 40, (24, 32, 3))
        Image.fromarray(image.astype(np.uint8)).save(data / "photos" / f"{name}.png")
        Image.fromarray(label).save(data / "masks" / f"{name}.png")
    known = {"data": data, "cache": root / "cache", "run": root / "run"}
    done = typed(f"{TRAIN} logger=none hydra.run.dir={known['run']}".format(**known), root)
    assert done.status == 0, done.out + done.err
    kept = root / "kept"
    shutil.copytree(known["run"], kept / "seed=0")
    SweepFolder(kept, [Cell("seed=0", kept / "seed=0", {"seed": 0})], ["seed=0"], code="1").write()
    stopped = root / "stopped"
    shutil.copytree(known["run"], stopped)
    for path in (stopped / "metrics.json", *stopped.glob("*.npz"), *stopped.glob("*.zip")):
        path.unlink()
    return {**known, "kept": kept, "stopped": stopped}


@pytest.fixture
def bad(
    request: pytest.FixtureRequest, made: dict[str, Path], tmp_path: Path
) -> Iterator[dict[str, Path]]:
    spoil, pages = request.param
    place, free = tmp_path / "place", tmp_path / "free"
    mount(place, 4)
    free.mkdir()
    try:
        for name, copy in (("run", "inside"), ("stopped", "stopped"), ("kept", "kept")):
            shutil.copytree(made[name], place / copy)
        spoil(place, pages)
        there = {name: place / name for name in ("inside", "stopped")}
        yield {**made, **there, "place": place, "free": free}
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def files(place: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}


def is_whole(path: Path) -> bool:
    """Whether a file can be read to its end by its own kind's rules."""
    if path.suffix == ".json":
        json.loads(path.read_text())
    elif path.suffix == ".html":
        return path.read_text().rstrip().endswith("</html>")
    elif path.suffix in (".png", ".jpg"):
        Image.open(path).load()
    elif path.suffix in (".zip", ".npz"):
        return zipfile.ZipFile(path).testzip() is None
    return path.stat().st_size > 0 or path.suffix in (".txt", ".log", ".lock")


Fault = tuple[Callable[[Path, int], None], int]
FAULTS: list[Fault] = [(fill, 0), (seal, 0)]
CASES = [
    *((name, fault) for name in FIRST for fault in FAULTS),
    *((name, (fill, 0)) for name in ("export onnx", "export torch_export")),  # write by themselves
    *((name, (fill, pages)) for pages, names in ROOM.items() for name in names),
]
MARKED = [
    pytest.param(name, (spoil, pages), marks=[pytest.mark.long] if pages else [])
    for name, (spoil, pages) in CASES
]
NAMES = [f"{name}-{spoil.__name__}-{pages}" for name, (spoil, pages) in CASES]


@pytest.mark.parametrize(("name", "bad"), MARKED, ids=NAMES, indirect=["bad"])
def test_a_command_names_the_place_that_takes_nothing(name: str, bad: dict[str, Path]) -> None:
    place = bad["place"]
    before = files(place)
    done = typed(COMMANDS[name].format(**bad), bad["free"])
    told = done.out + done.err
    assert "Traceback" not in told, told
    if done.status == 0:
        assert os.statvfs(place).f_flag & os.ST_RDONLY == 0, told  # there was room enough
    else:
        last = told[told.rfind("fcn-lab: ") :].strip().splitlines()
        assert 1 <= len(last) <= 2, told
        assert str(place) in last[0] or "../place" in last[0], told
    run = place / "run"
    if name.startswith("train") and (run / "checkpoints" / "last.ckpt").exists():
        # its one epoch is trained, and what was computed is kept
        assert "pixel accuracy" in told, told
        assert any("mean_iou" in path.read_text() for path in keeps(run, bad["free"])), told
    for path, content in files(place).items():
        assert not path.name.startswith(".part-"), path
        # W&B's own drafts lie in its folder `staging`
        assert before.get(path) == content or "staging" in path.parts or is_whole(path), path


def keeps(run: Path, free: Path) -> list[Path]:
    """The files that may hold a run's scores: its own, or one where the command was typed."""
    named = (*run.glob("*.json"), *free.glob("scores-*.json"))
    return [path for path in named if path.name == "metrics.json" or "scores" in path.name]


@pytest.mark.parametrize("bad", FAULTS, ids=["full", "read-only"], indirect=True)
@pytest.mark.parametrize("name", ONLY_READS)
def test_what_only_reads_there_goes_through(name: str, bad: dict[str, Path]) -> None:
    done = typed(ONLY_READS[name].format(**bad), bad["free"])
    assert done.status == 0, done.out + done.err


def test_every_command_is_tried_on_a_bad_disk() -> None:
    assert {name for name, _ in CASES} == set(COMMANDS)
