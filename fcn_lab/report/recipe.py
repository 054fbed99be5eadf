"""Tabulates how the runs of a report were trained: settings, code and machines, as recorded."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from fcn_lab.report.formatting import format_setting
from fcn_lab.report.runs import Run
from fcn_lab.report.study import Study
from fcn_lab.report.tables import Table
from fcn_lab.runs.keys import find_value
from fcn_lab.text.terminal import format_duration

# title of a row → its key in config.yaml
SETTINGS: Mapping[str, tuple[str, ...]] = {
    "task": ("choices.task",),
    "data": ("choices.data", "data.size"),
    "loss": ("choices.loss",),
    "optimiser": ("choices.optim",),
    "learning rate": ("optim.lr",),
    "momentum": ("optim.optimizer.momentum",),
    "weight decay": ("optim.weight_decay",),
    "factor of the encoder's rate": ("optim.rates.encoder",),
    "factor of the biases' rate": ("optim.bias_rate",),
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
    """Returns a row for each setting that the arms share and for each fact about the runs."""
    differing_names = find_differing_settings(study)
    rows = [
        (name, text)
        for name, values in list_facts(study.runs)
        if name not in differing_names and (text := join_values(values))
    ]
    return Table("How the runs were trained", ["what", "among the runs"], rows, words=2)


def tabulate_differing_recipes(study: Study) -> Table | None:
    """Returns a row for each recipe with the arms that have it; None where all arms have one."""
    differing_names = find_differing_settings(study)
    if not differing_names:
        return None
    arms_by_recipe = defaultdict[tuple[str, ...], list[str]](list)
    for arm in study.arms:
        recipe = tuple(join_values(list_values(arm.runs, name)) for name in differing_names)
        arms_by_recipe[recipe].append(arm.name)
    rows = [
        [", ".join(arms), *(value or None for value in recipe)]
        for recipe, arms in arms_by_recipe.items()
    ]
    columns = ["arm", *differing_names]
    return Table("Settings in which the arms differ", columns, rows, words=len(columns))


def find_differing_settings(study: Study) -> list[str]:
    """Returns the names of the settings that are not the same in all arms."""
    return [
        name
        for name in SETTINGS
        if len({join_values(list_values(arm.runs, name)) for arm in study.arms}) > 1
    ]


def join_values(values: Iterable[str]) -> str:
    """Returns the values that there are in a line, each once."""
    return ", ".join(filter(None, dict.fromkeys(values)))


def list_values(runs: Sequence[Run], setting: str) -> list[str]:
    """Returns each run's value of a setting; empty where its record has none."""
    return [_format_values(run.config, SETTINGS[setting]) for run in runs]


def list_facts(runs: Sequence[Run]) -> Iterator[tuple[str, list[str]]]:
    """Yields the name of each fact and what each run says of it."""
    for name in SETTINGS:
        yield name, list_values(runs, name)
    yield "seeds", [str(seed) for seed in sorted({run.seed for run in runs})]
    seconds = [time for run in runs if (time := run.number("seconds")) is not None]
    if seconds:
        yield "time of a run", [f"{format_duration(sum(seconds) / len(seconds))} on average"]
    yield "commit", [_format_commit(run.environment) for run in runs]
    for name, key in MACHINE.items():
        yield name, [str(run.environment.get(key) or "") for run in runs]


def _format_values(config: Mapping[str, Any], keys: Sequence[str]) -> str:
    values = [find_value(config, key) for key in keys]
    return " ".join(format_setting(value) for value in values if value is not None)


def _format_commit(environment: Mapping[str, Any]) -> str:
    commit = environment.get("git_commit")
    note = " with changes (git.diff)" if environment.get("git_dirty") else ""
    return f"{commit[:COMMIT_DIGITS]}{note}" if isinstance(commit, str) else ""
