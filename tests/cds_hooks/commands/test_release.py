"""`cds-hooks release`: how two versions are compared in words, and what is refused before anything is recorded."""

import json
from time import time
from types import SimpleNamespace
from typing import Any, get_args

import pytest
from typer.testing import CliRunner

from cds_hooks.cli import app
from cds_hooks.commands import release
from cds_hooks.hold_back.acts import ActKind, ApprovalRefused
from cds_hooks.monitor.versions import Comparison, Group
from cds_hooks.outcomes.followed import Performance, WithOutcomes


@pytest.fixture
def record(tmp_path: Any) -> str:
    """The address of a record that is not read: what was read is given."""
    return f"sqlite:///{tmp_path}/none.sqlite3"


def _compared(monkeypatch: pytest.MonkeyPatch, comparison: Comparison, record: str, *more: str) -> Any:
    monkeypatch.setattr(release, "_version", lambda *_: ("cafe", ""))
    monkeypatch.setattr(release, "find_decisions", lambda url, wanted: iter([(url, wanted.since)] * 5))

    def compare(read: Any, version: str) -> Comparison:
        decisions = list(read)
        return Comparison(comparison.groups, comparison.errors, [version, *map(str, decisions), *comparison.examples])

    monkeypatch.setattr(release, "compare_versions", compare)
    return CliRunner().invoke(app, ["release", "compare", "m@2", "--database", record, *more])


def test_two_versions_are_compared_in_words(monkeypatch: pytest.MonkeyPatch, record: str) -> None:
    group = Group(predictions=200, due_version=12, due_other=10, only_version=3, only_other=1, difference=5.0)
    done = _compared(monkeypatch, Comparison({"all": group, "F": Group()}, {"range": 2}, ["d1"]), record, "--most", "1")
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "all: 200 estimates, cards due 12 by m@2 and 10 by the other (3 more, 1 fewer), mean difference +2.50 in 100",
        "F: 0 estimates, cards due 0 by m@2 and 0 by the other (0 more, 0 fewer), mean difference +0.00 in 100",
        "Not computed, range: 2",
        "Only one of both had a card due: cafe",
        f"Only one of both had a card due: ('{record}', None)",
        "Only one of both had a card due: d1",
    ]


def test_what_is_compared_can_begin_on_a_day_and_be_json(monkeypatch: pytest.MonkeyPatch, record: str) -> None:
    words = ("--most", "2", "--since", "2026-11-01", "--json")
    done = _compared(monkeypatch, Comparison({"all": Group(predictions=1)}), record, *words)
    row = f"('{record}', 1793491200000000)"
    assert json.loads(done.stdout) == {
        "groups": {"all": {"predictions": 1, "due_version": 0, "due_other": 0, "only_version": 0, "only_other": 0,
                           "difference": 0.0}},
        "errors": {}, "examples": ["cafe", row, row],
    }  # fmt: skip
    nothing = _compared(monkeypatch, Comparison(), record, "--most", "1").stdout
    assert nothing.splitlines()[0] == "No decision was computed by m@2 and another version."


def _with_outcomes(monkeypatch: pytest.MonkeyPatch, compared: WithOutcomes, bar: float | None, *more: str) -> Any:
    from cds_hooks.outcomes import followed, labels

    odds: list[float] = []

    def compare(rows: str, version: str, weight: float) -> WithOutcomes:
        odds.append(round(weight, 6))
        assert (rows, version) == ("url label", "cafe")
        return compared

    def rows_until_now(url: str, label: str, now: int) -> str:
        assert abs(now / 1e6 - time()) < 600
        return f"{url} {label}"

    manifest = SimpleNamespace(id="m", thresholds=SimpleNamespace(alerts_per_event=bar))
    monkeypatch.setattr(release, "_served_model", lambda _: SimpleNamespace(manifest=manifest))
    monkeypatch.setattr(labels, "site_labels", lambda _: {"m": "label"})
    monkeypatch.setattr(followed, "followed", rows_until_now)
    monkeypatch.setattr(followed, "compare_with_outcomes", compare)
    monkeypatch.setattr(release, "_version", lambda *_: ("cafe", ""))
    monkeypatch.setattr(release, "record_url", lambda _: "url")
    done = CliRunner().invoke(app, ["release", "compare", "m@2", "--outcomes", *more])
    return done, odds


def test_two_versions_are_compared_by_what_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = WithOutcomes(
        people=900,
        events=120,
        version=Performance(0.8, 1.1, 50, 12.34),
        other=Performance(0.75, 0.9, 60, 10.0),
        auroc=(0.05, -0.01, 0.11),
        net_benefit=(2.34, 1.0, 3.5),
        verdict="The version is better.",
    )
    done, odds = _with_outcomes(monkeypatch, whole, 5.0)
    assert done.stdout.splitlines() == [
        "m@2: AUROC 0.800, observed/expected 1.10, cards due 50, net benefit 12.3 per 1,000",
        "the other version: AUROC 0.750, observed/expected 0.90, cards due 60, net benefit 10.0 per 1,000",
        "Difference in AUROC: +0.050 (-0.010 to +0.110)",
        "Difference in net benefit: +2.340 (+1.000 to +3.500)",
        "900 people, 120 events. The version is better.",
    ]
    assert odds == [0.25]
    few = WithOutcomes(people=10, events=1, verdict="Too few.")
    done, odds = _with_outcomes(monkeypatch, few, None)
    assert done.stdout.splitlines() == ["10 people, 1 events. Too few."]
    from models_onnx.model_card.plots import BAR

    assert odds == [round(1 / (BAR - 1), 6)]
    done, _ = _with_outcomes(monkeypatch, few, None, "--json")
    assert json.loads(done.stdout) == {
        "people": 10, "events": 1, "version": None, "other": None, "auroc": None, "net_benefit": None,
        "verdict": "Too few.",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("ward", "x", f"ward is no kind; there are {', '.join(get_args(ActKind))}"),
        ("rule", "nothing", "there is no rule nothing here"),
        ("equation", "nothing", "there is no equation nothing here"),
    ],
)
def test_what_is_not_served_here_is_refused(kind: str, name: str, words: str) -> None:
    with pytest.raises(ApprovalRefused) as refused:
        release._version(kind, name)
    assert str(refused.value) == words


def test_a_service_or_a_model_that_is_not_there_is_told_from_those_that_are() -> None:
    with pytest.raises(ApprovalRefused) as refused:
        release._version("service", "nothing")
    start, _, names = str(refused.value).partition("; there are ")
    assert start == "there is no service nothing"
    assert "order-safety" in names.split(", ")
    with pytest.raises(ApprovalRefused) as refused:
        release._version("model", "nothing")
    start, _, names = str(refused.value).partition("; there are ")
    assert start == "there is no model nothing here"
    assert "mortality_5y" in names.split(", ")
    assert names.split(", ") == sorted(names.split(", "))


def test_people_and_clients_have_no_version_and_models_have_that_of_their_file() -> None:
    for kind in ("client", "unit", "user"):
        assert release._version(kind, "anything") == ("", "")
    assert release._version("service", "order-safety") == ("", "")
    digest, gates = release._version("model", "mortality_5y")
    model = release._served_model("mortality_5y")
    assert digest == model.manifest.file.sha256
    assert len(gates) in (0, 64)
