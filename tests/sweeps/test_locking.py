"""Two commands that freeze one sweep take turns."""

import shutil
import threading
from pathlib import Path

import pytest

from fcn_lab.sweeps.locking import hold_sweep
from support.waiting import PATIENCE, wait_until


def test_the_second_waits_for_the_first_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[str] = []

    def freeze() -> None:
        with hold_sweep(tmp_path):
            seen.append("second")

    second = threading.Thread(target=freeze)
    with hold_sweep(tmp_path):
        second.start()
        told: list[str] = []
        wait_until(lambda: told.append(capsys.readouterr().out) or any(told))
        seen.append("first")
    second.join(PATIENCE)
    assert seen == ["first", "second"]
    assert str(tmp_path) in "".join(told)


def test_it_is_made_anew_where_a_refused_one_removed_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, entered = tmp_path / "above" / "sweep", threading.Event()

    def freeze() -> None:
        with hold_sweep(folder):
            (folder / "sweep.json").touch()
            entered.set()

    with hold_sweep(folder):
        second = threading.Thread(target=freeze)
        second.start()
        wait_until(lambda: str(folder) in capsys.readouterr().out)
        shutil.rmtree(folder.parent)
    second.join(PATIENCE)
    assert entered.is_set()
    assert (folder / "sweep.json").exists()


def test_a_folder_that_stays_empty_goes_again_with_those_above_it(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), hold_sweep(tmp_path / "a" / "b"):
        _ = 1 / 0
    assert list(tmp_path.iterdir()) == []
