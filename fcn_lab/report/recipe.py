"""Tabulates how the runs of a report were trained: settings, code and machines, as recorded."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fcn_lab.report.runs import Run
from fcn_lab.report.study import Study
from fcn_lab.report.tables import Table
from fcn_lab.terminal import format_duration

# title of a row → its key in config.yaml
SETTINGS: Mapping[str, tuple[str, ...]] = {
    "task": ("choices.task",),
    "data": ("choices.data", "data.size"),
    "loss": ("choices.loss",),
    "optimiser": ("choices.optim",),
    "learning rate": ("optim.lr",),
    "schedule": ("choices.schedule",),
    "epochs": ("trainer.max_epochs",),
    "batch size": ("data.batch_size",),
    "augmentation": ("choices.augment",),
    "frozen": ("choices.freeze",),
}
# title of a row → its key in env.json
MACHINE = {"device": "device", "processor": "processor", "precision": "precision"}
COMMIT_DIGITS = 12


def tabulate_recipe(study: Study) -> Table:
    """Returns a row for each setting, with its values over all runs."""
    rows = [
        (name, text)
        for name, values in list_facts(study.runs)
        if (text := ", ".join(filter(None, dict.fromkeys(values))))
    ]
    return Table("How the runs were trained", ["what", "among the runs"], rows, words=2)


def list_facts(runs: Sequence[Run]) -> Iterator[tuple[str, list[str]]]:
    """Yields the name of each fact and what each run says of it."""
    for name, keys in SETTINGS.items():
        yield name, [_format_values(run.config, keys) for run in runs]
    yield "seeds", [str(seed) for seed in sorted({run.seed for run in runs})]
    seconds = [time for run in runs if (time := run.number("seconds")) is not None]
    if seconds:
        yield "time of a run", [f"{format_duration(sum(seconds) / len(seconds))} on average"]
    yield "commit", [_format_commit(run.environment) for run in runs]
    for name, key in MACHINE.items():
        yield name, [str(run.environment.get(key) or "") for run in runs]


def _format_values(config: Mapping[str, Any], keys: Sequence[str]) -> str:
    values = [_find_value(config, key) for key in keys]
    return " ".join(str(value) for value in values if value is not None)


def _find_value(config: Mapping[str, Any], key: str) -> object:
    node: Any = config
    for part in key.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    return None if isinstance(node, Mapping) else node


def _format_commit(environment: Mapping[str, Any]) -> str:
    commit = environment.get("git_commit")
    note = " with changes (git.diff)" if environment.get("git_dirty") else ""
    return f"{commit[:COMMIT_DIGITS]}{note}" if isinstance(commit, str) else ""
