"""Finds words that a command gives and that nothing in it reads."""

from collections.abc import Mapping, Sequence
from typing import Any

from fcn_lab.config.overrides import parse_overrides


def list_unread(content: Mapping[str, Any], overrides: Sequence[str]) -> list[str]:
    """Returns a line for each override of a group that no other part of the config refers to.

    It changes nothing then. It is no mistake, since a sweep may cross ``model=fcn8s,smp`` with
    encoders. A command that reads a run takes the run's words besides its own: it gets no line.

    Args:
        content: what the command's config.yaml will hold.
        overrides: the command's words and values, as they were typed.
    """
    if content.get("run") is not None or content.get("again") is not None:
        return []
    links = content["links"].items()
    read = {"task", *(_group(source) for key, source in links if _group(key) != _group(source))}
    readers = ["task", *(["model"] if "model" in read else [])]
    words = " ".join(f"{group}={content['choices'][group]}" for group in readers)
    return [
        f"{override.input_line} has no effect: with {words} nothing reads {group}"
        for override in parse_overrides(overrides)
        if (group := _group(override.key_or_group)) not in read
        and group in content["choices"]
        # an experiment is no node, and logger=none and dense=none are meant to have no effect
        and content.get(group)
    ]


def _group(key: str) -> str:
    return key.partition(".")[0]
