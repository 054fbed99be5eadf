"""Every YAML file of conf/ is a word that composes, fits its target's signature, and builds."""

import inspect
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.errors import HydraException
from hydra.types import RunMode
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf, open_dict

from fcn_lab.config.build import build, check
from fcn_lab.config.frozen import find_references
from fcn_lab.config.links import follow_links
from fcn_lab.config.words import (
    _compose_defaults,
    _find_newest_time,
    compose,
    compose_by_hydra,
)
from fcn_lab.errors import UserError
from support.places import CONF

ENGINES = sorted((CONF / "hydra" / "launcher").glob("*.yaml"))
FILES = sorted(set(CONF.rglob("*.yaml")) - set(ENGINES))
WORDS = [file for file in FILES if file.parent != CONF and "hydra" not in file.parts]
GROUPS = ("augment", "data", "encoder", "loss", "model", "optim", "schedule", "trainer", "upsample")
NEEDS_MORE = {
    "trainer/gpu",
    "data/camvid",
    "data/camvid_720x960",
    "data/folder",
    "data/voc",
    *(
        f"data/{word}"
        for word in (
            "ade20k",
            "cityscapes",
            "nyud",
            "pascal_context",
            "pascal_context_mat",
            "siftflow",
        )
    ),
}  # a GPU; the data: they may say so, and build where it is


@pytest.fixture(autouse=True, scope="module")
def _as_hydra_stands_now() -> None:
    """A command line typed before, in this process, has put our sweeper in Hydra's place."""
    _compose_defaults.cache_clear()


def word(file: Path) -> str:
    return str(file.relative_to(CONF).with_suffix(""))


def override(file: Path) -> str:
    return word(file).replace("/", "=", 1)


def says_more(file: Path) -> bool:
    """Returns whether a word brings more than its group's node."""
    return any(sign in file.read_text() for sign in ("defaults:", "@package"))


# of each group a word whose file is its node and no more, until every one was there
ALONE = [
    [override(file) for file in WORDS if file.parent.name == group and not says_more(file)]
    for group in sorted({file.parent.name for file in WORDS} - {"logger"})  # a list of words
]
ROWS = [list(row) for row in zip_longest(*filter(None, ALONE), fillvalue="seed=3")]


def test_the_files_that_are_no_words_are_used_all_the_same() -> None:
    loader = ConfigLoaderImpl(config_search_path=create_config_search_path(str(CONF)))
    used = {"config"}
    for words in ([], ["experiment=tune"]):
        found = loader.compute_defaults_list("config", words, RunMode.RUN)
        used |= {default.config_path or "" for default in found.defaults}
    others = {word(file) for file in set(FILES) - set(WORDS)}
    assert others <= used
    assert len(others) == 3  # config.yaml, the help text and the sweeper
    groups = {*loader.list_groups("")} - {"hydra"}
    assert len(WORDS) == sum(len(loader.get_group_options(group)) for group in groups)


@pytest.mark.parametrize("file", WORDS, ids=word)
def test_a_word_composes_fits_the_signatures_and_builds(file: Path) -> None:
    # its widths are those of these networks alone
    fitting = ["model=fcn8s", "upsample=bilinear", "upsample.refine=conv"]
    config = compose([override(file), *fitting * (file.stem == "matched_wide")])
    if "names" in config.data:  # classes of one's own have names first of all
        config.data.names = ["road", "car"]
    if file.parent.name in GROUPS:
        build_group(config, file)
    # the command line would look them up in a global state of Hydra's
    config.choices = config.hydra.runtime.choices
    config.merge_with({"run": "RUN_DIR", "runs": ["RUNS"], "input": "FILE", "output": "FOLDER"})
    config.sweep.dir = "SWEEP_DIR"
    if "grid" in config.task:
        config.task.grid.typed = []  # nor what was typed
    if "typed" in config.task:
        config.task.typed = []
    with open_dict(config):
        del config["hydra"]
    resolved = follow_links(config)
    assert resolved == OmegaConf.to_container(config, resolve=True)
    check(resolved["task"], "task", find_references(config))


def build_group(config: DictConfig, file: Path) -> None:
    """Builds a word's node, which fails only where it needs what is not here."""
    group = file.parent.name
    node = OmegaConf.to_container(config[group], resolve=True)
    assert isinstance(node, dict)
    # 130 million parameters need no memory to show that they fit together
    place: AbstractContextManager[object] = (
        nullcontext() if group == "data" else torch.device("meta")
    )
    try:
        with place:
            assert build(node, group, {}) is not None
    except UserError:
        assert word(file) in NEEDS_MORE


@pytest.mark.parametrize("file", ENGINES, ids=word)
def test_an_engine_takes_what_its_word_says(file: Path) -> None:
    node = OmegaConf.to_container(OmegaConf.load(file))
    assert isinstance(node, dict)
    assert node.pop("_target_") == "hydra_plugins.fcn_lab_launcher.CellLauncher"
    check({"_target_": node.pop("engine"), **node}, "hydra.launcher", {})


def read_plainly(config: DictConfig) -> dict[str, Any]:
    found = OmegaConf.to_container(config)
    assert isinstance(found, dict)
    del found["hydra"]["job"]["override_dirname"]  # of the overrides, and nothing here reads it
    return found


def compare_with_hydra(overrides: list[str]) -> None:
    found, expected = compose(overrides), compose_by_hydra(overrides)
    assert read_plainly(found) == read_plainly(expected)
    assert OmegaConf.is_struct(found) == OmegaConf.is_struct(expected)


# word → the arguments that make it a variant of the same class
VARIANTS = {
    "augment/light": {"scale", "flip"},
    "augment/strong": {"scale", "flip", "gamma", "brightness", "contrast", "cast", "saturation"},
    "data/camvid": {"size"},
    "encoder/lite0": {"name", "head_width"},
    "loss/ce_sqrt_weighted": {"power"},
    "loss/ce_weighted_dice": {"power"},
    "optim/adamw": {"weight_decay"},
    "optim/heavy": {"weight_decay", "bias_rate"},
    "optim/sgd": {"weight_decay"},
    "trainer/default": {"precision"},
    "upsample/bed_of_nails": {"refine"},
    "upsample/max_unpool": {"refine"},
}


def find_differences(node: object) -> Iterator[str]:
    """The arguments of the lab's own classes to which YAML gives another value than Python."""
    if isinstance(node, dict):
        target = str(node.get("_target_", ""))
        if target.startswith("fcn_lab."):
            for name, argument in inspect.signature(get_object(target)).parameters.items():
                default = argument.default
                is_plain = not isinstance(node.get(name), dict) and "${" not in str(node.get(name))
                if name in node and is_plain and default is not argument.empty:
                    default = list(default) if isinstance(default, tuple) else default
                    if node[name] != default:
                        yield name
        for child in node.values():
            yield from find_differences(child)
    elif isinstance(node, list):
        for child in node:
            yield from find_differences(child)


def test_a_default_is_the_same_in_yaml_and_in_python() -> None:
    """YAML has every key a user may set, and Python is used without it: both need the default."""
    found = {
        f"{file.parent.name}/{file.stem}": set(find_differences(yaml.safe_load(file.read_text())))
        for file in WORDS
    }
    assert {word: names for word, names in found.items() if names} == VARIANTS


@pytest.mark.parametrize("words", ROWS, ids=" ".join)
def test_words_that_are_exchanged_compose_as_by_hydra(words: list[str]) -> None:
    compare_with_hydra(words)


@pytest.mark.slow
def test_words_and_keys_compose_as_by_hydra() -> None:
    for overrides in (
        ["model=../model/fcn8s"],
        ["model=fcn8s", "upsample=nearest", "encoder=smp", "encoder.name=resnet18"],
        ["encoder=smp", "model=unet_valid", "data.classes=3", "+data.train=5"],
        ["capacity=matched", "upsample=bilinear", "encoder.dropout=0.2"],
        ["data.names={a: 1}", "data=folder", "logger=[csv]", "~flip"],
        ["hydra/launcher=local", "model=fcn2s"],
        ["optim.rates={encoder: 0.1}", "trainer=cpu"],
    ):
        compare_with_hydra(overrides)


@pytest.mark.parametrize("wrong", ["model=fcn9s", "sede=1", "trainer.epochs=3", "+model=fcn8s"])
def test_a_wrong_word_or_key_is_refused_as_by_hydra(wrong: str) -> None:
    for overrides in ([wrong], ["upsample=nearest", wrong], ["model=unet", wrong]):
        with pytest.raises(HydraException) as expected:
            compose_by_hydra(overrides)
        with pytest.raises(HydraException) as found:
            compose(overrides)
        assert str(found.value) == str(expected.value)


def test_the_lock_of_an_editor_is_no_word(tmp_path: Path) -> None:
    (tmp_path / "word.yaml").write_text("lr: 1")
    (tmp_path / ".#word.yaml").symlink_to("somebody@a-machine.1234:5678")
    assert _find_newest_time([tmp_path]) == (tmp_path / "word.yaml").stat().st_mtime_ns
