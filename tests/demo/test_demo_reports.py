"""Links to the reports beside the runs: those files are sent, in a sandbox, and no others."""

import asyncio
import importlib.util
from pathlib import Path
from typing import Any

import pytest

if importlib.util.find_spec("gradio") is None:
    pytest.skip("gradio is not installed", allow_module_level=True)
from fcn_lab.demo import tiles
from fcn_lab.demo.guard import Guard
from fcn_lab.demo.networks import Networks
from fcn_lab.demo.reports import find_reports
from fcn_lab.demo.uploads import Uploads
from support import nets


def write(path: Path, words: str = "<title>A report</title>") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(words)
    return path


def ask(guard: Guard, path: str, method: str = "GET", host: str = "localhost") -> dict[str, Any]:
    """Status, headers and body of an answer; none where the page itself was asked."""
    sent: list[Any] = []

    async def send(message: Any) -> None:  # noqa: ANN401
        sent.append(message)

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    scope = {
        **{"type": "http", "method": method, "path": path, "server": ("127.0.0.1", 80)},
        "headers": [(b"host", host.encode())],
    }
    asyncio.run(guard(scope, receive, send))  # type: ignore[arg-type]
    if not sent:
        return {}
    headers = {key.decode(): value.decode() for key, value in sent[0]["headers"]}
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return {"status": sent[0]["status"], "headers": headers, "body": body}


async def never(*_: object) -> None:
    raise AssertionError("the page was asked")


@pytest.fixture
def guard(tmp_path: Path) -> Guard:
    folder = tmp_path / "uploads"
    folder.mkdir()
    report = write(tmp_path / "sweep" / "report" / "report.html")
    write(tmp_path / "sweep" / "report" / "arms.csv")
    return Guard(never, Uploads(folder, 1), "", reports={"/report/0": report.resolve()})


def test_a_report_is_sent_without_an_origin(guard: Guard) -> None:
    answer = ask(guard, "/report/0")
    assert answer["status"] == 200
    assert answer["body"] == b"<title>A report</title>"
    policy = answer["headers"]["content-security-policy"]
    assert policy.startswith("sandbox allow-scripts")
    assert "allow-same-origin" not in policy
    assert "default-src 'none'" in policy
    assert answer["headers"]["content-type"].startswith("text/html")
    assert ask(guard, "/report/0", "HEAD")["body"] == b""


@pytest.mark.parametrize(
    "path",
    [
        *("/report/1", "/report", "/report/", "/report/0/", "/report/-1", "/report/00"),
        *("/report/../report/0", "/report/0/../../arms.csv", "/report/arms.csv", "/report/%30"),
        *("//report/0", "/report/0\0", "/REPORT/0"),
    ],
)
def test_nothing_else_is_sent(path: str, guard: Guard) -> None:
    assert ask(guard, path)["status"] == 404


def test_a_report_is_only_read_and_under_the_pages_names(guard: Guard) -> None:
    assert {ask(guard, "/report/0", method)["status"] for method in ("POST", "PUT")} == {404}
    assert ask(guard, "/report/0", host="evil.example")["status"] == 403


def test_a_report_that_became_a_link_or_went_is_not_sent(guard: Guard, tmp_path: Path) -> None:
    file = guard.reports["/report/0"]
    file.unlink()
    assert ask(guard, "/report/0")["status"] == 404
    file.symlink_to(write(tmp_path / "secret.html"))
    answer = ask(guard, "/report/0")
    assert (answer["status"], b"secret" in answer["body"]) == (404, False)


def test_the_nearest_report_inside_the_given_folders_is_found(tmp_path: Path) -> None:
    sweep = tmp_path / "runs" / "sweep"
    cells = [sweep / "a", sweep / "b"]
    write(tmp_path / "report" / "report.html")
    for cell in cells:
        cell.mkdir(parents=True)
    assert find_reports(cells, [sweep]) == {}
    swept = write(sweep / "report" / "report.html").resolve()
    assert find_reports(cells, [sweep]) == dict.fromkeys(cells, swept)
    assert find_reports(cells, [tmp_path / "runs"]) == dict.fromkeys(cells, swept)
    assert find_reports(cells, [cells[0]]) == {}
    own = write(cells[0] / "report.html").resolve()
    assert find_reports(cells, [sweep]) == {cells[0]: own, cells[1]: swept}
    assert find_reports(cells, cells) == {cells[0]: own}


def test_a_link_to_a_report_elsewhere_is_not_followed(tmp_path: Path) -> None:
    secret = write(tmp_path / "secret" / "report.html")
    run = tmp_path / "sweep" / "a"
    run.mkdir(parents=True)
    (run / "report.html").symlink_to(secret)
    (run / "report").symlink_to(secret.parent)
    (tmp_path / "sweep" / "report").mkdir()
    (tmp_path / "sweep" / "report" / "report.html").mkdir()
    (tmp_path / "sweep" / "report.html").symlink_to("report.html")
    assert find_reports([run], [tmp_path / "sweep"]) == {}


def test_the_table_links_to_the_report_of_each_network_that_has_one(tmp_path: Path) -> None:
    folder = nets.write_runs(tmp_path)
    own = write(folder / "model=fcn8s,upsample=nearest,seed=0" / "report" / "report.html")
    networks = Networks([folder])
    assert list(networks.reports.values()) == [own.resolve()]
    scene = networks.load_scenes()[0]
    labels = ["fcn8s bilinear", "fcn8s nearest"]
    scene.views.update({label: networks.ask(label, scene.image) for label in labels})
    colours = [(0, 0, 0)] * len(networks.classes)

    def render() -> str:
        return tiles.render(scene, networks.classes, colours, [1] * 11, networks.records)

    assert render().count('<a href="report/0"') == 1
    del scene.views["fcn8s nearest"]
    assert "report" not in render()
