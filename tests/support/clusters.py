"""Which cluster answers here: asked when a test needs one, never while tests are collected."""

import shutil
import subprocess
from functools import cache

import pytest


@cache
def _slurm_answers() -> bool:
    asked = ["timeout", "10", "sinfo"]
    found = shutil.which("sinfo") is not None
    return found and subprocess.run(asked, capture_output=True).returncode == 0


def need_slurm() -> None:
    """Skips the test where no Slurm answers."""
    if not _slurm_answers():
        pytest.skip("no Slurm answers here; .ci/slurm starts one")
