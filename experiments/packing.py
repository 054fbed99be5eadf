"""A study's finished runs in one small file: what its numbers are computed from, and no more."""

import io
import json
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from fcn_lab.files import make_folder, write_buffer
from fcn_lab.report.runs import find_run_folders
from fcn_lab.runs.names import CONFIG, GRADIENTS, HISTORY, METRICS, STAGES, SWEEP_RECORD
from fcn_lab.runs.sweep import SweepFolder

FILES = (METRICS, HISTORY, GRADIENTS)
# of env.json; the rest is about one machine's folders
CIRCUMSTANCES = (
    "versions",
    "python",
    "device",
    "processor",
    "precision",
    "tf32",
    "threads",
    "git_commit",
    "git_dirty",
)
# the keys of config.yaml in which the cells of studies differ
TRAINING_KEYS = (
    *("model", "upsample", "encoder", "freeze", "augment"),
    *("loss", "optim", "schedule", "seed"),
)
MATRICES = ("names", "drives", "classes", "split", "matrices", "boundary")


def pack_runs(folders: Sequence[Path], path: Path) -> None:
    """Writes the finished runs of these folders into one archive.

    Left out are the weights, the pictures, the bands along edges (their scores stay in
    metrics.json), and whatever names a folder of the machine that trained.

    Raises:
        UserError: a folder is not there, or holds no finished run; the archive stays as it was.
    """
    runs = sorted(find_run_folders(folders))
    make_folder(path.parent)
    with write_buffer(path) as file, zipfile.ZipFile(file, "w") as archive:
        _put(archive, "study.json", json.dumps(_describe_study(folders), indent=1))
        counts = Counter[str]()
        for run in runs:
            # two sweeps may have cells of one name, and two folders sweeps of one name
            name_inside = f"{run.parent.name},{run.name}"
            counts[name_inside] += 1
            name_inside += f",{counts[name_inside]}" * (counts[name_inside] > 1)
            stages = [f"{STAGES}/{stage.name}/{HISTORY}" for stage in (run / STAGES).glob("*")]
            for name in (*FILES, *sorted(stages)):
                if (run / name).exists():
                    _put(archive, f"{name_inside}/{name}", (run / name).read_bytes())
            env = json.loads((run / "env.json").read_text())
            facts = {key: env[key] for key in CIRCUMSTANCES if key in env}
            _put(archive, f"{name_inside}/env.json", json.dumps(facts, indent=1))
            _put(archive, f"{name_inside}/config.yaml", _read_recipe(run / "config.yaml"))
            _put(archive, f"{name_inside}/confusions.npz", _read_matrices(run / "confusions.npz"))


def unpack_runs(path: Path, folder: Path) -> dict[str, Any]:
    """Writes the archive's runs into a folder, where a report finds them.

    Returns:
        The study's question, the commands it was run by, and how many cells they asked for.
    """
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
    study: dict[str, Any] = json.loads((folder / "study.json").read_text())
    return study


def _describe_study(folders: Sequence[Path]) -> dict[str, object]:
    sweeps = [SweepFolder.read(folder) for folder in folders if (folder / SWEEP_RECORD).exists()]
    runs = [folder for folder in folders if (folder / CONFIG).exists()]
    # runs that stand alone in the command were a sweep's all the same
    origins = dict.fromkeys(run.parent for run in runs if (run.parent / SWEEP_RECORD).exists())
    lines = [
        " ".join(_hide_root(word) for word in sweep.asked)
        for sweep in (*sweeps, *map(SweepFolder.read, origins))
    ]
    questions = [sweep.study["question"] for sweep in sweeps if sweep.study]
    cells = [cell.folder for sweep in sweeps for cell in sweep.cells]
    return {
        "question": questions[0] if questions else None,
        "commands": [f"python run.py -m {line}" for line in lines],
        "cells": len({_identify_cell(folder) for folder in (*cells, *runs)}) if sweeps else None,
    }


def _identify_cell(folder: Path) -> str:
    """Returns what a cell trains: one that several sweeps ask for is one cell."""
    config = yaml.safe_load((folder / CONFIG).read_text())
    return repr([config["choices"]["task"], *(config[key] for key in TRAINING_KEYS)])


def _hide_root(word: str) -> str:
    key, equals, _ = word.partition("=")
    return "data.root=FOLDER" if equals and key == "data.root" else word


def _read_recipe(path: Path) -> str:
    config = yaml.safe_load(path.read_text())
    for node in (config, config.get("task", {})):
        if isinstance(node.get("data"), dict):
            node["data"]["root"] = None
    return yaml.safe_dump(config, sort_keys=False)


def _read_matrices(path: Path) -> bytes:
    """Returns the matrices uncompressed: the archive around them compresses better."""
    file = io.BytesIO()
    with np.load(path) as content:
        arrays = {name: content[name] for name in MATRICES if name in content}
    for name in ("matrices", "boundary"):
        if name in arrays and arrays[name].max() < 2**16:
            arrays[name] = arrays[name].astype(np.uint16)
    np.savez(file, **arrays)
    return file.getvalue()


def _put(archive: zipfile.ZipFile, name: str, content: str | bytes) -> None:
    # a date of its own would make another file of the same runs
    entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    entry.compress_type = zipfile.ZIP_LZMA
    archive.writestr(entry, content)
