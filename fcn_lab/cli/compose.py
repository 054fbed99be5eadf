"""Composes the cells of a sweep fast, since there may be thousands of them."""

import copy
import re
from collections.abc import Sequence
from hashlib import sha256

# Hydra applies overrides to a composed config nowhere in public
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from fcn_lab.config.mappings import ATOMIC_KEYS
from fcn_lab.config.overrides import parse_overrides
from fcn_lab.files import shorten_name

# in characters: a file name holds 255 bytes, and suffixes will be added
LONGEST_NAME = 120


class Composer:
    """Composes cells; those that differ only in plain keys share what their words compose to.

    Hydra would read and merge every file again for each cell, which takes most of the time in which
    a large sweep is composed. The plain keys are applied to the result as Hydra does it.

    Args:
        loader: Hydra's loader of configs.
        config: the command's own configuration.
    """

    def __init__(self, loader: ConfigLoader, config: DictConfig) -> None:
        # Hydra has no other loader
        assert isinstance(loader, ConfigLoaderImpl)
        self._loader, self._config, self._groups = loader, config, loader.repository
        # words → the config without Hydra's part, and that part
        self._configs: dict[tuple[str, ...], tuple[DictConfig, DictConfig]] = {}

    def compose(self, overrides: Sequence[str], number: int) -> DictConfig:
        """Returns the configuration of one cell; Hydra's own part of it goes into `HydraConfig`.

        Args:
            overrides: the cell's overrides.
            number: the cell's place among all cells of the sweep.

        Raises:
            HydraException: an override that does not fit.
        """
        items = parse_overrides(overrides)
        words = tuple(str(item.input_line) for item in items if self._is_word(item))
        if words not in self._configs:
            self._configs[words] = self._load(words)
        base, hydra = self._configs[words]
        config = copy.deepcopy(base)
        values = [item for item in items if not self._is_word(item)]
        for key in {override.key_or_group for override in values} & set(ATOMIC_KEYS):
            # emptied first, or the file's value would be merged in
            OmegaConf.update(config, key, None, merge=False)
        ConfigLoaderImpl._apply_overrides_to_config(values, config)
        with read_write(hydra.hydra), open_dict(hydra.hydra):
            hydra.hydra.overrides.task = list(overrides)
            hydra.hydra.job.id, hydra.hydra.job.num = str(number), number
        # as HydraConfig.set_config does: references in Hydra's part then lead into this cell
        hydra.hydra._set_parent(config)
        HydraConfig.instance().cfg = hydra  # type: ignore[assignment]
        return config

    def _load(self, words: Sequence[str]) -> tuple[DictConfig, DictConfig]:
        config = self._loader.load_sweep_config(self._config, list(words))
        hydra = OmegaConf.masked_copy(config, "hydra")
        with read_write(config), open_dict(config):
            del config["hydra"]
            # copied, since a reference to Hydra's part would be parsed a dozen times for each cell
            config.choices = hydra.hydra.runtime.choices
        return config, hydra

    def _is_word(self, override: Override) -> bool:
        """Returns whether an override is a group's word, by Hydra's own rule."""
        is_group = self._groups.group_exists(override.key_or_group)
        return is_group and not isinstance(override.value(), dict)


def format_file_name(words: Sequence[str]) -> str:
    """Returns words in one file name.

    It has at most LONGEST_NAME characters and a hash, fewer where they take more bytes than a file
    name may have.
    """
    name = re.sub(r"[^\w.=,+-]+", "-", ",".join(words)).strip("-.")
    if len(name) > LONGEST_NAME:
        name = f"{name[:LONGEST_NAME]}-{sha256(name.encode()).hexdigest()[:8]}"
    return shorten_name(name)
