"""Fully convolutional networks on CamVid: every skip and every upsampling operator compared.

Public: ``create_model`` and ``load_run``, ``CamVidDataModule`` and ``SegmentationModule`` for a
``lightning.Trainer`` of one's own, and ``__version__``. Each is imported when first asked for.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fcn_lab.api import create_model, load_run
    from fcn_lab.training.datamodule import CamVidDataModule
    from fcn_lab.training.module import SegmentationModule

    __version__: str

__all__ = ["CamVidDataModule", "SegmentationModule", "__version__", "create_model", "load_run"]

_MODULES = {
    "CamVidDataModule": "training.datamodule",
    "SegmentationModule": "training.module",
    "create_model": "api",
    "load_run": "api",
}

# albumentations asks the package index for its newest version at import: seconds behind a firewall
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")


def __getattr__(name: str) -> object:
    # the command line imports this package too, and must not pay for torch
    if name == "__version__":
        return import_module("importlib.metadata").version("fcn-lab")
    if name in _MODULES:
        return getattr(import_module(f"fcn_lab.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'fcn_lab' has no attribute '{name}'")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
