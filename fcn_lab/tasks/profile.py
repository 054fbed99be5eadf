"""task=profile: counts the parameters and operations of a network, and times it."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Annotated

import torch
from annotated_types import Ge, Le
from torch import nn

from fcn_lab.cost.busyness import BusynessWatch
from fcn_lab.cost.dense_vs_patches import compare_dense_with_patches
from fcn_lab.cost.figure import RunScore, Words
from fcn_lab.cost.macs import count_cost
from fcn_lab.cost.measure import combine_turns, measure_parts, time_pass
from fcn_lab.cost.parts import PartCost
from fcn_lab.cost.sheet import (
    Grid,
    find_networks,
    print_sheet,
    read_scores,
    write_sheet,
)
from fcn_lab.files import write_json
from fcn_lab.rendering.tables import create_table
from fcn_lab.runs.folders import list_folders
from fcn_lab.text.commands import format_command
from fcn_lab.text.terminal import (
    format_count,
    format_duration,
    format_number,
    print_next,
    print_text,
    report_progress,
)
from fcn_lab.training.machine import count_cores
from fcn_lab.values import Count, Size, check_arguments


@check_arguments
@dataclass
class Profile:
    """Measures parameters, multiply-accumulates and the time of a forward pass for one image.

    Args:
        net: float RGB 0…1 (N,3,H,W) → scores (N,K,H,W).
        size: height and width of the image, in pixels.
        words: model, upsample, encoder.
        repeats: timed passes after an untimed one; the median is reported with its range.
        turns: how often each network of a sheet is timed, one after the other.
        dense_vs_patches: whether to compare the classifier, run patch by patch, with one dense
            pass.
        patches: number of patches a side.
        grid: further networks; if it names any, the cost sheet of all is written instead.
        runs: one or several folders of finished runs, for the sheet's figure; without a grid
            the sheet is of their networks.
        recorded: a function that builds the network of a run's folder.
    """

    net: nn.Module
    size: Size
    words: Mapping[str, str]
    repeats: Count = 5
    turns: Count = 3
    dense_vs_patches: bool = False
    patches: Annotated[int, Ge(1), Le(100)] = 3
    grid: Grid | None = None
    runs: str | Sequence[str] | None = None
    recorded: Callable[[Path], nn.Module] | None = None

    def run(self, folder: Path) -> None:
        """Prints a table and writes profile.json; of several networks costs.csv and costs.md.

        Where these have scores it also writes costs.html.

        Raises:
            UserError: `dense_vs_patches` is set, and the network is no chain of layers.
        """
        if self.grid is not None and self.grid.has_lists:
            cells = self.grid.cells(self.words)
            scores = read_scores(list_folders(self.runs or ()), cells)
            return self._write_sheet(
                {cell: partial(self.grid.build, cell) for cell in cells}, scores, folder
            )
        if self.runs and self.recorded is not None:
            networks, scores = find_networks(list_folders(self.runs))
            builders = {cell: partial(self.recorded, run) for cell, run in networks.items()}
            return self._write_sheet(builders, scores, folder)
        self._profile_network(folder)
        if self.grid is not None:
            words = self.grid.compare_models("fcn32s", "fcn16s", "fcn8s")
            # of a run that is read the words are known, and not the keys
            if "data=folder" not in words or any(word.startswith("data.names=") for word in words):
                print_next({"Beside others, by part": format_command("task=profile", *words)})

    def _profile_network(self, folder: Path) -> None:
        height, width = self.size
        cost = count_cost(self.net, height, width)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        watch = BusynessWatch()
        with watch:
            net = self.net.to(device).eval()
            # the first one is slower
            times = [time_pass(net, height, width) for _ in range(self.repeats + 1)][1:]
        seconds, bounds = statistics.median(times), [min(times), max(times)]
        facts = {
            **self.words,
            "size": [height, width],
            "params": cost.params,
            "macs": cost.macs,
            "device": device,
            "seconds_per_image": seconds,
            "seconds_range": bounds,
        }
        table = create_table(("what", "of one image"), " ".join(self.words.values()))
        table.add_row("parameters", format_number(cost.params))
        table.add_row("multiply-accumulates", format_number(cost.macs))
        table.add_row(
            f"time of a forward pass at {height}×{width}, {device}",
            f"{format_duration(seconds)} ({' to '.join(map(format_duration, bounds))})",
        )
        print_text(table)
        if warning := watch.describe(count_cores(), device == "cpu"):
            print_text(warning)
        if self.dense_vs_patches:
            comparison = compare_dense_with_patches(self.net.to(device), self.patches)
            facts |= {"dense_vs_patches": {**asdict(comparison), "ratio": comparison.ratio}}
            print_text(comparison.describe())
        write_json(folder / "profile.json", facts)

    def _write_sheet(
        self,
        nets: Mapping[Words, Callable[[], nn.Module]],
        scores: Sequence[RunScore],
        folder: Path,
    ) -> None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        height, width = self.size
        watch, turns = BusynessWatch(), [list(nets.items()) for _ in range(self.turns)]
        parts: dict[Words, list[Mapping[str, PartCost]]] = {cell: [] for cell in nets}
        steps, title = len(nets) * self.turns, f"networks in {format_count(self.turns, 'turn')}"
        for cell, build in report_progress(chain.from_iterable(turns), steps, title):
            # built anew each time, since the memory may hold only one of many large networks
            net = build().to(device)
            with watch:
                parts[cell].append(measure_parts(net, height, width, 1, *parts[cell][:1]))
        costs = {cell: combine_turns(turns_of_cell) for cell, turns_of_cell in parts.items()}
        warning = watch.describe(count_cores(), device == "cpu") or ""
        write_sheet(costs, scores, folder, warning)
        print_sheet(costs)
        if warning:
            print_text(warning)
        figure = {"Against what they score": folder / "costs.html"} if scores else {}
        print_next({**figure, "The same by part": folder / "costs.csv"})
