"""Networks by their words, from Python."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from fcn_lab import create_model, load_run
from fcn_lab.errors import UserError

SMALL = {"encoder.widths": [4, 4, 8, 8, 8], "encoder.head_width": 8}


def test_the_words_of_the_command_line_make_a_network_of_any_size() -> None:
    net = create_model(model="fcn8s", upsample="max_unpool", num_classes=5, **SMALL).eval()
    assert net(torch.rand(2, 3, 1, 45)).shape == (2, 5, 1, 45)


def test_further_keys_reach_the_network() -> None:
    plain = create_model(upsample="bilinear", **SMALL)
    refined = create_model(upsample="bilinear", **SMALL, **{"upsample.refine": "conv"})
    assert len(list(refined.parameters())) > len(list(plain.parameters()))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"model": "fcn9s"}, "model=fcn9s: there is no such word.*fcn8s"),
        ({"upsample": "nearst"}, "Did you mean nearest"),
        ({"num_classes": "many"}, "num_classes='many'.: expected an integer from 1"),
        ({"classes": 3}, "no argument classes. Did you mean num_classes"),
        ({"n_classes": 3}, "Did you mean num_classes"),
        ({"model": 3}, r"create_model\(model=3\): expected a word"),
        ({"encoder.widths": (4, 4)}, r"encoder.widths=\[4, 4\]: expected a list of 5"),
        ({"encoder.dropout": float("nan")}, "encoder.dropout=nan: expected a number from 0 to 1"),
        ({"encoder.head_widht": 8}, "Did you mean encoder.head_width"),
        ({"encoder.head_width": "wide"}, "encoder.head_width=wide: expected an integer"),
    ],
)
def test_a_wrong_word_is_a_users_error(words: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        create_model(**words)  # type: ignore[arg-type]
    assert len(str(caught.value).splitlines()) <= 2


def test_load_run_names_a_folder_that_holds_no_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="it has no config"):
        load_run(tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        load_run(tmp_path / "nowhere")
    for wrong in (3, None, ["runs"]):
        with pytest.raises(UserError, match=r"load_run\(folder=.*\): expected a word or a path"):
            load_run(wrong)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"^create_model\(num_classes='11'\): expected an integer"):
        create_model(num_classes="11")
    with pytest.raises(UserError, match=r"load_run\(dense=3\): expected a function"):
        load_run(tmp_path, dense=3)  # type: ignore[arg-type]
    assert issubclass(UserError, ValueError)


@pytest.fixture
def another_application(tmp_path: Path) -> Iterator[None]:
    (tmp_path / "config.yaml").write_text("theirs: 1\n")
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        yield


@pytest.mark.usefixtures("another_application")
def test_it_leaves_a_hydra_application_of_the_callers_alone() -> None:
    before = GlobalHydra.instance().hydra
    create_model(**SMALL)
    assert GlobalHydra.instance().hydra is before


def test_threads_may_build_at_the_same_time() -> None:
    words = ["nearest", "bilinear", "transposed", "bed_of_nails"] * 2
    with ThreadPoolExecutor(4) as pool:
        nets = list(pool.map(lambda word: create_model(upsample=word, **SMALL), words))
    for left, right in zip(nets[:4], nets[4:], strict=True):
        assert left.state_dict().keys() == right.state_dict().keys()
