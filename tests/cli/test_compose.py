"""Cells composed together are what Hydra composes one by one."""

from collections.abc import Iterator
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from fcn_lab.cli.compose import Composer
from fcn_lab.cli.help import wrap_lists
from fcn_lab.config.frozen import find_conf_folder

CELLS = [
    ["model=fcn8s", "seed=1"],
    ["model=fcn8s", "seed=2", "optim.lr=0.5"],
    ["seed=3", "model=fcn8s"],
    ["model=unet", "data=synthetic", "data.size=[32,48]"],
    ["model=fcn8s", "+trainer.enable_model_summary=true", "~flip"],
    ["model=fcn8s", "optim=sgd", "logger=[csv]", "name=own"],
    ["model=fcn8s", "seed=1"],
]


@pytest.fixture
def asked() -> Iterator[tuple[ConfigLoader, DictConfig]]:
    with initialize_config_dir(str(find_conf_folder()), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        yield loader, compose("config", return_hydra_config=True)


def plain(config: DictConfig) -> Any:  # noqa: ANN401
    found = OmegaConf.to_container(config)
    assert isinstance(found, dict)
    if "hydra" in found:
        del found["hydra"]["job"]["override_dirname"]  # of the overrides, and nothing here reads it
    return found


def test_every_cell_is_what_hydra_composes(asked: tuple[ConfigLoader, DictConfig]) -> None:
    loader, config = asked
    composer = Composer(loader, config)
    for number, overrides in enumerate(CELLS):
        found = composer.compose(overrides, number)
        expected = loader.load_sweep_config(config, overrides)
        with read_write(expected), open_dict(expected):
            expected.hydra.job.id, expected.hydra.job.num = str(number), number
            expected.choices = expected.hydra.runtime.choices
        hydra = HydraConfig.instance().cfg
        assert {**plain(found), **plain(hydra)} == plain(expected)
        assert OmegaConf.is_struct(found) == OmegaConf.is_struct(expected)
        assert hydra.hydra.run.dir.endswith(found.name)


def test_cells_of_the_same_words_are_read_from_the_files_once(
    asked: tuple[ConfigLoader, DictConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    loader, config = asked
    composer, read = Composer(loader, config), []
    load = loader.load_sweep_config
    monkeypatch.setattr(
        loader, "load_sweep_config", lambda *given: read.append(given) or load(*given)
    )
    for number, overrides in enumerate(CELLS):
        composer.compose(overrides, number)
    assert len(read) == 3


@pytest.mark.parametrize("wrong", ["model=fcn9s", "sede=1", "trainer.epochs=3"])
def test_a_wrong_word_or_key_is_refused_as_by_hydra(
    wrong: str, asked: tuple[ConfigLoader, DictConfig]
) -> None:
    loader, config = asked
    with pytest.raises(HydraException) as expected:
        loader.load_sweep_config(config, [wrong])
    with pytest.raises(HydraException) as found:
        Composer(loader, config).compose([wrong], 0)
    assert str(found.value) == str(expected.value)


def test_the_lists_of_the_help_are_broken_between_words_and_its_commands_never() -> None:
    command = f"  fcn-lab task=predict run={'long/' * 12}"
    text = f"loss: {', '.join(f'word_{n}' for n in range(30))}\n{command}\n\nend"
    wrapped = wrap_lists(text, 40)
    assert wrapped.split() == text.split()
    assert command in wrapped.splitlines()
    assert max(len(line) for line in wrapped.splitlines() if line != command) <= 40
