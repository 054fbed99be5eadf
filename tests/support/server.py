"""A server on this machine that stands in for one of the network."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


class Server:
    """Serves some bytes; every answer of ``cuts`` breaks off after so many."""

    def __init__(self) -> None:
        self.content = b""
        self.cuts: list[int] = []
        self.ranges = True
        self.asked: list[str | None] = []
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                served.answer(self)

            def do_HEAD(self) -> None:
                served.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/master.zip"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        asked = request.headers.get("Range")
        self.asked.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.ranges else 0
        if asked and self.ranges and start >= len(self.content):
            request.send_error(416)
            return
        rest = self.content[start:]
        request.send_response(206 if asked and self.ranges else 200)
        request.send_header("Content-Length", str(len(rest)))
        request.end_headers()
        request.wfile.write(rest[: self.cuts.pop(0)] if self.cuts else rest)

    @contextmanager
    def serving(self) -> Iterator[Self]:
        """Answers in a thread of its own."""
        thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield self
        self.http.shutdown()
        thread.join()
        self.http.server_close()


class Hub(Server):
    """Files by the end of their address, as the Hugging Face hub hands them out."""

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, bytes] = {}
        self.fetched: list[str] = []
        self.endpoint = self.url.rpartition("/")[0]

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """HEAD tells of a file, GET sends it."""
        content = next((c for end, c in self.files.items() if request.path.endswith(end)), None)
        if content is None:
            request.send_error(404)
            return
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        request.send_header("X-Repo-Commit", "0" * 40)
        request.end_headers()
        if request.command == "GET":
            self.fetched.append(request.path)
            request.wfile.write(content)
