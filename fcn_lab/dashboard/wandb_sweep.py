"""experiments/wandb_sweep.yaml: a W&B sweep whose agents speak Hydra's syntax, made from conf/."""

import re
from collections.abc import Collection, Mapping

import yaml

from fcn_lab.runs.names import MONITOR

HEADER = """\
# Skips × operators × seeds as a W&B sweep. Made from conf/ by task=dashboard.
#   wandb sweep --project fcn_lab experiments/wandb_sweep.yaml
#   wandb agent ENTITY/fcn_lab/SWEEP_ID
# What all cells share (data.root=, experiment=recipe, …) goes into `command`, a line each.
"""
SEEDS = (0, 1, 2)


def build_sweep(words: Mapping[str, Collection[str]]) -> dict[str, object]:
    """Returns a W&B sweep of every FCN of conf/model under every word of conf/upsample.

    Args:
        words: every group of the command line with its words.
    """
    strides = {word: re.fullmatch(r"fcn(\d+)s", word) for word in words["model"]}
    fcns = {word: -int(match[1]) for word, match in strides.items() if match}
    axes = {
        "model": sorted(fcns, key=lambda word: fcns[word]),
        "upsample": sorted(words["upsample"]),
        "seed": list(SEEDS),
    }
    return {
        "program": "run.py",
        "method": "grid",
        "metric": {"name": MONITOR, "goal": "maximize"},
        "parameters": {key: {"values": values} for key, values in axes.items()},
        "command": ["${env}", "python", "${program}", "${args_no_hyphens}"],
    }


def format_sweep(words: Mapping[str, Collection[str]]) -> str:
    """Returns the content of the sweep's YAML file."""
    return HEADER + yaml.safe_dump(build_sweep(words), sort_keys=False)
