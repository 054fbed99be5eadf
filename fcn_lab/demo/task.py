"""task=demo: a page, served to this machine alone unless told otherwise."""

import importlib.util
import os
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Le

from fcn_lab.demo.uploads import Uploads, make_temporary_folder
from fcn_lab.errors import UserError
from fcn_lab.runs.folders import list_folders
from fcn_lab.signals import raise_stopped
from fcn_lab.text.terminal import format_count
from fcn_lab.values import Names, Positive

if TYPE_CHECKING:
    from fcn_lab.demo.guard import Guard
    from fcn_lab.demo.networks import Networks


@dataclass(frozen=True)
class Demo:
    """Serves a page that shows the predictions of trained networks side by side.

    Args:
        runs: a folder or several: sweeps, runs, or folders that hold them.
        port: the port to listen at; 0 takes a free one.
        host: the address to listen at.
        megabytes: the most megabytes of a file.
        megapixels: the most millions of pixels of a picture.
        total_megabytes: the most megabytes of all files that were sent and are not opened yet.
        hosts: names under which a browser may ask for the page, besides loopback's, `host` and the
            address itself.

    Raises:
        UserError: gradio is not installed.
    """

    runs: str | Names
    port: Annotated[int, Ge(0), Le(2**16 - 1)] = 7860
    host: str = "127.0.0.1"
    megabytes: Positive = 20
    megapixels: Positive = 40
    total_megabytes: Positive = 200
    hosts: Sequence[str] = ()

    def __post_init__(self) -> None:
        if importlib.util.find_spec("gradio") is None:
            raise UserError("task=demo: gradio is not installed, pip install 'fcn-lab[demo]'")

    def run(self) -> None:
        """Serves the page until Ctrl-C; pictures given to it are deleted afterwards.

        Raises:
            UserError: there are no networks, or nothing can listen there.
        """
        from fcn_lab.demo.networks import Networks

        networks = Networks(list_folders(self.runs))
        for number in (signal.SIGTERM, signal.SIGHUP):
            # the uploads are removed on the way out
            signal.signal(number, raise_stopped)
        with make_temporary_folder() as uploads, self._listen() as listener:
            self._serve(networks, listener, uploads)

    def _listen(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            return socket.create_server((self.host, self.port), family=family)
        except (OSError, UnicodeError) as error:
            raise UserError(
                f"demo.host={self.host} demo.port={self.port}: cannot listen there ({error})\n"
                "demo.port=0 takes a free port"
            ) from error

    def page(self, networks: "Networks", folder: Path) -> "Guard":
        """Returns the page as an ASGI application that answers only what a browser asks for.

        Args:
            networks: the networks to choose from.
            folder: an empty folder for the files that the page receives and offers.
        """
        os.environ.update(GRADIO_TEMP_DIR=str(folder), GRADIO_ANALYTICS_ENABLED="False")
        from fcn_lab.demo.guard import Guard
        from fcn_lab.demo.page import Panel, mount_page

        uploads = Uploads(folder, self.total_megabytes)
        page = mount_page(Panel(networks, self.megabytes, self.megapixels, uploads.forget))
        uploads.offer()
        return Guard(page, uploads, self.host, self.hosts, networks.reports)

    def _serve(self, networks: "Networks", listener: socket.socket, folder: Path) -> None:
        import uvicorn

        page = self.page(networks, folder)
        # a browser keeps its connection open; without a limit Ctrl-C would wait for it
        settings = uvicorn.Config(page, log_level="critical", timeout_graceful_shutdown=1)
        host, port = listener.getsockname()[:2]
        host_in_url = f"[{host}]" if ":" in host else host
        count = format_count(len(networks.runs), "network")
        print(f"{count} at http://{host_in_url}:{port} (Ctrl-C ends it)", flush=True)
        if not ip_address(host).is_loopback:
            print("whoever reaches this machine can use the page", flush=True)
        with suppress(KeyboardInterrupt):
            uvicorn.Server(settings).run(sockets=[listener])
