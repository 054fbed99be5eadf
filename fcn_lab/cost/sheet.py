"""The cost sheet: models × operators × encoders, each by part; a table, a CSV and a figure."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

from torch import nn

from fcn_lab.cost.figure import CellCosts, RunScore, Words, render_costs
from fcn_lab.cost.parts import PartCost
from fcn_lab.errors import UserError
from fcn_lab.files import write_table, write_text
from fcn_lab.rendering.tables import print_table
from fcn_lab.report.runs import Run, find_runs
from fcn_lab.runs.names import NETWORK_WORDS
from fcn_lab.text.escaping import markdown_table
from fcn_lab.text.terminal import format_amount, print_text

NETWORK_KEYS = (*NETWORK_WORDS, "data", "experiment", "capacity")
COLUMNS = {
    "params": ("params M", 1e6),
    "macs": ("GMAC", 1e9),
    "activations": ("written MB", 1e6),
    "kept": ("kept MB", 1e6),
    "switches": ("switches MB", 1e6),
    "forward": ("forward ms", 1e-3),
    "backward": ("backward ms", 1e-3),
    "peak": ("peak MB", 1e6),
}
TITLES = ("cell", *(title for title, _ in COLUMNS.values()), "both, range ms")
SHARE_NOTE = "In brackets: the upsampling's part. Times are medians of turns. "


@dataclass
class Grid:
    """The networks of all combinations of words, built with the other typed overrides.

    Args:
        models: words of ``model=``; null is the one chosen, as for the other two.
        upsamples: words of ``upsample=``.
        encoders: words of ``encoder=``.
        typed: the overrides of the command line.
        network: builds the network of a list of overrides.
    """

    models: Sequence[str] | None
    upsamples: Sequence[str] | None
    encoders: Sequence[str] | None
    typed: Sequence[str]
    network: Callable[[Sequence[str]], nn.Module]

    @property
    def has_lists(self) -> bool:
        """Returns whether several models, operators or encoders were asked for."""
        return any((self.models, self.upsamples, self.encoders))

    def compare_models(self, *models: str) -> list[str]:
        """Returns the words of this sheet, or of this network, with other models."""
        others = set(NETWORK_KEYS) - {"model"}
        overrides = [o for o in self.typed if _find_key(o).partition(".")[0] in others]
        return [f"models=[{','.join(models)}]", *overrides]

    def list_others(self, keys: Collection[str]) -> list[str]:
        """Returns what was typed besides these keys, and the keys of the task."""
        pairs = ((override, _find_key(override)) for override in self.typed)
        return [o for o, key in pairs if key not in keys and not key.startswith("task.")]

    def cells(self, words: Mapping[str, str]) -> list[Words]:
        """Returns the (model, upsample, encoder) words of every network to build."""
        lists = (self.models, self.upsamples, self.encoders)
        defaults = [words[group] for group in NETWORK_WORDS]
        return list(
            product(
                *(choices or [default] for choices, default in zip(lists, defaults, strict=True))
            )
        )

    def build(self, cell: Words, *overrides: str) -> nn.Module:
        """Builds the network of a cell from its words, what was typed, and further overrides.

        Raises:
            UserError: a recorded run is to be read, or a word does not exist.
        """
        if any(override.startswith(("run=", "again=")) for override in self.typed):
            raise UserError("models=, upsamples= and encoders= make networks anew: leave out run=")
        lists = dict(zip(NETWORK_WORDS, (self.models, self.upsamples, self.encoders), strict=True))
        words = [f"{g}={w}" for g, w in zip(NETWORK_WORDS, cell, strict=True) if lists[g]]
        typed_overrides = []
        for override in self.typed:
            key = _find_key(override)
            if key.partition(".")[0] in NETWORK_KEYS and not lists.get(key):
                typed_overrides.append(override)
        return self.network([*words, *typed_overrides, *overrides])


def _find_key(override: str) -> str:
    return override.lstrip("+~").partition("=")[0]


def write_sheet(
    costs: CellCosts, run_scores: Sequence[RunScore], folder: Path, warning: str = ""
) -> None:
    """Writes costs.csv by part, costs.md by network, and costs.html where scores are known.

    Args:
        costs: the cost of each network, by part.
        run_scores: the runs of these networks with their mean IoU.
        folder: the run's folder.
        warning: what disturbed the times, if anything did.
    """
    rows = [
        [*cell, part, *asdict(cost).values()]
        for cell, parts in costs.items()
        for part, cost in parts.items()
    ]
    write_table(folder / "costs.csv", [[*NETWORK_WORDS, "part", *asdict(PartCost())], *rows])
    notes = f"\n\n{warning}\n" if warning else "\n"
    write_text(folder / "costs.md", render_markdown(costs) + notes)
    if run_scores:
        write_text(folder / "costs.html", render_costs(costs, run_scores, warning))


def render_markdown(costs: CellCosts) -> str:
    """Returns a table of one row per network: the total, in brackets the upsampling's share."""
    table = markdown_table(TITLES, _format_rows(costs, " "))
    return f"{table}\n\n{SHARE_NOTE}{describe_switches(costs)}"


def print_sheet(costs: CellCosts) -> None:
    """Prints the table of costs to the terminal, the upsampling's share below the total."""
    print_table(TITLES, _format_rows(costs, "\n"))
    print_text(SHARE_NOTE + describe_switches(costs))


def _format_rows(costs: CellCosts, separator: str) -> list[tuple[str, ...]]:
    return [(" ".join(cell), *_format_costs(parts, separator)) for cell, parts in costs.items()]


def _format_costs(parts: Mapping[str, PartCost], separator: str) -> list[str]:
    texts = []
    for name, (_, unit) in COLUMNS.items():
        total, upsampling = (getattr(parts[part], name) / unit for part in ("total", "upsampling"))
        text = format_amount(total)
        texts.append(f"{text}{separator}({format_amount(upsampling, 2)})" if upsampling else text)
    ends = (format_amount(1e3 * end) for end in (parts["total"].fastest, parts["total"].slowest))
    return [*texts, "–".join(ends)]


def describe_switches(costs: CellCosts) -> str:
    """Returns a sentence on switches: 2 bits a 2×2 window against four float32 of its map."""
    total = max((parts["total"] for parts in costs.values()), key=lambda cost: cost.switches)
    if not total.switches:
        return "No operator here reads switches."
    return (
        f"Switches at 2 bits a 2×2 window take at most {format_amount(total.switches / 1e6)} MB; "
        "the float32 maps they stand for, 4 · 32 bits a window, "
        f"{format_amount(total.maps / 1e6)} MB."
    )


def find_networks(runs: Sequence[Path]) -> tuple[dict[Words, Path], list[RunScore]]:
    """Returns a run of each network in these folders, and the mean IoU of every run.

    Other factors that vary between the runs stand after the encoder's word.

    Raises:
        UserError: there are no runs, or they cannot stand in one table.
    """
    networks: dict[Words, Path] = {}
    run_scores: list[RunScore] = []
    for run in _read_runs(runs):
        model, upsample, encoder, *others = run.factors.items()
        encoder_word = " ".join([encoder[1], *(f"{key}={value}" for key, value in others)])
        words = (model[1], upsample[1], encoder_word)
        networks.setdefault(words, run.folder)
        if (value := run.number(run.split, "mean_iou")) is not None:
            run_scores.append((words, value))
    return networks, run_scores


def read_scores(runs: Sequence[Path], cells: Sequence[Words]) -> list[RunScore]:
    """Returns words and mean IoU of every finished run of these cells, at any depth.

    Raises:
        UserError: there is none, or the runs cannot stand in one table.
    """
    if not runs:
        return []
    scores: list[RunScore] = []
    for run in _read_runs(runs):
        model, upsample, encoder = (str(run.metrics[group]) for group in NETWORK_WORDS)
        value = run.number(run.split, "mean_iou")
        if value is not None and (model, upsample, encoder) in cells:
            scores.append(((model, upsample, encoder), value))
    if not scores:
        folders = ", ".join(map(str, runs))
        raise UserError(f"runs={folders}: there is no finished run of one of these cells in it")
    return scores


def _read_runs(folders: Sequence[Path]) -> list[Run]:
    """Returns the finished runs, and prints what is wrong with them or with others."""
    runs, damages = find_runs(folders)
    lines = [*map(str, damages), *(line for run in runs for line in run.alterations)]
    for line in lines:
        print(line, flush=True)
    return runs
