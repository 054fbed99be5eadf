"""Links are followed to what OmegaConf resolves them to, and refused in its words."""

from typing import Any

import pytest
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fcn_lab.config.links import follow_links


def resolve(config: dict[str, Any]) -> dict[Any, Any]:
    resolved = OmegaConf.to_container(OmegaConf.create(config), resolve=True, throw_on_missing=True)
    assert isinstance(resolved, dict)
    return resolved


@pytest.mark.parametrize(
    "config",
    [
        {"a": {"x": 1, "y": "${.x}", "z": ["${..x}", "${a.y}"]}, "b": "${a}", "c": "${b.z.1}"},
        {"names": {0: "${gone.x}", "no": r"\${gone} $ {"}, "gone": {"x": None}, "n": "${names}"},
        {"made": "${oc.create:${text}}", "text": "{k: 3}", "k": "${made.k}", "all": "${made}"},
        {"text": "x is ${a.x}", "a": {"x": "${b}"}, "b": [1, {"c": "${text}"}], "t": "${b.1.c}"},
    ],
)
def test_following_gives_what_omegaconf_resolves(config: dict[str, Any]) -> None:
    assert follow_links(OmegaConf.create(config)) == resolve(config)


@pytest.mark.parametrize(
    "config",
    [
        {"a": "${b}", "b": "${a}"},
        {"a": "${b.c}", "b": {}},
        {"a": "${b.c}", "b": None},
        {"a": "${b.x}", "b": [1]},
        {"a": {"b": "${..c}"}, "c": {"d": "???"}},
        {"a": "${oc.env:NOT_THERE_AT_ALL}"},
        {"a": {"b": "${a}"}},
    ],
)
def test_what_cannot_be_resolved_is_refused_in_omegaconfs_words(config: dict[str, Any]) -> None:
    with pytest.raises(OmegaConfBaseException) as expected:
        resolve(config)
    with pytest.raises(OmegaConfBaseException) as found:
        follow_links(OmegaConf.create(config))
    assert str(found.value) == str(expected.value)
