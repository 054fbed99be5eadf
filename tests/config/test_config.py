"""A frozen config thaws into what was composed; who reads a run changes only what he names."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf
from torch import nn

from fcn_lab.config.build import build, check, find_user_key
from fcn_lab.config.frozen import (
    drop_initial_weights,
    forget_start,
    freeze,
    read_frozen,
    read_recorded,
    resolve,
)
from fcn_lab.config.yaml_text import dump_yaml, load_yaml
from fcn_lab.errors import UserError
from support.commandline import METRICS, TypeLine


def content(folder: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((Path(folder) / "config.yaml").read_text())
    return loaded


def without(config: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in keys}


def test_freezing_and_reading_back_gives_the_references_again(tmp_path: Path) -> None:
    config = OmegaConf.create(
        {
            "a": {"x": 1, "y": "${.x}", "deep": {"z": "${..x}", "list": ["${b}", {"k": "${a.y}"}]}},
            "b": {"text": "x is ${a.x}"},
            "choices": {"model": "m", "hydra/launcher": "basic"},
            "task": "${a}",
            "seed": 0,
            "run": None,
            "input": None,
            "output": None,
        }
    )
    freeze(resolve(config), tmp_path)
    frozen = content(str(tmp_path))
    assert without(frozen, "links", "choices") == without(
        OmegaConf.to_container(config, resolve=True),
        "choices",  # type: ignore[arg-type]
    )
    assert frozen["choices"] == {"model": "m"}
    again = read_recorded(tmp_path)
    again.a.x = 2
    assert again.task.deep.list[1].k == again.a.y == again.task.deep.z == 2


def test_a_freeze_that_fails_leaves_nothing(tmp_path: Path) -> None:
    broken = OmegaConf.create(
        {"task": {"net": "${model}"}, "choices": {}} | dict.fromkeys(OPERANDS)
    )
    with pytest.raises(Exception, match="model"):
        freeze(resolve(broken), tmp_path / "run")
    assert not list(tmp_path.iterdir())


OPERANDS = ("run", "input", "output")


def test_the_recorded_config_runs_again_in_a_new_folder(type_line: TypeLine) -> None:
    type_line("model=unet", "data=synthetic", "encoder.dropout=0.25", "hydra.run.dir=first")
    ended = type_line("--config-path", "first", "--config-name", "config")
    assert ended.status == 0
    assert ended.folder != Path("first")
    assert ended.config | {"again": None} == content("first")


def test_a_config_that_was_edited_by_hand_is_run_as_edited(type_line: TypeLine) -> None:
    type_line("hydra.run.dir=first")
    text = Path("first/config.yaml").read_text()
    Path("first/config.yaml").write_text(text.replace("dropout: 0.1", "dropout: 0.4"))
    config = type_line("--config-path=first", "--config-name=config").config
    assert config["task"]["net"]["encoder"]["dropout"] == config["encoder"]["dropout"] == 0.4


def test_a_rerun_takes_words_and_keys_over_the_recorded_ones(type_line: TypeLine) -> None:
    type_line("model=unet", "data=synthetic", "encoder.dropout=0.25", "hydra.run.dir=first")
    ended = type_line("-cp", "first", "-cn", "config", "upsample=nearest", "data.batch_size=2")
    config = ended.config
    assert config["words"] == {"model": "unet", "upsample": "nearest", "encoder": "tiny"}
    assert config["task"]["net"]["upsample"]["_target_"].endswith("Nearest")
    assert config["task"]["data"]["batch_size"] == 2
    assert config["encoder"]["dropout"] == 0.25
    assert "nearest" in config["name"]


def test_a_part_of_a_recorded_list_may_be_changed_alone(type_line: TypeLine) -> None:
    type_line("data.size=[32,48]", "hydra.run.dir=first")
    ended = type_line("again=first", "data.size.0=64", "hydra.run.dir=second")
    assert ended.status == 0, ended.err
    assert ended.config["data"]["size"] == ended.config["task"]["data"]["size"] == [64, 48]


def test_the_folder_of_a_rerun_is_meant_from_where_the_user_stands(
    type_line: TypeLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    type_line("seed=6", "hydra.run.dir=runs/first")
    monkeypatch.chdir(tmp_path / "runs")
    assert type_line("--config-path", "first", "--config-name", "config").config["seed"] == 6


def test_evaluation_inherits_the_run_and_takes_only_what_it_is_given(type_line: TypeLine) -> None:
    type_line("model=fcn8s", "data=synthetic", "encoder.dropout=0.25", "hydra.run.dir=first")
    Path("first/metrics.json").write_text(METRICS)
    config = type_line("task=evaluate", "run=first", "data.split=val").config
    before = content("first")
    assert config["task"]["_target_"].endswith("Evaluate")
    assert config["task"]["run"] == "first"
    assert config["data"] == before["data"] | {"split": "val"}
    assert config["task"]["data"] == config["data"]
    for key in ("model", "encoder", "upsample", "trainer", "words", "seed"):
        assert config[key] == before[key]


def test_a_word_given_to_an_evaluation_replaces_its_whole_group(type_line: TypeLine) -> None:
    type_line("data=camvid", "data.root=somewhere", "hydra.run.dir=first")
    Path("first/metrics.json").write_text(METRICS)
    config = type_line("task=evaluate", "run=first", "data=synthetic", "data.split=val").config
    assert config["data"]["_target_"].endswith("synthetic")
    assert config["data"]["split"] == "val"
    assert "root" not in config["data"]


def test_a_plain_key_reaches_a_node_of_another_word_than_the_default(type_line: TypeLine) -> None:
    type_line("encoder=smp", "encoder.name=resnet18", "hydra.run.dir=first")
    Path("first/metrics.json").write_text(METRICS)
    config = type_line("task=evaluate", "run=first", "encoder.head_width=64").config
    assert config["encoder"]["name"] == "resnet18"
    assert config["task"]["net"]["encoder"]["head_width"] == 64


def test_an_evaluation_can_itself_be_run_again(type_line: TypeLine) -> None:
    type_line("model=fcn8s", "hydra.run.dir=first")
    Path("first/metrics.json").write_text(METRICS)
    type_line("task=evaluate", "run=first", "data.split=val", "hydra.run.dir=second")
    config = type_line("--config-path", "second", "--config-name", "config").config
    assert config | {"again": None} == content("second")


class Target:
    def __init__(
        self, count: int, ratio: float = 0.5, sizes: tuple[int, int] = (1, 1), part: object = None
    ) -> None: ...


NODE = {"_target_": f"{__name__}.Target", "count": 1}


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"count": "abc"}, "net.count=abc: expected an integer"),
        ({"count": 1.5}, "net.count=1.5: expected an integer"),
        ({"count": True}, "net.count=true: expected an integer"),
        ({"ratio": "half"}, "net.ratio=half: expected a number"),
        ({"sizes": [1]}, r"net.sizes=\[1\]: expected \[an integer, an integer\]"),
        ({"cuont": 2}, "net.cuont: .*Did you mean count"),
        ({"part": {"_target_": "nothing.here"}}, "net.part._target_=nothing.here: cannot be"),
    ],
)
def test_an_argument_that_the_signature_does_not_take_is_named_by_the_users_key(
    node: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        check({"task": NODE | node}, "all", {"all.task": "net"})


@pytest.mark.parametrize(
    "node", [{"ratio": 1}, {"sizes": [2, 3]}, {"part": NODE}, {"part": [NODE, 3]}, {"count": 0}]
)
def test_an_argument_that_the_signature_takes_passes(node: dict[str, Any]) -> None:
    check(NODE | node, "net", {})


def test_a_copy_of_a_copy_is_named_by_the_original() -> None:
    links = {"task.net": "model", "model.encoder": "encoder"}
    assert find_user_key("task.net.encoder.width", links) == "encoder.width"
    assert find_user_key("task.network", links) == "task.network"


def test_a_trained_network_asks_for_no_weights_that_it_began_with() -> None:
    for before in ("gone.pt", "imagenet", "none"):
        config = OmegaConf.create(
            {
                "weights": "gone.pt",
                "encoder": {"weights": before},
                "model": {"encoder": "${encoder}", "encoder_weights": before},
            }
        )
        forgotten = {"encoder": {"weights": "none"}, "encoder_weights": "none"}
        assert drop_initial_weights(config).model == forgotten
        assert config.weights is None
        net = {"weights": before, "encoder": {"weights": before}, "encoder_weights": before}
        forget_start(net)
        assert net == {"weights": None, **forgotten}
    assert drop_initial_weights(OmegaConf.create({"encoder": {}})) == {
        "weights": None,
        "encoder": {},
    }
    forget_start(net := {"encoder": {"width": 3}})
    assert net == {"encoder": {"width": 3}}


@pytest.mark.parametrize(
    "text",
    ["a: 1e-3", "a: 2020-01-01", "a: yes", "a: 1_0.5e3", "a: [1, .nan, 'x', ~]", "'a b': {1: é}"],
)
def test_a_record_is_read_as_omegaconf_reads_it(text: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(f"task: {{}}\nseed: 0\nvalue:\n  {text}\n", encoding="utf-8")
    expected = OmegaConf.to_container(OmegaConf.load(file))
    assert repr(read_frozen(file)) == repr(expected)


def test_a_record_is_written_as_omegaconf_writes_it() -> None:
    awkward: list[Any] = ["yes", "1e3", "x " * 80, "é ü", "a: b", "two\nlines", [], {}, None, 1e-5]
    awkward += ["'q'", "#x", "", float("inf"), "007", {"a": [1, {"b": True}]}]
    written = dump_yaml({"found": awkward})
    assert written == OmegaConf.to_yaml(OmegaConf.create({"found": awkward}))
    assert load_yaml(written) == {"found": awkward}


class Plain(nn.Module):
    """What somebody may write who has not seen that operators derive from one class."""

    def __init__(self, channels: int, factor: int, refine: str = "none") -> None:
        super().__init__()
        raise AttributeError("alpha")


def test_a_part_of_ones_own_is_refused_with_what_it_should_be_or_where_it_failed() -> None:
    name = f"{__name__}.Plain"
    net = {"_target_": "fcn_lab.networks.fcn.FCN", "num_classes": 3, "stride": 32}
    node = {**net, "encoder": {"_target_": "fcn_lab.encoders.TinyEncoder"}}
    with pytest.raises(UserError) as other:
        build({**node, "upsample": {"_target_": name, "_partial_": True}}, "net", {})
    assert "a class derived from fcn_lab.upsampling.base.Upsampling" in str(other.value)
    with pytest.raises(UserError, match=r"required positional .*\n_partial_: true beside"):
        build({"_target_": name}, "upsample", {})
    with pytest.raises(UserError, match=r"AttributeError: alpha\n.*test_config\.py, line \d+"):
        build({"_target_": name, "channels": 3, "factor": 2}, "upsample", {})
