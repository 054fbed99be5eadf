"""What lies in an offline W&B run, for tests that ask."""

import json
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2

BLOCK, HEAD = 32768, 7
MESSAGES: Any = wandb_internal_pb2  # typed without its messages


def records(path: Path) -> Iterator[Any]:
    """The records of a W&B transaction log: LevelDB's framing around protobuf messages."""
    raw, place, message = path.read_bytes(), HEAD, b""
    assert raw.startswith(b":W&B")
    while place + HEAD <= len(raw):
        if BLOCK - place % BLOCK < HEAD:
            place += BLOCK - place % BLOCK
        checksum, length, kind = struct.unpack_from("<IHB", raw, place)
        if not kind:
            return
        chunk = raw[place + HEAD : place + HEAD + length]
        if len(chunk) < length:
            return  # still being written
        assert zlib.crc32(chunk, zlib.crc32(bytes([kind]))) == checksum
        place, message = place + HEAD + length, message + chunk
        if kind in (1, 4):  # whole, or the last part
            record = MESSAGES.Record()
            record.ParseFromString(message)
            message = b""
            yield record


def log(folder: Path) -> list[Any]:
    return list(records(next(folder.glob("run-*.wandb"))))


class Read:
    """An offline W&B run, read back."""

    def __init__(self, folder: Path) -> None:
        found = log(folder)
        self.run = next(r.run for r in found if r.WhichOneof("record_type") == "run")
        self.status = [r.exit.exit_code for r in found if r.WhichOneof("record_type") == "exit"]
        self.config = {c.key: json.loads(c.value_json) for c in self.run.config.update}
        rows = [r.history.item for r in found if r.WhichOneof("record_type") == "history"]
        self.rows = [{self.name(i): json.loads(i.value_json) for i in row} for row in rows]
        self.keys = {key for row in self.rows for key in row}
        updates = [
            i for r in found if r.WhichOneof("record_type") == "summary" for i in r.summary.update
        ]
        self.summary = {self.name(i): json.loads(i.value_json) for i in updates}

    @staticmethod
    def name(item: Any) -> str:  # noqa: ANN401  (a protobuf message)
        return item.key or "/".join(item.nested_key)


def offline_runs(folder: Path) -> list[Read]:
    """Those of a folder, once W&B's own process has written their ends."""
    paths = sorted((folder / "wandb").glob("offline-run-*"))
    for _ in range(50):
        if all(any(r.WhichOneof("record_type") == "exit" for r in log(path)) for path in paths):
            break
        time.sleep(0.1)
    return [Read(path) for path in paths]
