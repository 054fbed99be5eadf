"""Maps the names of classes in earlier recorded configs to where these classes are now.

A run's config.yaml names the classes it was built from. Where such a file is read, an old name
becomes today's, so that every recorded run can be scored, resumed and reported.
"""

from typing import Any

# earlier name of a module or class under fcn_lab → today's; the longest match counts
NEW_NAMES = {
    "api.network": "api.build_network",
    "data.augment.Unchanged": "data.augment.Augmentation",
    "dashboard.making": "dashboard.task",
    "datamodule": "training.datamodule",
    "datamodule.camvid": "training.sources.CamVidDataModule",
    "datamodule.folder": "training.sources.folder",
    "datamodule.synthetic": "training.sources.synthetic",
    "demo.serving": "demo.task",
    "dense": "inference.shift_and_stitch",
    "engines.local": "sweeps.engines.local",
    "engines.ray": "sweeps.engines.ray",
    "engines.slurm": "sweeps.engines.slurm",
    "fcn": "networks.fcn",
    "loggers.local": "training.loggers.files",
    "loggers.online": "training.loggers.wandb_run",
    "losses": "training.losses",
    "optim": "training.optim",
    "scales": "inference.multi_scale",
    "segnet": "networks.segnet",
    "surgery": "networks.weights.published",
    "surgery.freeze": "training.freeze",
    "tasks.costsheet": "cost.sheet",
    "tasks.report": "report.task",
    "tasks.staged.Staged": "tasks.staged.TrainInStages",
    "tiling": "inference.sliding_windows",
    "trainer.Training": "training.settings.TrainerSettings",
    "training.datamodule.camvid": "training.sources.CamVidDataModule",
    "training.datamodule.CamVidDataModule": "training.sources.CamVidDataModule",
    "training.datamodule.folder": "training.sources.folder",
    "training.datamodule.synthetic": "training.sources.synthetic",
    "training.settings.Training": "training.settings.TrainerSettings",
    "unet": "networks.unet",
    "watching": "sweeps.status",
    "zoo": "networks.smp",
}
_PACKAGE = "fcn_lab."
_NAME_KEYS = {"_target_", "path", "engine"}


def find_current_name(name: str) -> str:
    """Returns today's dotted name of what a recorded config calls `name`."""
    parts = name.removeprefix(_PACKAGE).split(".")
    if name.startswith(_PACKAGE):
        for end in range(len(parts), 0, -1):
            if (new_name := NEW_NAMES.get(".".join(parts[:end]))) is not None:
                return ".".join([_PACKAGE + new_name, *parts[end:]])
    return name


def rename_targets(node: Any) -> Any:  # noqa: ANN401 - a node of any kind becomes one like it
    """Returns a copy of a recorded node in which every target has today's name."""
    if isinstance(node, dict):
        names = {k for k in _NAME_KEYS & node.keys() if isinstance(node[k], str)}
        return {
            k: find_current_name(v) if k in names else rename_targets(v) for k, v in node.items()
        }
    return [rename_targets(item) for item in node] if isinstance(node, list) else node
