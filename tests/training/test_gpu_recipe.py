"""The recipe for a GPU, to its end on a processor: what differs there is in test_gpu."""

import json
from pathlib import Path

import pytest

from support.forked import type_line

SMALL = (
    *("data=synthetic", "data.size=[48,64]", "+data.train=4", "+data.val=1", "+data.test=1"),
    *("data.batch_size=4", "augment.crop=[32,32]", "logger=csv"),
    *("trainer.accelerator=cpu", "trainer.compile=false"),
    *("trainer.max_epochs=1", "trainer.val_every=1"),
)


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["vgg16_bn", "smp", "lite0"])
def test_a_step_of_the_gpu_recipe_ends_in_scores(encoder: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["experiment=camvid_gpu", f"encoder={encoder}", *SMALL, f"hydra.run.dir={run}"]
    ended = type_line(words, tmp_path)
    assert ended.status == 0, ended.err
    assert json.loads((run / "metrics.json").read_text())["encoder"] == encoder
