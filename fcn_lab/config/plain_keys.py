"""The keys that stand in no group, the values they take, and those that only a command has."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, get_type_hints

from fcn_lab.values import Seed, require_type


class CommandKeys(TypedDict, total=False):
    """The keys of one command and their values; a command that reads a run inherits none of them.

    They stand at the top level, and not under ``task.``, because they are typed as ``run=`` and
    ``input=``. Below ``task.`` each would have two spellings, to be translated on the command line,
    in sweeps and their cells' names, in what was recorded before, in the help and in every message.
    """

    resume: str | None
    run: str | None
    again: str | None
    allow: str | Sequence[str]
    name: str
    group: str | None
    input: str | Sequence[str] | None
    output: str | None
    format: str
    weights: str | None
    stage_rates: Sequence[float]
    dense_vs_patches: bool
    scores: bool
    overwrite: bool
    runs: str | Sequence[str] | None
    models: str | Sequence[str] | None
    upsamples: str | Sequence[str] | None
    encoders: str | Sequence[str] | None
    refines: Sequence[str]


class PlainKeys(CommandKeys, total=False):
    """The keys that stand in no group, and the values they take."""

    seed: Seed
    flip: bool
    init_from: str | None
    study: Mapping[str, Any] | None
    choices: Mapping[str, Any]
    words: Mapping[str, str]
    arm: str | None


def require_plain_keys(config: Mapping[Any, Any]) -> None:
    """Refuses values that the keys outside the groups do not take.

    Raises:
        UserError: a value does not fit; the message has the key and what it expects.
    """
    for key, annotation in get_type_hints(PlainKeys, include_extras=True).items():
        if key in config:
            require_type(annotation, config[key], key)
