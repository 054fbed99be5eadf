"""Forged calls against the real page over HTTP: it opens only what it received or offers."""

import asyncio
import http.client
import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from support.places import ROOT

if importlib.util.find_spec("gradio") is None:
    pytest.skip("gradio is not installed", allow_module_level=True)
from PIL import Image

from fcn_lab.demo.guard import CALL, CALL_BYTES_LIMIT, FILE, PAGE_PATHS, POST_PATHS, UPLOAD, Guard
from fcn_lab.demo.uploads import Uploads, make_temporary_folder
from support import nets
from support.waiting import PATIENCE

pytestmark = pytest.mark.slow

SIZE = (47, 31)  # of the pictures that are sent or to be stolen: the page shows it


@dataclass
class Served:
    """The page, and how it is asked."""

    port: int
    folder: Path

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Status and content."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.putrequest(method, path, skip_host="Host" in (headers or {}))
            for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def send(self, content: bytes, name: str = "own.png") -> tuple[int, str]:
        """Status, and the path that the page gives a file."""
        part = f'Content-Disposition: form-data; name="files"; filename="{name}"'
        body = f"--x\r\n{part}\r\n\r\n".encode() + content + b"\r\n--x--\r\n"
        kind = {"Content-Type": "multipart/form-data; boundary=x"}
        status, answer = self.ask("POST", UPLOAD, body, kind)
        return status, json.loads(answer)[0] if status == 200 else answer.decode()

    def call(self, change: Callable[[list[Any]], object]) -> tuple[int, str]:
        """The page's own call for a dropped file, changed; its status and what is shown then."""
        config = json.loads(self.ask("GET", "/config")[1])
        values = {part["id"]: part["props"].get("value") for part in config["components"]}
        calls = config["dependencies"]
        own = next(call for call in calls if any(to[1] == "change" for to in call["targets"]))
        data = [values[part] for part in own["inputs"]]
        change(data)
        session = uuid.uuid4().hex
        body = json.dumps({"data": data, "fn_index": own["id"], "session_hash": session}).encode()
        status, answer = self.ask("POST", CALL, body, {"Content-Type": "application/json"})
        if status != 200:
            return status, answer.decode()
        return status, self._answer_to(session)

    def _answer_to(self, session: str) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request("GET", f"/gradio_api/queue/data?session_hash={session}")
        with connection.getresponse() as stream:
            lines = iter(stream.readline, b"")
            found = next(line for line in lines if b'"process_completed"' in line)
        connection.close()
        output = json.loads(found.removeprefix(b"data: "))["output"]
        return "".join(str(part) for part in output.get("data") or [output])


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    place = tmp_path_factory.mktemp("tmp")
    runs = nets.write_runs(tmp_path_factory.mktemp("runs"))
    words = ["task=demo", f"runs={runs}", "demo.port=0", "demo.total_megabytes=0.11"]
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "run.py"), *words, "demo.hosts=[lab.example]"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(place), "OMP_NUM_THREADS": "1"},
        cwd=runs,
    )
    assert process.stdout is not None
    line = next(line for line in process.stdout if " at http://" in line)
    port = int(line.split()[3].rpartition(":")[2])
    yield Served(port, next(place.glob("fcn-lab-demo-*/files")))
    process.terminate()
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + signal.SIGTERM
    assert list(place.glob("fcn-lab-demo-*")) == []


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret.png"
    Image.effect_noise(SIZE, 60).save(path)
    return path


def record(path: object) -> dict[str, object]:
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def test_a_file_that_was_sent_is_opened_and_then_gone(served: Served, secret: Path) -> None:
    status, path = served.send(secret.read_bytes())
    assert status == 200
    assert Path(path).read_bytes() == secret.read_bytes()
    assert served.ask("GET", FILE + path) == (200, secret.read_bytes())
    status, shown = served.call(lambda data: data.__setitem__(0, record(path)))
    assert status == 200
    assert "47×31" in shown
    assert not Path(path).exists()


def paths_elsewhere(secret: Path, folder: Path, canary: str) -> dict[str, object]:
    """Ways to name a file that the page has not received."""
    link = folder / "link.png"
    if not link.is_symlink():
        link.symlink_to(secret)
    return {
        "absolute": str(secret),
        "relative": os.path.relpath(secret),
        "around": f"{folder}/../{os.path.relpath(secret, folder.parent)}",
        "link": str(link),
        "folder": str(folder),
        "device": "/dev/zero",
        "process": "/proc/self/environ",
        "address": f"{canary}/secret.png",
        "file address": f"file://{secret}",
        "zero byte": f"{secret}\0.png",
        "list": [str(secret)],
        "nothing": None,
    }


CASES = (
    *("absolute", "relative", "around", "link", "folder", "device", "process", "address"),
    *("file address", "zero byte", "list", "nothing"),
)


@pytest.fixture(scope="module")
def canary() -> Iterator[tuple[str, list[str]]]:
    """A server that nobody is to be sent to, and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("case", CASES)
def test_a_forged_file_record_is_refused_wherever_it_stands(
    case: str, served: Served, secret: Path, canary: tuple[str, list[str]]
) -> None:
    path = paths_elsewhere(secret, served.folder, canary[0])[case]
    places: dict[str, Callable[[list[Any]], object]] = {
        "file": lambda data: data.__setitem__(0, record(path)),
        "state": lambda data: data.__setitem__(1, record(path)),
        "networks": lambda data: data.__setitem__(2, [record(path)]),
        "deep": lambda data: data.__setitem__(3, {"value": [{"a": record(path)}]}),
        "no record": lambda data: data.__setitem__(0, {"path": path}),
        "one of several": lambda data: data.__setitem__(0, [record(path), record(path)]),
    }
    for change in places.values():
        assert served.call(change) == (403, "The page has not received this file.\n")
    assert canary[1] == []


@pytest.mark.parametrize("case", CASES)
def test_only_files_of_the_page_are_sent(
    case: str, served: Served, secret: Path, canary: tuple[str, list[str]]
) -> None:
    path = str(paths_elsewhere(secret, served.folder, canary[0])[case])
    quoted = path.replace("\0", "%00")
    for route in (
        FILE,
        "/gradio_api/file/",
        "/gradio_api/proxy=",
        "/file=",
        "/static/",
        "/assets/",
    ):
        status, content = served.ask("GET", route + quoted)
        assert status in (403, 404)
        assert secret.read_bytes() not in content
    assert canary[1] == []


def test_examples_are_offered(served: Served) -> None:
    offered = [path for path in served.folder.rglob("*.webp")]
    assert offered
    for path in offered:
        assert served.ask("GET", f"{FILE}{path}") == (200, path.read_bytes())


def test_a_name_that_is_not_the_pages_is_refused_on_every_route(served: Served) -> None:
    for host in (
        *("evil.example", f"evil.example:{served.port}", "localhost.evil.example", "0.0.0.0", ""),
        *("127.0.0.1.evil.example", "localhost@evil.example", "evil.example#localhost", "10.0.0.1"),
        *("localhost:80:80", "localhost, evil.example", "[::2]", "lab.example.evil"),
    ):
        for method, path in (("GET", "/"), ("GET", "/config"), ("POST", CALL), ("POST", UPLOAD)):
            assert served.ask(method, path, b"{}", {"Host": host})[0] in (400, 403), host


def test_loopbacks_names_the_address_and_those_allowed_are_answered(served: Served) -> None:
    for host in (
        "localhost",
        "LocalHost:1234",
        "127.0.0.1",
        "127.0.0.2",
        "[::1]",
        "lab.example:80",
    ):
        assert served.ask("GET", "/", headers={"Host": host})[0] == 200, host


def test_two_hosts_are_refused(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port)) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
        assert int(raw.recv(100).split()[1]) in (400, 403)


def test_other_pages_are_refused(served: Served) -> None:
    here = f"127.0.0.1:{served.port}"
    for origin, expected in {
        f"http://{here}": 200,
        "https://lab.example": 200,
        "http://lab.example:8888": 403,
        "http://evil.example": 403,
        f"http://localhost:{served.port + 1}": 403,
        f"http://{here}.evil.example": 403,
        f"http://127.0.0.1:{served.port + 1}": 403,
        "http://lab.example@evil.example": 403,
        "file://lab.example": 403,
        "null": 403,
    }.items():
        found = served.ask("GET", "/config", headers={"Host": here, "Origin": origin})[0]
        assert found == expected, origin


def test_of_gradios_routes_only_those_that_the_page_needs_are_answered(served: Served) -> None:
    """Walks whatever this gradio has, so that a new route of a later one is refused too."""
    package = importlib.util.find_spec("gradio")
    assert package is not None
    assert package.origin is not None
    source = Path(package.origin).with_name("routes.py").read_text(encoding="utf-8")
    found = re.findall(r"@(app|router)\.(get|post|head)\(\s*f?\"([^\"]*)\"", source)
    assert len(found) > 50
    for kind, method, route in found:
        path = ("/gradio_api" if kind == "router" else "") + re.sub(r"{[^}]*}", "x", route)
        if path in POST_PATHS if method == "post" else PAGE_PATHS.fullmatch(path):
            continue
        status, content = served.ask(method.upper(), path)
        assert status == 404, path
        assert method == "head" or content == b"The page has nothing there.\n", path
    routes = [route for _, _, route in found]
    for harm in ("proxy=", "component_server", "/run/", "/call/", "/api/", "monitoring", "login"):
        assert any(harm in route for route in routes)
        assert not PAGE_PATHS.fullmatch(f"/gradio_api/{harm}x")


def test_what_is_no_call_is_refused(served: Served) -> None:
    long = b"[" + b"1," * CALL_BYTES_LIMIT
    for body, expected in ((b"{", 400), (b"\xff", 400), (b"[" * 100_000, 400), (long, 413)):
        assert served.ask("POST", CALL, body)[0] == expected


def test_uploads_have_room_together(served: Served) -> None:
    sent = [served.send(bytes([number]) * 30_000)[0] for number in range(5)]
    assert sent[0] == 200
    assert sent[-1] == 413
    there = sum(p.stat().st_size for p in served.folder.rglob("own.png"))
    assert there <= 110_000
    assert "demo.total_megabytes=" in served.send(b"x" * 30_000)[1]


def test_an_upload_that_hides_its_length_is_refused(served: Served) -> None:
    chunked = {"Transfer-Encoding": "chunked", "Content-Type": "multipart/form-data; boundary=x"}
    assert served.ask("POST", UPLOAD, b"0\r\n\r\n", chunked)[0] in (400, 411)


def test_room_comes_back_with_time_and_with_what_was_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered, sent = tmp_path / "a" / "offered.webp", tmp_path / "b" / "sent.png"
    for path in (offered, sent):
        path.parent.mkdir()
        path.write_bytes(b"x" * 700_000)
        if path is offered:
            uploads = Uploads(tmp_path, megabytes=1)
            uploads.offer()
    assert not uploads.reserve(400_000)
    for path in (offered, sent):
        uploads.forget(path)
    assert (offered.exists(), sent.exists()) == (True, False)
    assert uploads.reserve(400_000)
    assert not uploads.reserve(700_000)
    uploads.release(400_000)
    assert uploads.reserve(700_000)
    uploads.release(700_000)
    sent.parent.mkdir()
    sent.write_bytes(b"x" * 700_000)
    monkeypatch.setattr("fcn_lab.demo.uploads.UNREAD_SECONDS", -1)
    assert uploads.reserve(700_000)
    assert (offered.exists(), sent.exists()) == (True, False)


def test_what_a_killed_page_left_is_removed_and_what_a_living_one_has_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("fcn_lab.demo.uploads._NEW_SECONDS", -1)
    left = tmp_path / "fcn-lab-demo-killed"
    left.mkdir()
    (left / "lock").touch()
    with make_temporary_folder() as living, make_temporary_folder() as own:
        assert not left.exists()
        assert living.is_dir()
        assert own.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_room_that_a_slow_upload_takes_is_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fcn_lab.demo.guard.UPLOAD_SECONDS", 0.01)
    uploads = Uploads(tmp_path, megabytes=1)
    answers: list[Any] = []

    async def wait(*_: object) -> None:
        assert not uploads.reserve(1)
        await asyncio.sleep(60)

    async def answer(message: Any) -> None:  # noqa: ANN401
        answers.append(message)

    scope = {
        **{"type": "http", "method": "POST", "path": UPLOAD, "server": ("127.0.0.1", 80)},
        "headers": [(b"host", b"localhost"), (b"content-length", b"1000000")],
    }
    asyncio.run(Guard(wait, uploads, "")(scope, wait, answer))  # type: ignore[arg-type]
    assert answers[0]["status"] == 408
    assert uploads.reserve(1_000_000)
