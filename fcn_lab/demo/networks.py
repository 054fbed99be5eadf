"""Which trained networks a page offers, what it calls them, and the scenes it begins with."""

import io
import math
import re
import zipfile
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from fcn_lab.api import load_run
from fcn_lab.data.synthetic import Synthetic
from fcn_lab.demo.views import Scene
from fcn_lab.errors import UserError
from fcn_lab.inference.predictor import Predictor
from fcn_lab.report.frames import Keeper
from fcn_lab.report.runs import Run, find_runs
from fcn_lab.report.study import arm_name, varied
from fcn_lab.runs.run import RunFolder

AT_ONCE = 4  # networks side by side
KEPT = 8  # networks in memory
SCENES = 6


class Networks:
    """The trained networks in some folders, each loaded when it is first asked for.

    Args:
        folders: runs, sweeps, or folders that hold them.

    Raises:
        UserError: there are none, or they were trained for different protocols.

    Attributes:
        runs: by what tells them apart.
        damaged: those that cannot be read, and why.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        sound, self.damaged = find_runs(folders)
        self.runs = named([run for run in sound if RunFolder(run.folder).best.exists()])
        if not self.runs:
            where = ", ".join(map(str, folders))
            raise UserError(
                f"runs={where}: no finished run there has kept its weights, checkpoints/best.ckpt"
            )
        self.predictor = lru_cache(KEPT)(self._load)

    def _load(self, label: str) -> Predictor:
        predictor = load_run(self.runs[label].folder)
        predictor(np.zeros((64, 64, 3), np.uint8))  # a network's first pass takes longer: untimed
        return predictor

    @property
    def classes(self) -> tuple[str, ...]:
        """K names."""
        return next(iter(self.runs.values())).classes

    @property
    def pixels(self) -> float:
        """Of the frames they were scored on: what they know objects' sizes from; ∞ of any size."""
        protocol = next(iter(self.runs.values())).protocol
        found = re.search(r"-(\d+)x(\d+)-", protocol)
        return int(found[1]) * int(found[2]) if found else math.inf

    def first_choice(self) -> list[str]:
        """One of each model, by one operator; one of each operator where there is one model."""
        words = {label: run.factors for label, run in self.runs.items()}
        by, fixed = ("model", "upsample")
        if len({factors[by] for factors in words.values()}) == 1:
            by, fixed = fixed, by
        pairs = dict.fromkeys((factors[by], factors[fixed]) for factors in words.values())
        usual = Counter(value for _, value in pairs).most_common(1)[0][0]
        one: dict[str, str] = {}
        for label, factors in words.items():
            if factors[fixed] == usual:
                one.setdefault(factors[by], label)
        return list(one.values())[:AT_ONCE]

    def scenes(self) -> list[Scene]:
        """Some frames that a run has kept with their truth; drawn streets where none has."""
        for run in self.runs.values():
            places = np.linspace(0, len(run.names) - 1, min(SCENES, len(run.names)))
            with suppress(OSError, KeyError, ValueError, zipfile.BadZipFile):  # damaged, or none
                keeper = Keeper.of(run)
                return [_kept(keeper, run.names[round(place)]) for place in places]
        drawn = Synthetic((180, 240), test=SCENES).frames("test")
        named = zip(drawn.names, drawn.images, strict=True)
        return [Scene(name, image) for name, image in named]


def named(runs: Sequence[Run]) -> dict[str, Run]:
    """The runs, models from coarse to fine, by what tells them apart."""
    factors = varied(runs)
    several_seeds = len({run.seed for run in runs}) > 1
    ordered = sorted(runs, key=lambda run: _place(run, factors))
    found: dict[str, Run] = {}
    for run in ordered:
        label = arm_name(run, factors) + (f", seed {run.seed}" if several_seeds else "")
        found[f"{label} ({run.folder})" if label in found else label] = run
    return found


def _place(run: Run, factors: dict[str, tuple[str, ...]]) -> tuple[int, ...]:
    places = [values.index(run.factors.get(name, "–")) for name, values in factors.items()]
    return (*places, run.seed)


def _kept(keeper: Keeper, name: str) -> Scene:
    with Image.open(io.BytesIO(keeper.read(f"{name}.jpg"))) as image:
        picture = np.asarray(image.convert("RGB"))
    with Image.open(io.BytesIO(keeper.read(f"{name}.truth.png"))) as image:
        return Scene(name, picture, np.asarray(image))
