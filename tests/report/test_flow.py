"""Gradients by stage and steps to a score, from files written for the purpose."""

import json
from pathlib import Path

import numpy as np
import pytest

from fcn_lab.errors import UserError
from fcn_lab.report.gradient_flow import (
    find_first_step,
    format_report,
    main,
    measure_norms,
    measure_shares,
    read_scores,
)
from fcn_lab.report.runs import Run, find_runs


def write(folder: Path, seed: int, found: list[float], early: float) -> Path:
    folder.mkdir(parents=True)
    facts = {"model": "fcn8s", "upsample": "nearest", "encoder": "tiny", "seed": seed}
    protocol = "squares3-24x32-void_ignored-own_split"
    (folder / "metrics.json").write_text(
        json.dumps({"protocol": protocol, **facts, "val": {"mean_iou": 0.5}})
    )
    (folder / "config.yaml").write_text(f"arm: model.skips={early > 1}\n")
    rows = "".join(f"{step * 10},{score}\n" for step, score in enumerate(found, 1))
    (folder / "history.csv").write_text(f"step,val/mean_iou\n5,\n{rows}")
    (folder / "gradients.csv").write_text(f"step,stem,head\n0,{early},1\n10,{3 * early},3\n")
    matrices = np.ones((1, 1, 1), np.int64)
    np.savez(
        folder / "confusions.npz", names=["a_1"], matrices=matrices, classes=["x"], split="test"
    )
    return folder


def test_a_share_is_the_median_in_units_of_the_last_stage_s() -> None:
    rows = [{"step": "0", "stem": str(n), "head": "4"} for n in (1, 2, 9)]
    assert measure_norms(rows) == {"stem": 2, "head": 4}
    assert measure_shares(measure_norms(rows)) == {"stem": 2 / 4, "head": 1}


def test_a_score_is_reached_at_the_first_validation_at_it_or_above(tmp_path: Path) -> None:
    run = Run.read(write(tmp_path / "run", 0, [0.2, 0.5, 0.4, 0.6], 1.0))
    assert read_scores(run) == [(10, 0.2), (20, 0.5), (30, 0.4), (40, 0.6)]
    assert [find_first_step(run, score) for score in (0.1, 0.5, 0.55, 0.7)] == [10, 20, 40, None]


def test_the_table_has_an_arm_a_row_and_a_seed_an_entry_and_stages_of_runs_are_left_out(
    tmp_path: Path,
) -> None:
    write(tmp_path / "with0", 0, [0.5, 0.6], 2.0)
    write(tmp_path / "with1", 1, [0.3, 0.6], 4.0)
    write(tmp_path / "without", 0, [0.3, 0.5], 0.5)
    write(tmp_path / "with0" / "stages" / "fcn32s", 0, [0.9], 2.0)
    assert len(find_runs([tmp_path])[0]) == 3
    head, _, first, second = format_report(tmp_path).splitlines()
    assert "steps to 50.0 mean IoU" in head
    assert first == "| skips=True | stem 3 (2…4); head 1 (1…1) | 2 (2…2) | 10, 20 |"
    assert second == "| skips=False | stem 0.5; head 1 | 2 | 20 |"
    assert "never" in format_report(tmp_path, 0.55).splitlines()[-1]


def test_a_folder_without_notes_and_words_that_are_none_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (write(tmp_path / "run", 0, [0.5], 1.0) / "gradients.csv").unlink()
    with pytest.raises(UserError, match=r"trainer\.gradients_every"):
        format_report(tmp_path)
    for arguments in (
        [],
        [str(tmp_path), "much"],
        [str(tmp_path), "0.1", "0.2"],
        [str(tmp_path), "45"],
    ):
        assert main(arguments) == 2
        assert "expected FOLDER [SCORE]" in capsys.readouterr().out
    assert main([str(tmp_path)]) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert "trainer.gradients_every" in error
