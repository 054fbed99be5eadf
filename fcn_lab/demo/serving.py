"""task=demo: a page, served to this machine alone unless told otherwise."""

import importlib.util
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Le

from fcn_lab.errors import UserError
from fcn_lab.report.runs import as_folders
from fcn_lab.values import Positive

if TYPE_CHECKING:
    from fcn_lab.demo.networks import Networks


@dataclass(frozen=True)
class Demo:
    """Lays the predictions of trained networks on any picture side by side.

    Args:
        runs: a folder or several: sweeps, runs, or folders that hold them.
        port: to listen at; 0 takes a free one.
        host: the address to listen at.
        megabytes: most of a file.
        megapixels: most of a picture.

    Raises:
        UserError: where gradio is not installed.
    """

    runs: str | Sequence[str]
    port: Annotated[int, Ge(0), Le(2**16 - 1)] = 7860
    host: str = "127.0.0.1"
    megabytes: Positive = 20
    megapixels: Positive = 40

    def __post_init__(self) -> None:
        if importlib.util.find_spec("gradio") is None:
            raise UserError("task=demo: gradio is not installed, pip install 'fcn-lab[demo]'")

    def run(self) -> None:
        """Serves the page until Ctrl-C; pictures given to it are gone afterwards.

        Raises:
            UserError: there are no networks, or nothing can listen there.
        """
        from fcn_lab.demo.networks import Networks

        networks = Networks(as_folders(self.runs))
        with TemporaryDirectory() as uploads, self._listen() as listening:
            os.environ.update(GRADIO_TEMP_DIR=uploads, GRADIO_ANALYTICS_ENABLED="False")
            self._serve(networks, listening)

    def _listen(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            return socket.create_server((self.host, self.port), family=family)
        except (OSError, UnicodeError) as error:
            raise UserError(
                f"demo.host={self.host} demo.port={self.port}: cannot listen there ({error})\n"
                "demo.port=0 takes a free port"
            ) from error

    def _serve(self, networks: "Networks", listening: socket.socket) -> None:
        import uvicorn

        from fcn_lab.demo.panel import Panel, app

        page = app(Panel(networks, self.megabytes, self.megapixels))
        # a browser keeps its connection open; without a limit Ctrl-C would wait for it
        settings = uvicorn.Config(page, log_level="critical", timeout_graceful_shutdown=1)
        host, port = listening.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        print(
            f"{len(networks.runs)} networks at http://{shown}:{port} (Ctrl-C ends it)", flush=True
        )
        if not ip_address(host).is_loopback:
            print("whoever reaches this machine can use the page", flush=True)
        with suppress(KeyboardInterrupt):
            uvicorn.Server(settings).run(sockets=[listening])
