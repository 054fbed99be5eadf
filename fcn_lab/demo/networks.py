"""The trained networks that a page offers, their labels, and the scenes it begins with."""

import io
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from fcn_lab.api import load_run
from fcn_lab.data.pictures.parts import COLOURS
from fcn_lab.data.synthetic import Synthetic
from fcn_lab.demo.labels import label_runs, require_one_list
from fcn_lab.demo.memory import fit_to_memory
from fcn_lab.demo.reports import find_reports, name_routes
from fcn_lab.demo.tiles import Record
from fcn_lab.demo.views import Scene, View, ask_network
from fcn_lab.errors import UserError
from fcn_lab.inference.predictor import Predictor
from fcn_lab.inference.sliding_windows import SlidingWindows
from fcn_lab.pixels import Pixels
from fcn_lab.report.frames import UNSOUND, PredictionArchive
from fcn_lab.report.runs import Run, read_runs
from fcn_lab.runs.names import BEST_CHECKPOINT
from fcn_lab.runs.run import RunFolder

# the most networks side by side
SHOWN_NETWORKS_LIMIT = 4
# the most networks in memory
LOADED_NETWORKS_LIMIT = 8
SCENE_COUNT = 6


class Networks:
    """The trained networks in some folders, each loaded when it is first asked for.

    Args:
        folders: runs, sweeps, or folders that hold them.

    Raises:
        UserError: there are none, or their classes differ.

    Attributes:
        runs: the runs by their labels, the words that tell them apart.
        damages: the runs that cannot be read, and why.
        reports: the files of reports, by the path that the page has them under.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        all_runs, self.damages = read_runs(folders)
        runs = [run for run in all_runs if RunFolder(run.folder).best_checkpoint.exists()]
        if not runs:
            names = ", ".join(map(str, folders))
            raise UserError(
                f"runs={names}: no finished run there has kept its weights, {BEST_CHECKPOINT}"
            )
        runs = [run for run in runs if _takes_colours(run.folder)]
        if not runs:
            raise UserError(
                "the networks there take pictures of other than three channels, which a page does "
                "not show.\nType task=predict, which labels their files"
            )
        require_one_list(runs)
        self.runs = label_runs(runs)
        self._report_of = find_reports([run.folder for run in runs], folders)
        self.reports = name_routes(self._report_of.values())
        self.predictor = lru_cache(LOADED_NETWORKS_LIMIT)(self._load)

    def _load(self, label: str) -> Predictor:
        predictor = load_run(self.runs[label].folder)
        # an untimed pass, since a network's first one takes longer
        predictor(np.zeros((64, 64, 3), np.uint8))
        return predictor

    @property
    def classes(self) -> tuple[str, ...]:
        """Returns the K class names that all networks share."""
        return next(iter(self.runs.values())).classes

    def ask(self, label: str, image: Pixels) -> View:
        """Runs a network on a picture (H,W,3) at its own size."""
        predictor = fit_to_memory(self.predictor(label), *image.shape[:2])
        net = predictor.net
        remark = f"{label}: {net.describe()}" if isinstance(net, SlidingWindows) else ""
        return ask_network(predictor.strips, image, remark)

    @property
    def records(self) -> dict[str, Record]:
        """Returns each network's score, protocol and link to a report, by the network's label."""
        links = {file: path for path, file in self.reports.items()}
        records = {}
        for label, run in self.runs.items():
            report = self._report_of.get(run.folder)
            link = "" if report is None else links[report].lstrip("/")
            records[label] = Record(run.number(run.split, "mean_iou"), run.protocol, link)
        return records

    def choose_defaults(self) -> list[str]:
        """Returns one label per model with the most common operator.

        Where there is one model, returns one label per operator.
        """
        words = {label: run.factors for label, run in self.runs.items()}
        key, other_key = ("model", "upsample")
        if len({factors[key] for factors in words.values()}) == 1:
            key, other_key = other_key, key
        pairs = dict.fromkeys((factors[key], factors[other_key]) for factors in words.values())
        common_value = Counter(value for _, value in pairs).most_common(1)[0][0]
        labels: dict[str, str] = {}
        for label, factors in words.items():
            if factors[other_key] == common_value:
                labels.setdefault(factors[key], label)
        return list(labels.values())[:SHOWN_NETWORKS_LIMIT]

    def load_scenes(self) -> list[Scene]:
        """Returns frames that a run has kept with their truth, or else drawn streets.

        Photographs come before drawings, and the largest pictures before others: networks label a
        picture at its own size, and small objects are lost in pictures smaller than those trained.
        """
        for run in sorted(self.runs.values(), key=_rate_scenes, reverse=True):
            # the archive may be damaged or missing
            with suppress(*UNSOUND):
                keeper = PredictionArchive.open(run)
                names = [name for name in run.names if keeper.holds(name)]
                positions = np.linspace(0, len(names) - 1, max(1, min(SCENE_COUNT, len(names))))
                return [_read_scene(keeper, names[round(position)]) for position in positions]
        frames = Synthetic((180, 240), test=SCENE_COUNT).frames("test")
        pairs = zip(frames.names, frames.images, strict=True)
        return [Scene(name, image) for name, image in pairs]


def _rate_scenes(run: Run) -> tuple[bool, float]:
    """Returns how well a run's frames serve: whether they are real, and the pixels of one."""
    is_real = not run.protocol.startswith("synthetic")
    return is_real, float(run.matrices.sum() / max(1, len(run.names)))


def _takes_colours(run: Path) -> bool:
    encoder = RunFolder(run).read_config().get("encoder")
    channels = encoder.get("in_channels") if isinstance(encoder, dict) else None
    return channels in (None, COLOURS)


def _read_scene(keeper: PredictionArchive, name: str) -> Scene:
    with Image.open(io.BytesIO(keeper.read(f"{name}.jpg"))) as image:
        picture = np.asarray(image.convert("RGB"))
    with Image.open(io.BytesIO(keeper.read(f"{name}.truth.png"))) as image:
        return Scene(name, picture, np.asarray(image))
