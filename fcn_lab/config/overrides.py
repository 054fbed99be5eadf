"""Parses overrides as Hydra does, each text once, since the cells of a sweep share most of them."""

from collections.abc import Iterable
from functools import cache

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override


def parse_overrides(lines: Iterable[str]) -> list[Override]:
    """Returns the override that each text describes.

    Raises:
        OverrideParseException: a text is no override.
    """
    return [_parse(line) for line in lines]


@cache
def _parse(line: str) -> Override:
    # the errors of parse_override do not say which text they are about
    return OverridesParser.create().parse_overrides([line])[0]
