"""A checkpoint that is not what was written is refused, and no kill makes a sound one look so."""

import hashlib
import random
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from fcn_lab.errors import UserError
from fcn_lab.runs.checkpoint import load_best_checkpoint
from fcn_lab.runs.digests import LIST_NAME, require_sound, write_listed
from fcn_lab.runs.records import DamagedFile
from fcn_lab.runs.run import RunFolder
from support.tiny import make_train

FLIPS = 24
SEED = 5


class Killed(BaseException):
    """Stands for kill -9."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    folder = tmp_path_factory.mktemp("trained")
    make_train({"max_epochs": 2}).run(folder)
    return folder


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> RunFolder:
    """A copy of it to damage."""
    return RunFolder(Path(shutil.copytree(trained, tmp_path / "a run")))


def flip(path: Path, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def bits(path: Path) -> list[int]:
    return random.Random(SEED).sample(range(8 * path.stat().st_size), FLIPS)


def test_the_list_is_what_sha256sum_says_of_both_checkpoints(run: RunFolder) -> None:
    for path in (run.best_checkpoint, run.last_checkpoint):
        line = f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}"
        assert line in (run.best_checkpoint.parent / LIST_NAME).read_text().splitlines()
    checked = subprocess.run(
        ["sha256sum", "-c", LIST_NAME], cwd=run.best_checkpoint.parent, capture_output=True
    )
    assert checked.returncode == 0, checked.stdout


def test_any_bit_that_is_flipped_is_noticed(run: RunFolder) -> None:
    whole = run.best_checkpoint.read_bytes()
    for bit in bits(run.best_checkpoint):
        flip(run.best_checkpoint, bit)
        with pytest.raises(DamagedFile, match=r"best\.ckpt is damaged"):
            load_best_checkpoint(run.path)
        run.best_checkpoint.write_bytes(whole)
    assert load_best_checkpoint(run.path)


def test_the_refusal_says_what_to_type_and_that_helps(run: RunFolder) -> None:
    flip(run.best_checkpoint, bits(run.best_checkpoint)[0])
    with pytest.raises(UserError, match=r"last\.ckpt is whole") as refused:
        load_best_checkpoint(run.path)
    typed = str(refused.value).partition("type ")[2].partition(", and")[0]
    subprocess.run(shlex.split(typed), check=True)
    assert load_best_checkpoint(run.path)["epoch"] == 1  # the last one's


def test_a_folder_in_its_place_is_moved_away_first(run: RunFolder) -> None:
    run.best_checkpoint.unlink()
    (run.best_checkpoint / "inner").mkdir(parents=True)
    with pytest.raises(UserError, match=r"last\.ckpt is whole") as refused:
        load_best_checkpoint(run.path)
    typed = str(refused.value).partition("type ")[2].partition(", and")[0]
    subprocess.run(typed, shell=True, check=True)
    assert load_best_checkpoint(run.path)["epoch"] == 1
    assert (run.best_checkpoint.with_name("best.ckpt.aside") / "inner").is_dir()


def test_where_both_are_damaged_there_is_nothing_to_fall_back_to(run: RunFolder) -> None:
    for path in (run.best_checkpoint, run.last_checkpoint):
        flip(path, bits(path)[0])
    with pytest.raises(UserError, match="again="):
        load_best_checkpoint(run.path)


def test_a_resume_from_a_damaged_checkpoint_names_the_best_one(run: RunFolder) -> None:
    run.metrics.unlink()
    flip(run.last_checkpoint, bits(run.last_checkpoint)[0])
    with pytest.raises(UserError, match=r"best\.ckpt is whole"):
        make_train({"max_epochs": 2}, resume=True).run(run.path)
    shutil.copy(run.best_checkpoint, run.last_checkpoint)
    make_train({"max_epochs": 2}, resume=True).run(run.path)
    assert run.read_metrics()


@pytest.mark.parametrize("content", [None, b"", b"\xff\x00 no list at all\n"])
def test_a_run_without_a_list_loads_as_ever(run: RunFolder, content: bytes | None) -> None:
    (run.best_checkpoint.parent / LIST_NAME).unlink()
    if content is not None:
        (run.best_checkpoint.parent / LIST_NAME).write_bytes(content)
    assert load_best_checkpoint(run.path)


def test_a_run_without_a_list_that_is_torn_is_no_traceback(run: RunFolder) -> None:
    (run.best_checkpoint.parent / LIST_NAME).unlink()
    whole = run.best_checkpoint.read_bytes()
    for length in (0, 1, len(whole) // 2, len(whole) - 1):
        run.best_checkpoint.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"best\.ckpt is damaged"):
            load_best_checkpoint(run.path)


@pytest.mark.parametrize("step", range(4))
@pytest.mark.parametrize("kills", [1, 2, 3])
def test_a_kill_at_any_step_leaves_a_checkpoint_that_is_known(
    step: int, kills: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The steps are the list, the checkpoint, the list again, and none at all."""
    path = tmp_path / "last.ckpt"
    write_listed(path, b"first")

    def save(content: bytes, left: int) -> None:
        """Dies before the `left`-th change to the folder."""
        replace = Path.replace

        def counted(source: Path, target: Path) -> Path:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return replace(source, target)

        monkeypatch.setattr(Path, "replace", counted)
        write_listed(path, content)

    for kill in range(kills):
        try:
            save(b"later %d" % kill, step)
        except Killed:
            assert step < 3
        monkeypatch.undo()
        require_sound(path)
    names = [line.split("  ")[1] for line in (tmp_path / LIST_NAME).read_text().splitlines()]
    assert names == ["last.ckpt"] * (1 if step == 3 else len(names))
