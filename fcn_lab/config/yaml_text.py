"""YAML by the rules of OmegaConf, over libyaml where that is there: ten times as fast."""

from functools import cache
from typing import Any

import yaml

# OmegaConf's own reader and writer have no public name
from omegaconf._utils import get_omega_conf_dumper, get_yaml_loader


def load_yaml(text: str) -> object:
    """Builds what a text says, in plain mappings and lists.

    Raises:
        yaml.YAMLError: it is no YAML, or names a key twice.
    """
    return yaml.load(text, _find_loader())


def dump_yaml(content: object) -> str:
    """Writes plain mappings and lists as ``OmegaConf.to_yaml`` does."""
    style: dict[str, Any] = {"default_flow_style": False, "allow_unicode": True}
    return str(yaml.dump(content, Dumper=_find_dumper(), sort_keys=False, **style))


@cache
def _find_loader() -> Any:  # noqa: ANN401 - yaml has no type for loaders
    rules = get_yaml_loader()
    if not yaml.__with_libyaml__:
        return rules
    parser = yaml.CSafeLoader.__bases__[0]
    return type("Loader", (parser, rules), {"__init__": yaml.CSafeLoader.__init__})


@cache
def _find_dumper() -> Any:  # noqa: ANN401 - yaml has no type for dumpers
    rules = get_omega_conf_dumper()
    return type("Dumper", (yaml.CDumper, rules), {}) if yaml.__with_libyaml__ else rules
