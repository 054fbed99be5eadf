"""The notebook of experiments/ runs from its first cell to its last."""

import ast
import importlib.util
import json
import re
from pathlib import Path

import pytest

from support.places import ROOT
from support.waiting import PATIENCE

NOTEBOOKS = sorted((ROOT / "experiments").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_stores_no_outputs(path: Path) -> None:
    cells = json.loads(path.read_text())["cells"]
    codes = [cell for cell in cells if cell["cell_type"] == "code"]
    assert len(codes) >= 4
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in codes)


def read_code(path: Path) -> str:
    if path.suffix == ".py":
        return path.read_text()
    cells = json.loads(path.read_text())["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


@pytest.mark.parametrize(
    "path", [*NOTEBOOKS, *sorted((ROOT / "experiments").glob("*.py"))], ids=lambda path: path.name
)
def test_what_is_imported_from_the_lab_is_there(path: Path) -> None:
    for node in ast.walk(ast.parse(read_code(path))):
        if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] == "fcn_lab":
            module = importlib.import_module(str(node.module))
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                assert hasattr(module, alias.name) or importlib.util.find_spec(inner), inner


@pytest.mark.slow
def test_the_notebook_trains_shows_a_prediction_and_compares_two_networks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nbformat
    from nbclient import NotebookClient

    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    (path,) = NOTEBOOKS
    notebook = nbformat.read(path, as_version=4)
    work = tmp_path / "work"
    work.mkdir()
    NotebookClient(
        notebook, timeout=int(PATIENCE), resources={"metadata": {"path": str(work)}}
    ).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    said = "".join(output.text for output in outputs if output.output_type == "stream")
    scores = {word: float(score) for word, score in re.findall(r"(\w+): mean IoU ([\d.]+) %", said)}
    gap = float(re.search(r"bilinear less bed_of_nails: ([+-][\d.]+) points", said)[1])  # type: ignore[index]
    assert abs(gap - (scores["bilinear"] - scores["bed_of_nails"])) <= 0.15  # three roundings
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert list(work.iterdir()) == []
