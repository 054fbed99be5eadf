from pathlib import Path

import pytest

from fcn_lab.data.locations import find_default_folder


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test writes its cache into the working tree, or finds the real data by accident."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FCN_LAB_CAMVID", raising=False)


_REAL = find_default_folder().absolute()


@pytest.fixture(scope="session")
def camvid_root() -> Path:
    if not (_REAL / "trainannot").is_dir():
        pytest.skip("real CamVid absent: set FCN_LAB_CAMVID to its folder")
    return _REAL
