"""What the package offers: lazily, explained, with examples that run, and with names suggested."""

import doctest
import subprocess
import sys
from importlib.metadata import version
from inspect import getdoc
from pathlib import Path
from typing import Any

import pytest

import fcn_lab
from fcn_lab.errors import UserError
from support import fakes
from support.nets import write_runs
from support.pages import find_blocks

NAMES = [name for name in fcn_lab.__all__ if name != "__version__"]
# of public classes and functions: an argument spelt wrong, and the one that is meant
MISSPELT = {
    "CamVidDataModule": ("batchsize", "batch_size"),
    "FrameDataModule": ("workers", "num_workers"),
    "Optim": ("scheduler", "schedule"),
    "SegmentationModule": ("network", "net"),
    "camvid": ("class", "classes"),
    "create_model": ("classes", "num_classes"),
    "folder": ("mask", "masks"),
    "load_run": ("dence", "dense"),
    "synthetic": ("batch", "batch_size"),
}
MODULES = ("losses", "operators")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the examples run in: a small CamVid, data of one's own, a run."""
    monkeypatch.chdir(tmp_path)
    fakes.segnet(tmp_path / "CamVid")
    for name in "abcdefghij":
        fakes.save(tmp_path / "my_data" / "photos" / f"{name}.png", fakes.picture(name, (24, 32)))
        fakes.save(tmp_path / "my_data" / "masks" / f"{name}.png", fakes.ids(name, 3, (24, 32)))
    return tmp_path


def test_the_package_says_in_its_docstring_all_that_is_public() -> None:
    assert fcn_lab.__doc__ is not None
    for name in fcn_lab.__all__:
        assert name in fcn_lab.__doc__
    assert set(fcn_lab.__all__) <= set(dir(fcn_lab))
    assert fcn_lab.__version__ == version("fcn-lab")
    with pytest.raises(AttributeError, match="nothing"):
        _ = fcn_lab.nothing


def test_importing_the_package_imports_no_library() -> None:
    heavy = "{'torch', 'lightning', 'hydra', 'numpy', 'pydantic'}"
    code = f"import sys, fcn_lab; sys.exit(bool({heavy} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("name", NAMES)
def test_the_example_of_every_public_name_runs(name: str, place: Path) -> None:
    if name == "load_run":
        next(write_runs(place / "runs", predictions=False).iterdir()).rename(place / "RUN_DIR")
    public: Any = getattr(fcn_lab, name)
    inside = public.__dict__ if name in MODULES else sys.modules[public.__module__].__dict__
    finder = doctest.DocTestParser()
    examples = finder.get_doctest(getdoc(public) or "", dict(inside), name, None, 0)
    assert examples.examples, f"help({name}) shows no example"
    told: list[str] = []
    failed, _ = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(examples, out=told.append)
    assert not failed, "".join(told)


@pytest.mark.parametrize("code", find_blocks("python"))
def test_the_python_of_the_pages_runs(code: str, place: Path) -> None:
    next(write_runs(place / "runs", predictions=False).iterdir()).rename(place / "RUN_DIR")
    fakes.save(place / "photo.png", fakes.picture("a", (24, 32)))
    exec(code, {})


@pytest.mark.parametrize("name", NAMES)
def test_help_shows_arguments_shapes_and_errors(name: str) -> None:
    text = getdoc(getattr(fcn_lab, name)) or ""
    assert "(N," in text or "(H,W)" in text or "net." in text or name == "Optim"
    assert "UserError" in text


@pytest.mark.parametrize("name", [name for name in NAMES if name not in MODULES])
def test_a_misspelt_argument_is_answered_with_the_one_that_is_meant(name: str) -> None:
    wrong, meant = MISSPELT[name]
    with pytest.raises(UserError, match=f"no argument {wrong}. Did you mean {meant}?") as caught:
        getattr(fcn_lab, name)(**{wrong: 3})
    assert len(str(caught.value).splitlines()) <= 2


@pytest.mark.parametrize(
    "key", ["init_from", "resume", "flip", "seed", "optim.lr", "data.classes", "hydra.run.dir"]
)
def test_a_key_that_makes_no_network_is_refused_by_what_makes_one(key: str) -> None:
    with pytest.raises(UserError, match=f"^create_model has no argument {key}"):
        fcn_lab.create_model(**{key: 1})


def test_a_word_that_is_none_is_refused() -> None:
    for word in ("null", "[]", "[a,b]", ""):
        with pytest.raises(UserError):
            fcn_lab.create_model(word)


@pytest.mark.parametrize("module", MODULES)
def test_every_loss_and_operator_names_an_argument_that_it_does_not_take(module: str) -> None:
    offered = getattr(fcn_lab, module)
    classes = [found for found in vars(offered).values() if isinstance(found, type)]
    own = [found for found in classes if found.__module__.startswith(offered.__name__)]
    assert len(own) >= 6
    for found in own:
        with pytest.raises(UserError, match=f"{found.__name__} has no argument refin"):
            found(refin=3)
