"""Sorts runs into arms: finds what was varied, and names each arm."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from operator import itemgetter
from typing import Any

from fcn_lab.errors import UserError
from fcn_lab.report.runs import Run
from fcn_lab.runs.keys import find_value, list_leaves
from fcn_lab.runs.names import NETWORK_WORDS
from fcn_lab.text.escaping import UNKNOWN_VALUE

TITLES = {"model": "models", "upsample": "operators", "encoder": "encoders"}

# the keys of config.yaml that a training depends on
SETTINGS = (
    *(*NETWORK_WORDS, "freeze", "init_from", "data", "augment"),
    *("loss", "optim", "schedule", "trainer"),
)


def find_varied(runs: Sequence[Run]) -> dict[str, tuple[str, ...]]:
    """Returns the factors in which runs differ, with their values."""
    names = dict.fromkeys(name for run in runs for name in run.factors)
    values = {
        n: tuple(dict.fromkeys(run.factors.get(n, UNKNOWN_VALUE) for run in runs)) for n in names
    }
    return {name: _sort_values(choices) for name, choices in values.items() if len(choices) > 1}


def format_factor(factor: str) -> str:
    """Returns what a factor is called in a sentence."""
    return TITLES.get(factor, factor)


def format_arm(run: Run, factors: Sequence[str] | dict[str, tuple[str, ...]]) -> str:
    """Returns the values of what was varied, "fcn8s lr=0.01"; else model, operator, encoder."""
    names = factors or NETWORK_WORDS
    values = {factor: run.factors.get(factor, UNKNOWN_VALUE) for factor in names}
    choices = {factor: value for factor, value in values.items() if value != UNKNOWN_VALUE}
    return " ".join(format_value(*pair) for pair in (choices or values).items())


def group_runs(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Returns the runs of each arm, by its name."""
    factors, groups = find_varied(runs), defaultdict[str, list[Run]](list)
    for run in runs:
        groups[format_arm(run, factors)].append(run)
    return groups


def name_settings(runs: Sequence[Run]) -> list[Run]:
    """Returns the runs; where needed, names state settings that only other runs' sweeps varied.

    A sweep over seeds alone does not name, say, the refinement of its operator. Where these runs
    all have one value that no other run names, it is the usual one and stays unnamed.
    """
    labels = [dict(run.told_by) for run in runs]
    for factor in dict.fromkeys(name for run in runs for name in run.factors):
        values_named = (run.factors[factor] for run in runs if factor in run.factors)
        # True and true are one value, by the spelling of those that name it
        spellings = {value.lower(): value for value in values_named}
        silent_runs = [number for number, run in enumerate(runs) if factor not in run.factors]
        values = {number: _find_setting(runs[number].config, factor) for number in silent_runs}
        settings = {value.lower() for value in values.values()}
        if len(settings) > 1 or not spellings.keys().isdisjoint(settings):
            for number, value in values.items():
                labels[number][factor] = spellings.get(value.lower(), value)
    return [replace(run, told_by=words) for run, words in zip(runs, labels, strict=True)]


def tell_twins_apart(runs: Sequence[Run]) -> list[Run]:
    """Returns the runs; names tell how runs of one arm and seed differ: task, device, settings.

    Settings that both runs state come first: one that a run lacks may be newer than that run.
    """
    facts = {run.folder: _list_facts(run) for run in runs}
    keys: dict[str, None] = {}
    for members in group_runs(runs).values():
        for pair in combinations(members, 2):
            if pair[0].seed == pair[1].seed:
                keys |= dict.fromkeys(_find_differences(*(facts[run.folder] for run in pair)))

    def tell(run: Run) -> dict[str, str]:
        return {**run.told_by, **{key: facts[run.folder].get(key, UNKNOWN_VALUE) for key in keys}}

    return [replace(run, told_by=tell(run)) for run in runs]


def _list_facts(run: Run) -> dict[str, str]:
    environment = {"device": run.environment.get("device")}
    parts = {key: run.config[key] for key in SETTINGS if key in run.config}
    words = {"task": _find_setting(run.config, "choices.task"), **environment}
    settings = {key: _as_typed(value) for key, value in list_leaves(parts)}
    # the same data may lie in another folder
    settings.pop("data.root", None)
    return {k: str(v) for k, v in words.items() if v not in (None, UNKNOWN_VALUE)} | settings


def _find_differences(first: Mapping[str, str], second: Mapping[str, str]) -> list[str]:
    stated_keys = [key for key in first if key in second and first[key] != second[key]]
    if "device" in stated_keys:
        # with the device also the precision and the workers change, which need no name
        return [key for key in ("task", "device") if key in stated_keys]
    return stated_keys or [key for key in {**first, **second} if (key in first) != (key in second)]


def refuse_twins(name: str, runs: Sequence[Run]) -> None:
    """Raises UserError where an arm has two runs of one seed."""
    by_seed: dict[int, Run] = {}
    for run in runs:
        twin = by_seed.setdefault(run.seed, run)
        if twin is not run:
            raise UserError(
                f"{twin.folder} and {run.folder} are both {name}, seed {run.seed}: leave one out "
                "(what a table shows of them must differ in a word, a key or the seed)"
            )


def format_value(factor: str, value: str) -> str:
    """Returns what a factor's value is called: a group's word alone, a plain value by its key."""
    _, dot, key = factor.rpartition(".")
    return f"{key}={value}" if dot else value


def _sort_values(values: tuple[str, ...]) -> tuple[str, ...]:
    """Sorts FCNs from coarse to fine, before other values, which stay in their order."""
    strides = (re.fullmatch(r"fcn(\d{1,4})s", value) for value in values)
    ranks = [-int(match[1]) if match else 0 for match in strides]
    return tuple(value for _, value in sorted(zip(ranks, values, strict=True), key=itemgetter(0)))


def _find_setting(config: Mapping[str, Any], factor: str) -> str:
    """Returns the value of a key, or a group's word; `UNKNOWN_VALUE` where the record lacks it."""
    choices = config.get("choices", {})
    return _as_typed(find_value(choices if factor in choices else config, factor, UNKNOWN_VALUE))


def _as_typed(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
