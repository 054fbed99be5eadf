"""The ranks that torchrun starts wait for the first, and end with it where it starts no worker."""

import pytest

from fcn_lab.training.ranks import TORCHRUN
from fcn_lab.worker import torchrun
from support.commandline import TypeLine


class Store:
    """Stands for the store in which the ranks meet."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def set(self, key: str, value: str) -> None:
        self.values[key] = value

    def get(self, key: str) -> bytes:
        return self.values[key].encode()


@pytest.fixture(autouse=True)
def store(monkeypatch: pytest.MonkeyPatch) -> None:
    """As torchrun starts the first rank."""
    place = Store()
    monkeypatch.setattr(torchrun, "_connect_store", lambda: place)
    monkeypatch.setenv(TORCHRUN, "none")
    numbers = {"RANK": 0, "LOCAL_RANK": 0, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2}
    for name, value in {**numbers, "MASTER_ADDR": "localhost", "MASTER_PORT": 29500}.items():
        monkeypatch.setenv(name, str(value))


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("--help",), 0),
        (("--cfg", "job"), 0),
        (("model=fcn9s",), 2),
        (("task=status", "sweep.dir=nowhere"), 2),
        (("-m", "seed=0,1"), 2),
    ],
)
def test_the_other_ranks_end_as_a_command_does_that_starts_no_worker(
    words: tuple[str, ...], status: int, type_line: TypeLine
) -> None:
    assert type_line(*words).status == status
    with pytest.raises(SystemExit) as end:
        torchrun.receive_arguments()
    assert end.value.code == status


def test_the_other_ranks_become_the_same_worker() -> None:
    arguments = ["runs/a b/config.yaml", "--fresh=2"]
    torchrun.send_arguments(arguments)
    assert torchrun.receive_arguments() == arguments
