"""Lets a mapping or list on the command line replace that of a file as a whole."""

from collections.abc import Sequence

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser

from fcn_lab.errors import UserError

ATOMIC_KEYS = ("data.names", "data.splits")


def replace_mappings(overrides: Sequence[str]) -> list[str]:
    """Returns the overrides, with the file's values of these keys removed before.

    Hydra would merge the two, and a class or split of the file would remain.

    Raises:
        UserError: a mapping has a key twice; Hydra would keep the last one without a word.
    """
    result: list[str] = []
    for override in overrides:
        key, _, value = override.partition("=")
        if key in ATOMIC_KEYS and value[:1] in ("{", "["):
            if repeated_key := _find_repeated_key(value):
                raise UserError(f"{key} has {repeated_key} twice; expected it once")
            sweeps = OverridesParser.create().parse_override(override).is_sweep_override()
            if not sweeps and result[-1:] != [f"{key}=null"]:
                result.append(f"{key}=null")
        result.append(override)
    return result


def _find_repeated_key(mapping: str) -> str | None:
    try:
        node = yaml.compose(mapping, yaml.SafeLoader)
    except yaml.YAMLError:
        # Hydra reports what is wrong with it
        return None
    keys = [key.value for key, _ in node.value] if isinstance(node, yaml.MappingNode) else []
    return next((key for key in keys if keys.count(key) > 1), None)
