"""Decides which requests reach the demo page; all others are refused before gradio sees them.

Gradio allows more than this page needs. Mounted in another application, it opens any file and
fetches any address that a call names, it serves routes for other uses, and it accepts every host.
"""

import asyncio
import json
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import FileResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fcn_lab.demo.reports import HEADERS, is_own_file
from fcn_lab.demo.uploads import Uploads

API = "/gradio_api"
# the routes that the page asks for in a browser; it never asks for gradio's other ones
PAGE_PATHS = re.compile(
    r"/|/config|/theme\.css|/favicon\.ico|/manifest\.json|/(?:assets|static)/.+|"
    rf"{API}/(?:info|app_id|startup-events|upload_progress|queue/data|heartbeat/\w+)"
)
FILE, CALL, UPLOAD = f"{API}/file=", f"{API}/queue/join", f"{API}/upload"
POST_PATHS = frozenset({CALL, UPLOAD, f"{API}/cancel", f"{API}/reset"})
# the most bytes of a call; a page's own calls have some hundred
CALL_BYTES_LIMIT = 1_000_000
UPLOAD_SECONDS = 120
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\[\]:/@?#\s]+))(?::\d{1,5})?", re.IGNORECASE)


class Refusal(Exception):
    """A request that is not answered, with its HTTP status and the reason."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Guard:
    """An ASGI application in front of the page that refuses what a browser does not need.

    Args:
        page: the page.
        uploads: the only files that calls may name and that are sent to a browser.
        host: the name that the page is served under.
        hosts: further names that the page may be asked for by, such as a proxy's. A proxy's port
            belongs to its name unless it is the usual one: lab.example:8443. The names of loopback
            and the address that a request arrived at are always allowed; any other name may be
            somebody else's, whose DNS leads here ("rebinding").
        reports: further files that are sent, by their path on the page.
    """

    def __init__(
        self,
        page: ASGIApp,
        uploads: Uploads,
        host: str,
        hosts: Collection[str] = (),
        reports: Mapping[str, Path] | None = None,
    ) -> None:
        self.page, self.uploads, self.reports = page, uploads, dict(reports or {})
        self.host, self.hosts = host.lower(), {name.lower() for name in hosts}
        self.own_names = {self.host, "localhost", *map(_strip_port, self.hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request with a refusal, or passes it to the page."""
        if scope["type"] == "lifespan":
            await self.page(scope, receive, send)
        elif scope["type"] == "http":
            try:
                await self._answer(scope, receive, send)
            except Refusal as error:
                refusal = PlainTextResponse(f"{error}\n", error.status)
                await refusal(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        self._check_host(scope, headers)
        method, path = scope["method"], scope["path"]
        if method == "POST" and path == UPLOAD:
            await self._take_upload(scope, receive, send, headers)
        elif method == "POST" and path in POST_PATHS:
            await self.page(scope, await self._check_call(receive), send)
        elif method in ("GET", "HEAD") and (PAGE_PATHS.fullmatch(path) or self._is_file(path)):
            await self.page(scope, receive, send)
        elif method in ("GET", "HEAD") and path in self.reports:
            await self._send_report(self.reports[path])(scope, receive, send)
        else:
            raise Refusal(HTTPStatus.NOT_FOUND, "The page has nothing there.")

    def _check_host(self, scope: Scope, headers: Headers) -> None:
        names = headers.getlist("host")
        server, _ = scope.get("server") or ("", None)
        name = _strip_port(names[0]) if len(names) == 1 else ""
        if name not in {*self.own_names, server} - {""} and not _is_loopback(name):
            raise Refusal(
                HTTPStatus.FORBIDDEN,
                "The page is not known under this name; demo.hosts=[NAME] makes it known.",
            )
        for origin in headers.getlist("origin"):
            asker = re.sub("^https?://", "", origin)
            # another port of the same name may be another's page
            if asker != names[0] and asker.lower() not in self.hosts:
                raise Refusal(HTTPStatus.FORBIDDEN, "Other pages may not use this one.")

    def _is_file(self, path: str) -> bool:
        return path.startswith(FILE) and self.uploads.contains(path.removeprefix(FILE))

    def _send_report(self, file: Path) -> FileResponse:
        if not is_own_file(file):
            raise Refusal(HTTPStatus.NOT_FOUND, "The report is no longer there.")
        return FileResponse(file, media_type="text/html", headers=HEADERS)

    async def _check_call(self, receive: Receive) -> Receive:
        """Returns the call, to be read again, if every file that it names is one of the uploads."""
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > CALL_BYTES_LIMIT:
                raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The call is too long.")
            if not message.get("more_body"):
                break
        try:
            paths = list(_find_paths(json.loads(body)))
        except (ValueError, RecursionError) as error:
            raise Refusal(HTTPStatus.BAD_REQUEST, "The call is no JSON.") from error
        if not all(isinstance(path, str) and self.uploads.contains(path) for path in paths):
            raise Refusal(HTTPStatus.FORBIDDEN, "The page has not received this file.")
        messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Message:
            return messages.pop() if messages else await receive()

        return again

    async def _take_upload(
        self, scope: Scope, receive: Receive, send: Send, headers: Headers
    ) -> None:
        length = headers.get("content-length", "")
        if not length.isdecimal() or "transfer-encoding" in headers:
            raise Refusal(HTTPStatus.LENGTH_REQUIRED, "An upload says its length.")
        if not self.uploads.reserve(int(length)):
            raise Refusal(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                "There is no room for this file; demo.total_megabytes= makes more, or wait.",
            )
        answer = b""

        async def note(message: Message) -> None:
            nonlocal answer
            answer += message.get("body", b"")
            if message["type"] == "http.response.body" and not message.get("more_body"):
                self._expect_files(answer)
            await send(message)

        try:
            # without a limit a few clients that send nothing would hold the room for ever
            async with asyncio.timeout(UPLOAD_SECONDS):
                await self.page(scope, receive, note)
        except TimeoutError as error:
            raise Refusal(HTTPStatus.REQUEST_TIMEOUT, "The upload took too long.") from error
        finally:
            self.uploads.release(int(length))

    def _expect_files(self, answer: bytes) -> None:
        """Tells the uploads which files have come, as the page's answer lists them."""
        with suppress(ValueError):
            paths = json.loads(answer)
            for path in paths if isinstance(paths, list) else ():
                self.uploads.expect(Path(path))


def _strip_port(host: str) -> str:
    """Returns the host without its port; "" for an invalid host."""
    match = _HOST.fullmatch(host)
    return (match[1] or match[2]).lower() if match else ""


def _is_loopback(name: str) -> bool:
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _find_paths(content: object) -> Iterator[object]:
    """Yields the values of every ``path`` key in a call, which gradio opens as files."""
    queue = [content]
    while queue:
        part = queue.pop()
        if isinstance(part, dict):
            yield from (value for key, value in part.items() if key == "path")
            queue += part.values()
        elif isinstance(part, list):
            queue += part
