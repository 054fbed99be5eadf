"""Fully convolutional networks on CamVid: every skip and every upsampling operator compared.

Public, and each imported when it is first asked for:

    create_model            a network by the words of the command line
    load_run                a trained run as a function from pictures to labels
    camvid                  CamVid's batches for a ``lightning.Trainer``; also CamVidDataModule
    folder                  batches of your own pictures and masks
    synthetic               batches of street scenes drawn in memory
    FrameDataModule         batches of any other source of frames
    SegmentationModule      trains and scores a network under a ``lightning.Trainer``
    Optim                   an optimiser and its learning-rate schedule
    losses                  the module of the losses
    operators               the module of the upsampling operators
    __version__             the package's version

``help(fcn_lab.NAME)`` shows shapes, units, errors and an example.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fcn_lab import upsampling as operators
    from fcn_lab.api import create_model, load_run
    from fcn_lab.training import losses
    from fcn_lab.training.datamodule import FrameDataModule
    from fcn_lab.training.module import SegmentationModule
    from fcn_lab.training.optim import Optim
    from fcn_lab.training.sources import CamVidDataModule, folder, synthetic
    from fcn_lab.training.sources import CamVidDataModule as camvid

    __version__: str

__all__ = [
    "CamVidDataModule",
    "FrameDataModule",
    "Optim",
    "SegmentationModule",
    "__version__",
    "camvid",
    "create_model",
    "folder",
    "load_run",
    "losses",
    "operators",
    "synthetic",
]

# name → where it lies; a module, or what stands in it behind the colon
_PLACES = {
    "CamVidDataModule": "fcn_lab.training.sources:CamVidDataModule",
    "FrameDataModule": "fcn_lab.training.datamodule:FrameDataModule",
    "Optim": "fcn_lab.training.optim:Optim",
    "SegmentationModule": "fcn_lab.training.module:SegmentationModule",
    "camvid": "fcn_lab.training.sources:CamVidDataModule",
    "create_model": "fcn_lab.api:create_model",
    "folder": "fcn_lab.training.sources:folder",
    "load_run": "fcn_lab.api:load_run",
    "losses": "fcn_lab.training.losses",
    "operators": "fcn_lab.upsampling",
    "synthetic": "fcn_lab.training.sources:synthetic",
}

# albumentations asks the package index for its newest version at import: seconds behind a firewall
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")


def __getattr__(name: str) -> object:
    # the command line imports this package too, and must not pay for torch
    if name == "__version__":
        return import_module("importlib.metadata").version("fcn-lab")
    if name in _PLACES:
        return import_module("pkgutil").resolve_name(_PLACES[name])
    raise AttributeError(f"module 'fcn_lab' has no attribute '{name}'")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
