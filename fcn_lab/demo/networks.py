"""The trained networks that a page offers, their labels, and the scenes it begins with."""

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
from fcn_lab.report.arms import find_varied, format_arm
from fcn_lab.report.frames import PredictionArchive
from fcn_lab.report.runs import Run, find_runs
from fcn_lab.runs.run import RunFolder

SHOWN_NETWORKS_LIMIT = 4  # networks side by side
LOADED_NETWORKS_LIMIT = 8  # networks in memory
SCENE_COUNT = 6


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
        self.runs = label_runs([run for run in sound if RunFolder(run.folder).best.exists()])
        if not self.runs:
            where = ", ".join(map(str, folders))
            raise UserError(
                f"runs={where}: no finished run there has kept its weights, checkpoints/best.ckpt"
            )
        self.predictor = lru_cache(LOADED_NETWORKS_LIMIT)(self._load)

    def _load(self, label: str) -> Predictor:
        predictor = load_run(self.runs[label].folder)
        predictor(np.zeros((64, 64, 3), np.uint8))  # a network's first pass takes longer: untimed
        return predictor

    @property
    def classes(self) -> tuple[str, ...]:
        """Returns the K class names that all networks share."""
        return next(iter(self.runs.values())).classes

    @property
    def training_pixels(self) -> float:
        """Returns the pixels of a training frame; infinity where frames have many sizes.

        Networks know objects at the sizes that these frames show.
        """
        protocol = next(iter(self.runs.values())).protocol
        found = re.search(r"-(\d+)x(\d+)-", protocol)
        return int(found[1]) * int(found[2]) if found else math.inf

    def choose_defaults(self) -> list[str]:
        """Returns one label per model with the most common operator.

        Where there is one model, returns one label per operator.
        """
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
        return list(one.values())[:SHOWN_NETWORKS_LIMIT]

    def load_scenes(self) -> list[Scene]:
        """Returns frames that a run has kept with their truth, or else drawn streets."""
        for run in self.runs.values():
            # damaged, or none
            with suppress(OSError, LookupError, ValueError, zipfile.BadZipFile):
                keeper = PredictionArchive.open(run)
                kept = [name for name in run.names if keeper.holds(name)]
                places = np.linspace(0, len(kept) - 1, max(1, min(SCENE_COUNT, len(kept))))
                return [_read_scene(keeper, kept[round(place)]) for place in places]
        drawn = Synthetic((180, 240), test=SCENE_COUNT).frames("test")
        shown = zip(drawn.names, drawn.images, strict=True)
        return [Scene(name, image) for name, image in shown]


def label_runs(runs: Sequence[Run]) -> dict[str, Run]:
    """Returns the runs by the words that tell them apart, models from coarse to fine."""
    factors = find_varied(runs)
    several_seeds = len({run.seed for run in runs}) > 1
    ordered = sorted(runs, key=lambda run: _sort_key(run, factors))
    found: dict[str, Run] = {}
    for run in ordered:
        label = format_arm(run, factors) + (f", seed {run.seed}" if several_seeds else "")
        found[f"{label} ({run.folder})" if label in found else label] = run
    return found


def _sort_key(run: Run, factors: dict[str, tuple[str, ...]]) -> tuple[int, ...]:
    places = [values.index(run.factors.get(name, "–")) for name, values in factors.items()]
    return (*places, run.seed)


def _read_scene(keeper: PredictionArchive, name: str) -> Scene:
    with Image.open(io.BytesIO(keeper.read(f"{name}.jpg"))) as image:
        picture = np.asarray(image.convert("RGB"))
    with Image.open(io.BytesIO(keeper.read(f"{name}.truth.png"))) as image:
        return Scene(name, picture, np.asarray(image))
