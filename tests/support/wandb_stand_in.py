"""A stand-in for W&B's server: it takes a run, and answers as it is told from then on."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

BUCKET = {
    **{"id": "b", "name": "abc", "displayName": "r", "config": "{}", "historyLineCount": 0},
    "project": {"id": "p", "name": "fcn_lab", "entity": {"id": "e", "name": "me"}},
}
# a word of the query → its answer
ANSWERS = {
    "upsertBucket": {"upsertBucket": {"bucket": BUCKET, "inserted": True}},
    "createRunFiles": {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": []}},
    "serverInfo": {"serverInfo": {"features": [], "cliVersionInfo": {}}},
    "viewer": {
        "viewer": {"id": "1", "entity": "me", "flags": "{}", "teams": {"edges": []}},
    },
    "model": {"model": {"bucket": None, "id": "p"}},
}


class StandIn(ThreadingHTTPServer):
    """Answers on loopback.

    Attributes:
        status: of every answer; 200 takes what is sent, 0 never answers.
        taken: the lines of history that it was sent.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.taken, self.over = 200, [""], threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: StandIn

    def log_message(self, *_: object) -> None: ...

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode(
            errors="replace"
        )
        status, answer = self.server.status, {}
        if status == 0:
            self.server.over.wait()
            return
        if status == 200 and "file_stream" in self.path:
            self.server.taken.append(asked)
        elif status == 200 and "graphql" in self.path:
            query = json.loads(asked)["query"]
            found: dict[str, Any] = next((ANSWERS[w] for w in ANSWERS if w in query), {})
            answer = {"data": found}
        raw = json.dumps(answer or {"errors": [{"message": "go away"}]}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    do_GET = do_PUT = do_POST


@contextmanager
def stand_in() -> Iterator[StandIn]:
    """Serves until the block ends."""
    with StandIn() as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield served
        served.over.set()
        served.shutdown()
