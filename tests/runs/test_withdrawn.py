"""What a refused command takes away while another one looks is not there, and no error."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fcn_lab import files
from fcn_lab.errors import UserError, WriteFailure
from fcn_lab.runs import attempts
from fcn_lab.runs.attempts import Attempt, begin_attempt, find_last_attempt
from fcn_lab.worker import __main__ as worker
from fcn_lab.worker import claims
from fcn_lab.worker.claims import claim, withdraw
from fcn_lab.worker.supervisor import EXIT_MISTAKE
from support.commandline import METRICS


def do_once(before: Callable[[], object], then: Callable[..., object]) -> Callable[..., object]:
    """The same function, and at its first call something that happens before it."""
    waiting = [before]

    def call(*given: object, **named: object) -> object:
        if waiting:
            waiting.pop()()
        return then(*given, **named)

    return call


def test_an_attempt_that_is_withdrawn_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = begin_attempt(tmp_path)
    gone = do_once(attempt.path.unlink, attempts.read_json)
    monkeypatch.setattr(attempts, "read_json", gone)
    assert find_last_attempt(tmp_path) is None
    assert not Attempt(attempt.path, "there", "another", 1, 0.0, 0.0).is_alive()


def test_a_refused_command_holds_its_folder_until_it_is_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt, statuses = claim(tmp_path), []

    def clear(folder: Path) -> None:
        last = find_last_attempt(folder)
        statuses.append(last is not None and last.is_alive())

    monkeypatch.setattr(claims, "clear_leftovers", clear)
    worker._end_attempt(attempt, EXIT_MISTAKE, "a mistake", ["--fresh=0"])
    assert statuses == [True]
    assert find_last_attempt(tmp_path) is None


def test_a_folder_of_attempts_that_is_taken_away_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "run"
    gone = do_once(lambda: shutil.rmtree(place), attempts.find_start_time)
    monkeypatch.setattr(attempts, "find_start_time", gone)
    assert begin_attempt(place) == find_last_attempt(place)


@pytest.mark.parametrize("error", [FileNotFoundError, FileExistsError])
def test_a_folder_that_is_taken_away_at_the_moment_is_made_again(
    error: type[OSError], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, mkdir = tmp_path / "above" / "run", Path.mkdir

    def fail() -> None:
        raise error(2, "gone", str(place))

    monkeypatch.setattr(Path, "mkdir", do_once(fail, mkdir))
    files.make_folder(place)
    assert place.is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(WriteFailure, match="no folder has this name"):
        files.make_folder(tmp_path / "file")


def test_a_search_goes_on_where_a_folder_is_taken_away(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name / "inner").mkdir(parents=True)
        (tmp_path / name / "inner" / "metrics.json").touch()
    found = []
    for path in files.find_files("metrics.json", tmp_path):
        found.append(path)
        for name in "abc":
            if not path.is_relative_to(tmp_path / name):
                shutil.rmtree(tmp_path / name, ignore_errors=True)
    assert len(found) == 1


def test_a_run_that_came_and_went_meanwhile_keeps_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train() -> None:
        (tmp_path / "config.yaml").write_text("links: {}\n")
        begin_attempt(tmp_path).end("failed")
        (tmp_path / "history.csv").write_text("epoch\n0\n")

    monkeypatch.setattr(claims, "hold", do_once(train, claims.hold))
    with pytest.raises(UserError, match="holds a run already"):
        claim(tmp_path)
    assert (tmp_path / "config.yaml").exists()
    assert len(attempts.list_attempts(tmp_path)) == 1


def test_a_command_that_was_overtaken_withdraws_nothing(tmp_path: Path) -> None:
    overtaken = claim(tmp_path)
    (tmp_path / "config.yaml").write_text("links: {}\n")
    later = tmp_path / "attempts" / "2.json"
    later.write_bytes(overtaken.path.read_bytes())
    withdraw(overtaken, 1)
    assert later.exists()
    assert (tmp_path / "config.yaml").exists()


def test_a_config_that_is_taken_away_while_it_is_looked_for_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def vanish(*_: object, **__: object) -> str:
        raise FileNotFoundError(2, "gone")

    (tmp_path / "config.yaml").write_text("links: {}\n")
    (tmp_path / "metrics.json").write_text(METRICS)
    monkeypatch.setattr(Path, "read_text", vanish)
    with pytest.raises(UserError, match=r"config\.yaml was not written by a run"):
        claims.require_own(tmp_path, "")
