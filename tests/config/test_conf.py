"""Every YAML file of conf/ is a word that composes, fits its target's signature, and builds."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest
import torch
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from fcn_lab.api import compose
from fcn_lab.config.build import build, check
from fcn_lab.config.frozen import find_references
from fcn_lab.errors import UserError
from support.places import CONF

ENGINES = sorted((CONF / "hydra" / "launcher").glob("*.yaml"))
FILES = sorted(set(CONF.rglob("*.yaml")) - set(ENGINES))
WORDS = [file for file in FILES if file.parent != CONF and "hydra" not in file.parts]
GROUPS = ("augment", "data", "encoder", "loss", "model", "optim", "schedule", "trainer", "upsample")
NEEDS_MORE = {
    "trainer/gpu",
    "data/camvid",
    "data/folder",
}  # a GPU; the data: they may say so, and build where it is


def chosen(file: Path) -> DictConfig:
    """The config of a word; classes of one's own have names first of all."""
    config = compose([override(file)])
    if "names" in config.data:
        config.data.names = ["road", "car"]
    return config


def word(file: Path) -> str:
    return str(file.relative_to(CONF).with_suffix(""))


def override(file: Path) -> str:
    return word(file).replace("/", "=", 1)


def test_together_the_words_use_every_file() -> None:
    loader = ConfigLoaderImpl(config_search_path=create_config_search_path(str(CONF)))
    used = {"config"}
    for file in WORDS:
        found = loader.compute_defaults_list("config", [override(file)], RunMode.RUN)
        used |= {default.config_path or "" for default in found.defaults}
    assert {word(file) for file in FILES} == {
        path for path in used if (CONF / f"{path}.yaml").exists()
    }
    assert len(WORDS) == len(FILES) - 3  # config.yaml, the help text and the sweeper are no words
    assert len(WORDS) >= 50


@pytest.mark.parametrize("file", WORDS, ids=word)
def test_a_word_composes_and_fits_the_signatures(file: Path) -> None:
    config = chosen(file)
    # the command line would look them up in a global state of Hydra's
    config.choices = config.hydra.runtime.choices
    config.merge_with({"run": "RUN_DIR", "runs": ["RUNS"], "input": "FILE", "output": "FOLDER"})
    config.sweep.dir = "SWEEP_DIR"
    if "grid" in config.task:
        config.task.grid.typed = []  # nor what was typed
    resolved = OmegaConf.to_container(config.task, resolve=True)
    check(resolved, "task", find_references(config))


@pytest.mark.parametrize("file", ENGINES, ids=word)
def test_an_engine_takes_what_its_word_says(file: Path) -> None:
    node = OmegaConf.to_container(OmegaConf.load(file))
    assert isinstance(node, dict)
    assert node.pop("_target_") == "hydra_plugins.fcn_lab_launcher.CellLauncher"
    check({"_target_": node.pop("engine"), **node}, "hydra.launcher", {})


@pytest.mark.parametrize("file", [f for f in WORDS if f.parent.name in GROUPS], ids=word)
def test_a_word_builds(file: Path) -> None:
    config = chosen(file)
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
