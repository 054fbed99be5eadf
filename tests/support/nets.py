"""Finished runs with their weights, as the demo reads them; untrained, so in no time."""

from pathlib import Path

import torch
import yaml
from omegaconf import OmegaConf

from fcn_lab.api import create_model
from fcn_lab.config.words import compose
from support import fakeruns

SMALL = {"encoder.widths": [4, 4, 8, 8, 8], "encoder.head_width": 8}
MODELS = ("fcn8s", "fcn32s", "fcn16s")


def write_runs(folder: Path, predictions: bool = True) -> Path:
    """FCN-32s, 16s and 8s by bilinear, FCN-8s by nearest too; a folder each."""
    frames, source = fakeruns.street(6)
    for model, upsample in (("fcn8s", "nearest"), *((model, "bilinear") for model in MODELS)):
        run = folder / f"model={model},upsample={upsample},seed=0"
        fakeruns.write_run(run, frames, source, model, upsample, predictions=predictions)
        add_weights(run, model, upsample, source.classes, source.palette)
    return folder


def add_weights(run: Path, model: str, upsample: str, classes: object, palette: object) -> None:
    """checkpoints/best.ckpt, and in config.yaml the network it belongs to."""
    torch.manual_seed(0)
    net = create_model(model, upsample, **SMALL)
    state = {f"net.{name}": value for name, value in net.state_dict().items()}
    (run / "checkpoints").mkdir()
    content = {"state_dict": state, "classes": classes, "palette": palette}
    torch.save(content, run / "checkpoints" / "best.ckpt")
    config = compose([f"model={model}", f"upsample={upsample}"])
    for key, value in SMALL.items():
        OmegaConf.update(config, key, value)
    node = OmegaConf.to_container(config.model, resolve=True)
    recorded = yaml.safe_load((run / "config.yaml").read_text())
    recorded |= {"model": node, "flip": False, "weights": None, "links": {}}
    (run / "config.yaml").write_text(yaml.safe_dump(recorded))
