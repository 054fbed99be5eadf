"""Fully convolutional networks on CamVid: every skip and every upsampling operator compared."""

import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fcn_lab.api import create_model, load_run

__all__ = ["create_model", "load_run"]

# albumentations asks the package index for its newest version at import: seconds behind a firewall
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")


def __getattr__(name: str) -> object:
    # the command line imports this package too, and must not pay for torch
    if name in __all__:
        return getattr(import_module("fcn_lab.api"), name)
    raise AttributeError(f"module 'fcn_lab' has no attribute '{name}'")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
