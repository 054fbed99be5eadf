"""Words that change nothing are told, and none of those that do."""

import pytest

from support.commandline import METRICS, TypeLine

SMP = "has no effect: with task=train model=smp nothing reads"


def told(type_line: TypeLine, *words: str) -> list[str]:
    ended = type_line(*words)
    assert ended.status == 0
    return [line for line in ended.out.splitlines() if "has no effect" in line]


def test_a_whole_network_reads_neither_an_encoder_nor_an_upsampling(type_line: TypeLine) -> None:
    words = ["model=smp", "encoder=vgg16", "upsample=nearest", "encoder.weights=none", "seed=3"]
    assert told(type_line, *words) == [
        f"encoder=vgg16 {SMP} encoder",
        f"upsample=nearest {SMP} upsample",
        f"encoder.weights=none {SMP} encoder",
    ]


@pytest.mark.parametrize(
    ("words", "group"),
    [
        (["model=segnet_basic", "upsample=nearest", "encoder=tiny"], "encoder"),
        (["model=fcn8s_caffe", "encoder=vgg16"], "encoder"),
        (["dense=windows", "optim=sgd"], "dense"),
        (["task=audit", "data=synthetic", "optim=sgd"], "optim"),
    ],
)
def test_one_word_is_not_read(type_line: TypeLine, words: list[str], group: str) -> None:
    (line,) = told(type_line, *words)
    assert line.endswith(f" nothing reads {group}")


@pytest.mark.parametrize(
    "words",
    [
        ["model=fcn8s", "encoder=vgg16", "upsample=nearest", "upsample.refine=none", "seed=3"],
        ["data=synthetic", "augment=strong", "schedule=cosine", "loss=dice", "freeze=norm"],
        ["optim=heavy", "trainer=cpu", "logger=csv", "start=frozen", "encoder=lite0"],
        ["experiment=camvid_cpu", "capacity=matched", "name=mine"],
        ["task=audit", "data=synthetic", "logger=none", "dense=none"],
        ["task=evaluate", "model=fcn8s_caffe", "weights=FILE", "dense=windows", "trainer=cpu"],
    ],
)
def test_words_that_are_read_are_not_told(type_line: TypeLine, words: list[str]) -> None:
    assert told(type_line, *words) == []


def test_a_command_that_reads_a_run_does_not_tell_the_words_of_that_run(
    type_line: TypeLine,
) -> None:
    trained = type_line("model=fcn8s", "optim=sgd", "hydra.run.dir=there")
    (trained.folder / "metrics.json").write_text(METRICS)
    assert told(type_line, "task=evaluate", "run=there") == []
