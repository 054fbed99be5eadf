"""The folder of a page, which threads, other pages and strangers change while it is looked at."""

import os
from pathlib import Path

import pytest

from fcn_lab.demo.uploads import Uploads, make_temporary_folder


def test_a_file_that_a_thread_has_just_read_takes_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads = Uploads(tmp_path, megabytes=1)
    monkeypatch.setattr(os, "walk", lambda place: [(place, [], ["read.png"])])
    assert uploads.reserve(900_000)


def test_a_strangers_pipe_in_the_place_of_a_lock_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    left = tmp_path / "fcn-lab-demo-stranger"
    left.mkdir()
    os.mkfifo(left / "lock")
    with make_temporary_folder() as own:
        assert own.is_dir()
