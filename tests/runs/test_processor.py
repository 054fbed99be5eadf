import platform
from pathlib import Path

import pytest

from fcn_lab.runs.processor import describe_processor

INTEL = """processor\t: 0
model name\t: Some CPU @ 2.00GHz
flags\t\t: fpu sse2 avx2 avx512f avx512_bf16
"""
ARM = "processor\t: 0\nFeatures\t: fp asimd bf16\n"


def test_the_name_comes_with_the_instructions_that_decide_the_speed(tmp_path: Path) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text(INTEL)
    assert describe_processor(path) == "Some CPU @ 2.00GHz (avx2 avx512f avx512_bf16)"


def test_arm_names_its_features_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "processor", lambda: "aarch64")
    path = tmp_path / "cpuinfo"
    path.write_text(ARM)
    assert describe_processor(path) == "aarch64 (asimd bf16)"


def test_elsewhere_python_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "processor", lambda: "arm")
    assert describe_processor(tmp_path / "none") == "arm"
