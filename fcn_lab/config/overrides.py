"""Overrides as Hydra reads them, each text read once: the cells of a sweep share most of theirs."""

from collections.abc import Iterable
from functools import cache

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override


def parse_overrides(lines: Iterable[str]) -> list[Override]:
    """Returns what each text says.

    Raises:
        OverrideParseException: one is no override.
    """
    return [_parse(line) for line in lines]


@cache
def _parse(line: str) -> Override:
    # parse_override would not say in its error which text it is about
    return OverridesParser.create().parse_overrides([line])[0]
