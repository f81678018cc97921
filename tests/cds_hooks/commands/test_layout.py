"""Tables without lines: one blank behind each column, none before, a rule below the headings, no empty line between."""

from collections import Counter
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from cards.rules.engine.coverage import AnalyteCoverage, DrugCoverage
from cds_hooks.commands import settings
from cds_hooks.commands.rules import check, coverage, main
from cds_hooks.hold_back.rule_counts import RuleCounts
from cds_hooks.replay.simulated_orders import SimulatedFinding, SimulatedOrders


def _drawn(table: Any, width: int = 80) -> list[str]:
    """The lines, with a # at the end of each."""
    stream = StringIO()
    Console(file=stream, width=width).print(table)
    return [f"{line}#" for line in stream.getvalue().splitlines()]


def test_checks_of_drugs_are_drawn_close(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cards.rules.engine.coverage.CHECKS", ("kidney", "liver"))
    rows = [(name, DrugCoverage("1", name, {"kidney": ("r",)})) for name in ("abc", "defg")]
    assert _drawn(coverage._checks("drug", rows)) == [
        "                           #",
        " drug  checks    none for  #",
        " ───────────────────────── #",
        " abc   kidney 1  liver     #",
        " defg  kidney 1  liver     #",
        "                           #",
    ]
    assert _drawn(coverage._tests([AnalyteCoverage("k", "Potassium", ("r1", "r2"), ())])) == [
        "                                                         #",
        " test       rules that read it  rules that can order it  #",
        " ─────────────────────────────────────────────────────── #",
        " Potassium                   2                        0  #",
        "                                                         #",
    ]


def _printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [f"{line}#" for line in capsys.readouterr().out.splitlines()]


def test_what_rules_did_is_drawn_close(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    found = [SimulatedFinding("r", "b", "warning", "d", "text")] * 2
    counted = SimulatedOrders(orders=100, charts=1, with_card=2)
    counted.findings = {"r": found}
    check._draw(counted, 1)
    assert _printed(capsys)[-5:] == [
        "                                 #",
        " rule  per 100  times  examples  #",
        " ─────────────────────────────── #",
        " r        2.00      2  b: text   #",
        "                                 #",
    ]
    counts = RuleCounts()
    counts.spoke, counts.reasons = 9, Counter({"why": 2})
    main._print_counts({"r": counts}, as_json=False)
    assert _printed(capsys)[1:4] == [
        " rule  cards  shadow  off  answered before  accepted  overridden  reasons  #",
        " ───────────────────────────────────────────────────────────────────────── #",
        " r         9       0    0                0         0           0  why 2    #",
    ]


def test_settings_are_drawn_close(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    rows = [{"name": "CDS_A", "value": 1, "from": "default"}, {"name": "CDS_BC", "value": None, "from": "environment"}]
    monkeypatch.setattr(settings, "settings_in_force", lambda _: rows)
    settings.show_settings(as_json=False, changed=False)
    assert _printed(capsys) == [
        "                                #",
        " setting  value    from         #",
        " ────────────────────────────── #",
        " CDS_A    1        default      #",
        " CDS_BC   not set  environment  #",
        "                                #",
    ]
