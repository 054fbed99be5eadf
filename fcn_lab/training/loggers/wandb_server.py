"""Decides whether a W&B run is online before it starts, and explains errors in its settings."""

import netrc
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import ParseResult, urlparse
from urllib.request import getproxies, proxy_bypass

from pydantic import ValidationError

from fcn_lab.errors import UserError, find_refusal
from fcn_lab.text.terminal import print_text

PROBE_SECONDS = 3.0


def choose_mode() -> str:
    """Returns WANDB_MODE if set; else online with a key and a server that answers, or offline."""
    if mode := os.environ.get("WANDB_MODE"):
        return mode
    import wandb

    server = urlparse(wandb.setup().settings.base_url)
    host = server.hostname or ""
    if not (os.environ.get("WANDB_API_KEY") or has_login(host)):
        return "offline"
    if can_connect(*find_gate(server)):
        return "online"
    tell_offline(f"W&B's server, {host}, does not answer.")
    return "offline"


def has_login(host: str) -> bool:
    """Returns whether ~/.netrc, where `wandb login` writes, has the host."""
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, UnicodeError, netrc.NetrcParseError):
        return False


def find_gate(server: ParseResult) -> tuple[str, int]:
    """Returns host and port to connect to: the server's own, or those of the proxy before it."""
    host, proxy = server.hostname or "", getproxies().get(server.scheme)
    if proxy and not proxy_bypass(host):
        server = urlparse(proxy if "://" in proxy else f"http://{proxy}")
    return server.hostname or "", server.port or (80 if server.scheme == "http" else 443)


def can_connect(host: str, port: int) -> bool:
    """Returns whether a connection succeeds in time."""
    # looking a name up has no time-out, hence the thread
    success = threading.Event()

    def connect() -> None:
        try:
            socket.create_connection((host, port), PROBE_SECONDS).close()
        except OSError:
            return
        success.set()

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS)
    return success.is_set()


def tell_offline(reason: str) -> None:
    """Prints why a run with a key is not logged online."""
    print_text(f"{reason}\nThe run is logged offline; it ends with the command that sends it.")


@contextmanager
def name_mistake(folder: Path) -> Iterator[None]:
    """Turns W&B's errors about its settings into two lines for the user."""
    import wandb

    try:
        yield
    except (wandb.errors.Error, ValueError) as error:
        if find_refusal(error, folder) is not None:
            raise
        raise UserError(_describe_mistake(error)) from error


def _describe_mistake(error: Exception) -> str:
    mistake = error.errors()[0] if isinstance(error, ValidationError) else None
    name = f"WANDB_{'_'.join(map(str, mistake['loc'])).upper()}" if mistake else ""
    if mistake and name in os.environ:
        return (
            f"{name}={mistake['input']} in the environment: W&B refuses it ({mistake['msg']}).\n"
            f"Type: unset {name}"
        )
    reason = " ".join(str(error).partition("For further information")[0].split())
    return (
        f"W&B does not start: {reason}.\nSee to logger.wandb.project, to its other keys and to "
        "the variables WANDB_… of the environment, or type logger=csv"
    )
