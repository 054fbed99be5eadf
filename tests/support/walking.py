"""Every key of every word with values that nobody means, as typed on a command line."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict

from fcn_lab.config.words import compose
from support.places import CONF

# as typed behind `key=`
VALUES = (
    *("x", "", "null", "true", "0", "-1", "1", "1.5", "1e-9", "nan", "inf", "-inf", "1e30"),
    *("1000000000000000000", "[]", "[0]", "[1,1]", "[x]", "[null]", "{}", "{x:1}", "'ü ✓'"),
)
INSIDE = ("x", "null", "0", "-1", "1e-9", "nan", "inf", "1e30", "1000000000000000000", "[]")
# by target: what makes nets and data as small as they get
SMALL = {
    "TinyEncoder": ("encoder.widths=[2,2,2,2,2]", "encoder.head_width=2"),
    "VGG16Encoder": ("encoder.head_width=2",),
    "SmpEncoder": ("encoder.name=resnet18", "encoder.head_width=2"),
    "published_fcn": ("model.head_width=2", "model.width=2"),
    "SegNetBasic": ("model.width=2",),
    "ValidUNet": ("model.width=2",),
    "UNet": ("model.width=2",),
    "synthetic": (
        *("data.size=[32,32]", "data.batch_size=2"),
        *("+data.train=3", "+data.val=1", "+data.test=1"),
    ),
}


@dataclass(frozen=True)
class Key:
    """A key, the target that it is an argument of, and what it holds."""

    name: str
    owner: str
    default: Any

    @property
    def group(self) -> str:
        return self.name.partition(".")[0]

    def values(self) -> Iterator[str]:
        """The values it is tried with; for a list, lists as long as its own, too."""
        yield from VALUES
        if isinstance(self.default, list) and self.default:
            for text in INSIDE:
                yield f"[{','.join([text] * len(self.default))}]"

    def stays_as_typed(self) -> bool:
        """Whether a value takes the place of what is there: lists and mappings are merged."""
        refers = isinstance(self.default, str) and self.default.startswith("${")
        return not isinstance(self.default, list | dict) and (not refers or self.group == "task")


def words() -> list[tuple[str, str]]:
    """Every word of every group; experiments are none, they bring no keys."""
    files = [file for file in sorted(CONF.glob("*/*.yaml")) if file.parent.name != "experiment"]
    return [(file.parent.name, file.stem) for file in files]


def small(group: str, word: str, *more: str) -> DictConfig:
    """The config of a word, made small, as a worker finds it."""
    config = compose([f"{group}={word}", *(["data=synthetic"] if group != "data" else [])])
    if group != "logger":
        config.logger = {}
    targets = {target.rpartition(".")[2] for target in _targets(_raw(config))}
    for override in (*(o for target in SMALL if target in targets for o in SMALL[target]), *more):
        lay(override, config)
    config.choices = config.hydra.runtime.choices
    with open_dict(config):
        del config["hydra"]
    return config


def keys(config: DictConfig) -> Iterator[Key]:
    """Those of a config, inner nodes too."""
    yield from _keys(_raw(config), "", "")


def lay(override: str, config: DictConfig) -> None:
    """Lays KEY=TEXT over a config as Hydra does."""
    name, _, text = override.partition("=")
    parsed = copy.copy(_parsed(text))
    add = name.startswith("+")
    parsed.key_or_group = name.lstrip("+")
    parsed.type = type(parsed.type).ADD if add else parsed.type
    ConfigLoaderImpl._apply_overrides_to_config([parsed], config)


def value(text: str) -> Any:
    """What Hydra reads from the text."""
    return _parsed(text).value()


def typed(key: Key, text: str, config: DictConfig, part: str) -> Any:
    """The node `part` of the config with KEY=TEXT laid over it; the config stays as it was."""
    content = config._content
    assert isinstance(content, dict)
    before = content[key.group]
    content[key.group] = copy.deepcopy(before)
    try:
        lay(f"{key.name}={text}", config)
        node = OmegaConf.select(config, part)
        return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
    finally:
        content[key.group] = before


@cache
def _parsed(text: str) -> Override:
    return OverridesParser.create().parse_overrides([f"key={text}"])[0]


def _raw(config: DictConfig) -> dict[str, Any]:
    node = OmegaConf.to_container(config, resolve=False)
    assert isinstance(node, dict)
    return {key: node[key] for key in node if key not in ("hydra", "choices", "matched")}


def _keys(node: Any, name: str, owner: str) -> Iterator[Key]:
    if name:
        yield Key(name, owner, node)
    if isinstance(node, dict):
        for key, inner in node.items():
            place = f"{name}.{key}" if name else str(key)
            yield from _keys(inner, place, str(node.get("_target_", owner)))


def _targets(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield str(node.get("_target_", ""))
        for inner in node.values():
            yield from _targets(inner)
