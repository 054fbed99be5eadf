"""The folder of a page, which threads, other pages and strangers change while it is looked at."""

import asyncio
import importlib.util
import os
from pathlib import Path

import pytest

if importlib.util.find_spec("gradio") is None:
    pytest.skip("gradio is not installed", allow_module_level=True)
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from fcn_lab.demo.guard import UPLOAD, Guard
from fcn_lab.demo.uploads import Uploads, make_temporary_folder


def test_a_file_that_a_thread_has_just_read_takes_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads = Uploads(tmp_path, megabytes=1)
    monkeypatch.setattr(os, "walk", lambda place: [(place, [], ["read.png"])])
    assert uploads.reserve(900_000)


def test_a_picture_that_two_have_sent_is_there_until_both_have_read_it(tmp_path: Path) -> None:
    uploads, path = Uploads(tmp_path, megabytes=1), tmp_path / "digest" / "same.png"
    path.parent.mkdir()
    path.write_bytes(b"picture")

    async def page(scope: Scope, receive: Receive, send: Send) -> None:
        await JSONResponse([str(path)])(scope, receive, send)

    async def ignore(*_: object) -> None: ...

    scope = {
        **{"type": "http", "method": "POST", "path": UPLOAD, "server": ("127.0.0.1", 80)},
        "headers": [(b"host", b"localhost"), (b"content-length", b"7")],
    }
    for _ in "ab":
        asyncio.run(Guard(page, uploads, "")(scope, ignore, ignore))  # type: ignore[arg-type]
    uploads.forget(path)
    assert path.exists()
    uploads.forget(path)
    assert not path.exists()


def test_a_strangers_pipe_in_the_place_of_a_lock_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    left = tmp_path / "fcn-lab-demo-stranger"
    left.mkdir()
    os.mkfifo(left / "lock")
    with make_temporary_folder() as own:
        assert own.is_dir()
