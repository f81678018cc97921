"""The report as a page: charts with their values as text, no script, nothing from elsewhere, hostile text as text."""

import hashlib
import re
from base64 import b64encode
from datetime import date, timedelta
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from typer.testing import CliRunner

from cds_hooks.cli import app
from cds_hooks.commands.monitor import PAUSED
from cds_hooks.hold_back.acts import PAUSE_EVENT
from cds_hooks.monitor.page import report_page
from models_onnx.model_card.plots import BOTTOM, LEFT, RIGHT, TOP
from models_onnx.monitoring.figure import Figure, incidents
from models_onnx.monitoring.judging import Compared
from models_onnx.monitoring.label_judging import LabelWindow
from tests.live import record_in
from tests.models_onnx.monitoring.test_judging import WINDOW, other_unit, two_days
from tests.models_onnx.monitoring.test_label_judging import MODEL, labels
from tests.models_onnx.monitoring.traffic import days_of

HOSTILE = '<script>alert("x")</script>'


@pytest.fixture(scope="module")
def page() -> str:
    compared = Compared(HOSTILE, "follow-up", two_days(other_unit), days_of(np.random.default_rng(1), 28))
    window = LabelWindow("ehr", "follow-up", "predictions of May", labels(1), labels(2), {})
    figures: list[Figure] = [*compared.figures(), *window.figures()]
    return report_page(WINDOW, [compared, window], figures, incidents(figures), ["rule x: paused"], "2 figures.")


def test_each_chart_has_its_sentence_and_its_values_as_text(page: str) -> None:
    figures = re.findall(r"<figure .*?</figure>", page, re.DOTALL)
    titles = [re.findall(r"<figcaption><b>(.*?)</b> [^<]+</figcaption>", each)[0] for each in figures]
    assert titles == [f"Estimated and observed, {MODEL}", f"Observed to expected by group, {MODEL}"]
    for each in figures:
        assert each.count("<tr>") > 2
        assert 'role="img" aria-label="' in each


def test_what_is_drawn_lies_on_the_drawing(page: str) -> None:
    drawings = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(drawings) == 2
    for drawing in drawings:
        for element in ElementTree.fromstring(drawing).iter():  # noqa: S314 - our own page
            points = [pair.split(",") for pair in element.get("points", "").split()]
            points += [(element.get("cx"), element.get("cy"))] if element.get("cx") else []  # type: ignore[list-item]
            for x, y in points:
                assert LEFT <= float(x) <= RIGHT
                assert TOP <= float(y) <= BOTTOM


def test_the_page_runs_no_script_and_allows_only_its_own_style(page: str) -> None:
    assert "<script" not in page
    assert HOSTILE not in page
    assert "&lt;script&gt;" in page
    assert "http" not in page.replace("http-equiv", "")
    assert re.search(r"\son\w+=|\sstyle=", page) is None
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}'" in page
    assert "prefers-color-scheme: dark" in style


def test_a_report_of_nothing_is_a_page_too(tmp_path: Path) -> None:
    empty = Compared("ehr", "follow-up", {WINDOW: two_days(other_unit)[WINDOW]}, {})
    assert "Nothing to act on." in report_page(WINDOW, [empty], [], [], [], "0 figures.")
    assert "Monitor report of" in report_page(date(2026, 1, 1) + timedelta(days=1), [], [], [], [], "0 figures.")


def test_the_command_writes_the_page_and_says_where_it_cannot(tmp_path: Path) -> None:
    url = record_in(tmp_path)
    words = ["monitor", "--database", url, "--html"]
    assert CliRunner().invoke(app, [*words, str(tmp_path / "r.html")]).exit_code == 0
    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")
    done = CliRunner().invoke(app, [*words, str(tmp_path / "none" / "r.html")])
    assert (done.exit_code, "cannot be written" in done.output) == (2, True)


def test_the_kind_of_a_pause_is_that_of_the_server() -> None:
    assert PAUSED == PAUSE_EVENT
