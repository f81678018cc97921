"""What commands decide, without a server or a terminal: cases of rules, calls, evidence of gates, sockets."""

import io
import json
import socket
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import numpy as np
import pytest
import typer
from rich.console import Console

from cards.extension import EXTENSION_KEY
from cds_hooks.commands import serve
from cds_hooks.commands.rules import check
from cds_hooks.kit.commands import call
from cds_hooks.kit.simulator.chart import Chart, ChartError
from cds_hooks.kit.simulator.fixture import Fixture
from cds_hooks.kit.simulator.request import CardOutcome
from cds_hooks.replay.simulated_orders import SimulatedOrders
from models_onnx.artifact.folder import CARD, MANIFEST
from models_onnx.workbench.gates import evidence

Json = dict[str, Any]

# Cases of rules


def _answer(*findings: tuple[str, str, str], status: int = 200) -> httpx.Response:
    cards = [
        {"indicator": indicator, "extension": {EXTENSION_KEY: {"findings": [{"rule": rule, "band": band}]}}}
        for rule, band, indicator in findings
    ]
    return httpx.Response(status, json={"cards": cards})


def _faults(expected: Json, *findings: tuple[str, str, str], status: int = 200) -> list[str]:
    return check._compare(_answer(*findings, status=status), {"expected": expected})


def test_what_a_case_expects_is_compared_with_what_was_found() -> None:
    kidney, dose = ("renal-x", "lt30", "critical"), ("dose-max", "over", "warning")
    wanted = {"findings": [{"rule": "renal-x", "band": "lt30", "indicator": "critical"}]}
    assert _faults(wanted, status=500) == ["answered 500"]
    assert _faults(wanted, kidney) == []
    assert _faults(wanted) == ["no finding renal-x/lt30", "no critical card"]
    assert _faults(wanted, ("renal-x", "lt45", "critical")) == ["no finding renal-x/lt30"]
    assert _faults(wanted, ("renal-x", "lt30", "warning")) == ["no critical card"]
    assert _faults(wanted, kidney, dose) == []
    other = {
        "findings": [
            {"rule": "renal-x", "band": "lt45", "indicator": "warning", "band_alternatives": ["lt30 shown as warning"]}
        ]
    }
    assert _faults(other, kidney) == []
    assert _faults({"silent": True}) == []
    assert _faults({"silent": True}, kidney, dose) == [
        "found dose-max/over (warning), which must not be found",
        "found renal-x/lt30 (critical), which must not be found",
    ]
    assert _faults({"silent": True, "allowed_also": ["dose-max"]}, dose) == []
    assert _faults({"silent": True, "allowed_also": ["dose-max/over"]}, dose) == []
    assert _faults({"silent": True, "allowed_also": ["dose-max warning"]}, dose) == []
    assert _faults({"silent": True, "allowed_also": ["dose-max critical"]}, dose) == [
        "found dose-max/over (warning), which must not be found"
    ]
    assert _faults({"silent": True, "must_not_fire": ["dose-max"]}, kidney) == []
    assert _faults({"silent": True, "must_not_fire": ["dose-max"]}, ("dose-low", "x", "info")) == [
        "found dose-low/x (info), which must not be found"
    ]
    assert _faults({"must_not_fire": ["dose-max"]}, dose) == ["found dose-max/over (warning), which must not be found"]
    assert _faults({"must_not_fire": ["dose-max"]}, ("dose-low", "x", "info")) == []


@pytest.mark.parametrize(
    ("words", "alone", "forbids"),
    [
        ("warning", False, True),
        ("critical", False, False),
        ("dose-max", False, True),
        ("dose-max/over", False, True),
        ("dose-max/under", False, False),
        ("dose-min", False, False),
        ("dose-max warning", False, True),
        ("dose-max critical", False, False),
        ("dose-max as a separate card", True, True),
        ("dose-max as a separate card", False, False),
        ("dose-max of any kind", False, True),
    ],
)
def test_words_that_forbid_a_finding(words: str, alone: bool, forbids: bool) -> None:
    assert check._forbids(words, "dose-max", "over", "warning", alone=alone) is forbids


# Calls

CARDS = {"cards": [{"uuid": "1", "indicator": "info", "summary": "s"}]}


def _caller(
    answers: dict[str, tuple[int, Any]], **options: Any
) -> tuple[call._Caller, list[tuple[str, Any]], io.StringIO]:
    sent: list[tuple[str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append((request.url.path, json.loads(request.content) if request.content else None))
        status, document = answers[request.url.path]
        return (
            httpx.Response(status, content=document)
            if isinstance(document, bytes)
            else httpx.Response(status, json=document)
        )

    client = httpx.Client(base_url="http://x", transport=httpx.MockTransport(answer))
    out = io.StringIO()
    members = {"as_json": False, "curl": False, "feedback": None} | options
    return call._Caller(client, Console(file=out, width=100), **members), sent, out


DISCOVERY = {
    "services": [
        {"id": "a", "hook": "patient-view"},
        {"id": "a-dispatch", "hook": "order-dispatch"},
        {"id": "b", "hook": "patient-view"},
    ]
}


def test_services_are_found_by_hook_and_name() -> None:
    caller, _, _ = _caller({"/cds-services": (200, DISCOVERY)})

    def names(hook: str, service: str | None, *, others: bool = False) -> Any:
        try:
            return [entry["id"] for entry in caller.entries(hook, service, at_other_hooks=others)]
        except ChartError as error:
            return str(error)

    assert names("patient-view", None) == ["a", "b"]
    assert names("patient-view", "a") == ["a"]
    assert names("order-dispatch", "a") == ["a-dispatch"]
    assert names("order-sign", "a", others=True) == ["a", "a-dispatch"]
    assert names("order-sign", "a") == "the server has no service a for order-sign; see: cds-hooks services"
    assert names("order-sign", None, others=True) == "the server has no service for order-sign; see: cds-hooks services"
    closed, _, _ = _caller({"/cds-services": (401, {})})
    with pytest.raises(ChartError, match="discovery was answered with HTTP 401"):
        closed.entries("patient-view", None)


def test_a_call_is_answered_and_told_what_became_of_its_cards() -> None:
    entry, request = {"id": "a b", "hook": "patient-view"}, {"hook": "patient-view"}
    path = "/cds-services/a b"
    assert call._path(entry) == "/cds-services/a%20b"
    caller, sent, _ = _caller({path: (200, CARDS)})
    assert (caller.call(entry, request), sent) == (True, [(path, request)])
    assert not _caller({path: (500, {})})[0].call(entry, request)
    assert not _caller({path: (200, b"no JSON")})[0].call(entry, request)
    for status, said in ((200, True), (404, False)):
        answers = {path: (200, CARDS), f"{path}/feedback": (status, {})}
        caller, sent, out = _caller(answers, feedback=CardOutcome.overridden)
        assert caller.call(entry, request) is said
        assert sent[1][1]["feedback"][0]["card"] == "1"
        assert f"feedback (overridden) on 1 cards: HTTP {status}" in out.getvalue()
    caller, sent, _ = _caller({path: (200, {"cards": []})}, feedback=CardOutcome.accepted)
    assert (caller.call(entry, request), len(sent)) == (True, 1)
    assert not _caller({path: (500, CARDS)}, feedback=CardOutcome.accepted)[0].call(entry, request)


def test_a_saved_call_is_sent_again_and_compared(capsys: pytest.CaptureFixture[str]) -> None:
    saved = Fixture("a", datetime(2026, 1, 1, tzinfo=UTC), {"hook": "patient-view"}, 200, [("info", "s")])
    answers: dict[str, tuple[int, Any]] = {"/cds-services": (200, DISCOVERY), "/cds-services/a": (200, CARDS)}
    caller, _, out = _caller(answers)
    assert caller.replay(saved)
    assert "The answer has the cards that were saved." in out.getvalue()
    caller, _, out = _caller(answers | {"/cds-services/a": (200, {"cards": []})})
    assert not caller.replay(saved)
    assert "A card is gone: info, s" in out.getvalue()
    assert not _caller(answers | {"/cds-services/a": (200, b"x")})[0].replay(saved)
    capsys.readouterr()
    caller, sent, _ = _caller(answers, curl=True)
    assert caller.replay(saved)
    assert caller.call(DISCOVERY["services"][0], {"hook": "it's"})
    assert (len(sent), capsys.readouterr().out.splitlines()) == (
        1,
        [
            (
                "curl -sS -X POST -H 'Content-Type: application/json' http://x/cds-services/a -d "
                '\'{"hook":"patient-view"}\''
            ),
            (
                "curl -sS -X POST -H 'Content-Type: application/json' http://x/cds-services/a -d "
                '\'{"hook":"it\'"\'"\'s"}\''
            ),
        ],
    )
    caller, _, _ = _caller(answers, as_json=True)
    caller.call(DISCOVERY["services"][0], {})
    assert json.loads(capsys.readouterr().out) == {
        "service": "a",
        "hook": "patient-view",
        "status": 200,
        "answer": {"cards": [{"uuid": "1", "indicator": "info", "summary": "s"}]},
    }


def test_a_chart_is_moved_to_today_or_to_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call, "clock", lambda: datetime(2026, 11, 20, 9, tzinfo=UTC))
    out = io.StringIO()
    console = Console(file=out, width=200)
    chart = Chart([{"resourceType": "Observation", "effectiveDateTime": "2026-11-10T08:00:00Z"}])
    drafts = [{"authoredOn": "2026-11-10"}]
    assert call._moved(console, chart, drafts, False, None) == (chart, drafts)
    moved, orders = call._moved(console, chart, drafts, True, None)
    assert (moved.resources[0]["effectiveDateTime"], orders) == ("2026-11-20T08:00:00Z", [{"authoredOn": "2026-11-20"}])
    moved, _ = call._moved(console, chart, drafts, False, datetime(2026, 11, 18, 10))  # noqa: DTZ001 - as typed
    assert moved.resources[0]["effectiveDateTime"] == "2026-11-11T08:00:00Z"
    assert out.getvalue().splitlines() == [
        "All dates moved by +10 days, birth dates too: 2026-11-10 is now 2026-11-20.",
        "All dates moved by +1 days, birth dates too: 2026-11-18 is now 2026-11-19.",
    ]
    with pytest.raises(ChartError, match="nothing to move it by"):
        call._moved(console, Chart([]), [], True, None)


# Evidence of gates


def _subject(names: tuple[str, ...] = ("age",), margin: Any = 1.0, **more: Any) -> Any:
    def answers(rows: Any) -> Any:
        return SimpleNamespace(margin=None if margin is None else rows[:, 0] * margin, probability=rows[:, 0] / 100)

    features = [SimpleNamespace(name=name, unit="a") for name in names]
    manifest = SimpleNamespace(thresholds=SimpleNamespace(default=SimpleNamespace(margin=0.25)), twin=None)
    return SimpleNamespace(**({"features": features, "answers": answers, "manifest": manifest, "product": {}} | more))


def _cohort() -> Any:
    import pandas as pd

    rows = pd.DataFrame({"race": ["a", None, "b"], "visits": [1, 2, 3]})
    weight, y = np.array([1.0, 0.0, 0.5]), np.array([1, 0, 1])
    return SimpleNamespace(X=np.array([[50.0], [60.0], [70.0]]), y=y, weight=weight, rows=rows)


def test_two_versions_are_compared_on_who_was_followed() -> None:
    paired = evidence._paired(_subject(), _subject(margin=2.0), _cohort())
    assert paired is not None
    assert (paired.margin.tolist(), paired.active_margin.tolist(), paired.y.tolist(), paired.threshold) == (
        [50.0, 70.0],
        [100.0, 140.0],
        [1, 1],
        0.25,
    )
    for mine, theirs in (
        (_subject(), None),
        (_subject(manifest=None), _subject()),
        (_subject(("bun",)), _subject()),
        (_subject(margin=None), _subject()),
        (_subject(), _subject(margin=None)),
    ):
        assert evidence._paired(mine, theirs, _cohort()) is None


def _spec() -> Any:
    groups = {"race or ethnicity": lambda rows: rows["race"], "Ethnic group": lambda rows: rows["race"], "sex": None}
    return SimpleNamespace(
        subgroups=groups,
        outcome=SimpleNamespace(column="died"),
        needs={"of conditions": lambda rows: rows["visits"] * 2},
    )


def test_the_label_is_audited_on_every_axis_of_race() -> None:
    def audits(**declared: str) -> Any:
        product = {"label": {"audit": {"axis": "race", "need": "visits", "words": "visits"} | declared}}
        return list(evidence._audits(_subject(product=product), _spec(), _cohort()))

    assert [(audit.axis, audit.group.tolist(), audit.need.tolist(), audit.own_label) for audit in audits()] == [
        ("race or ethnicity", ["a", "not recorded", "b"], [1.0, 2.0, 3.0], False),
        ("Ethnic group", ["a", "not recorded", "b"], [1.0, 2.0, 3.0], False),
    ]
    (first, _) = audits(need="of conditions")
    assert (first.need.tolist(), first.weight.tolist(), first.score.tolist(), first.words) == (
        [2.0, 4.0, 6.0],
        [1.0, 0.0, 0.5],
        [0.5, 0.6, 0.7],
        "visits",
    )
    own = audits(need="died")[0]
    assert (own.need.tolist(), own.own_label) == ([1.0, 0.0, 1.0], True)
    assert audits(axis="income") == []
    assert list(evidence._audits(_subject(), _spec(), _cohort())) == []


def test_other_cards_are_those_of_neither_the_model_nor_its_twin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "ARTIFACTS", tmp_path / "package")

    def write(folder: str, manifest: Json, card: str = "{}") -> None:
        path = tmp_path / folder
        path.mkdir(parents=True)
        (path / CARD).write_text(card)
        (path / MANIFEST).write_text(json.dumps(manifest))

    write("package/falls", {}, '{"of": "falls"}')
    write("site/mine", {})
    write("site/mine@2", {})
    write("site/twin", {})
    write("site/small", {"twin": {"id": "mine"}})
    write("site/other@3", {"twin": {"id": "falls"}}, '{"of": "other"}')
    write("site/torn", {}, "{")
    twin = SimpleNamespace(twin=SimpleNamespace(id="twin"))
    subject = cast(Any, SimpleNamespace(id="mine", manifest=twin, folder=tmp_path / "site" / "mine"))
    assert evidence._other_cards(subject) == {"falls": {"of": "falls"}, "other": {"of": "other"}}


@pytest.mark.parametrize("state", ["validated", "draft"])
def test_the_version_in_use_is_the_newest_other_one_that_shows_cards(
    state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [SimpleNamespace(folder=Path(name), state=state) for name in ("mine", "new", "old")]
    monkeypatch.setattr(evidence, "versions", lambda *_: [SimpleNamespace(folder=Path("x"), state="draft"), *folders])
    monkeypatch.setattr(evidence, "read_subject", lambda folder, _: str(folder))
    subject = cast(Any, SimpleNamespace(id="m", folder=Path("mine")))
    in_use: Any = evidence._in_use(subject, cast(Any, None))
    assert in_use == ("new" if state == "validated" else None)


def test_the_version_and_licence_of_a_package() -> None:
    installed = evidence._installed("numpy")
    assert installed is not None
    assert "BSD" in installed[1]
    assert evidence._installed("a-package-that-is-not-there") is None


# Sockets


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the command ends with its sockets
def test_addresses_that_are_listened_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configured = SimpleNamespace(trust_file=None, operator_address=None, model_fields_set={"public_url"})
    monkeypatch.setattr(serve, "settings", lambda: configured)
    with serve._listen("127.0.0.1", 0) as first:
        assert first.getsockname()[1] > 0
        assert first.get_inheritable()
        first.listen()
        with pytest.raises(typer.Exit):
            serve._listen("127.0.0.1", first.getsockname()[1])
    with pytest.raises(typer.Exit) as refused:
        serve._listen("0.0.0.0", 0)  # noqa: S104 - what is refused
    assert refused.value.exit_code == 2
    with serve._listen("0.0.0.0", 0, any_host=True) as everywhere:  # noqa: S104 - as asked
        assert everywhere.family == socket.AF_INET
    configured.trust_file = tmp_path
    serve._listen("0.0.0.0", 0).close()  # noqa: S104 - behind a trust file
    assert serve._operator_sockets() == []
    configured.operator_address = (str(tmp_path / "operator"), None)
    for _ in range(2):  # the second takes the place of the first
        (unix,) = serve._operator_sockets()
        assert unix.family == socket.AF_UNIX
        assert (tmp_path / "operator").stat().st_mode & 0o777 == 0o600
        unix.close()
    configured.operator_address = ("127.0.0.1", 0)
    (tcp,) = serve._operator_sockets()
    assert (tcp.family, tcp.get_inheritable()) == (socket.AF_INET, True)
    tcp.close()
    configured.operator_address = (str(tmp_path / "no" / "folder"), None)
    with pytest.raises(typer.Exit):
        serve._operator_sockets()


def test_how_a_worker_is_configured() -> None:
    config = serve._config(3)
    assert (config.workers, config.factory, config.access_log, config.proxy_headers, config.server_header) == (
        3,
        True,
        False,
        False,
        False,
    )
    assert (config.timeout_graceful_shutdown, config.timeout_worker_healthcheck, config.ws) == (10, 30, "none")


def test_what_a_simulation_of_orders_says() -> None:
    finding = SimpleNamespace(band="lt30", indicator="critical", drug="metformin", summary="s")
    counted = SimulatedOrders(orders=1300, charts=7, not_recognised=3, with_card=6, not_covered=2)
    counted.indicators.update({"warning": 4, "critical": 2})
    counted.findings = {"b": [cast(Any, finding)] * 3, "a": []}
    assert check._sentence(counted) == (
        "1,300 orders of 7 patients: 6 with a card (0.5 per 100; 2 critical, 4 warning), 2 of "
        "them to say that no rule is about a high-alert drug; 3 orders were not recognised."
    )
    assert check._as_json(counted, 2) == {
        "orders": 1300,
        "patients": 7,
        "not_recognised": 3,
        "cards": 6,
        "not_covered": 2,
        "cards_per_100_orders": 0.462,
        "indicators": {"warning": 4, "critical": 2},
        "rules": {
            "a": {"times": 0, "per_100_orders": 0.0, "examples": []},
            "b": {
                "times": 3,
                "per_100_orders": 0.231,
                "examples": [
                    {"band": "lt30", "indicator": "critical", "drug": "metformin", "summary": "s"},
                    {"band": "lt30", "indicator": "critical", "drug": "metformin", "summary": "s"},
                ],
            },
        },
    }
    assert check._sentence(SimulatedOrders()) == (
        "0 orders of 0 patients: 0 with a card (0.0 per 100; none), 0 of them to say that no "
        "rule is about a high-alert drug; 0 orders were not recognised."
    )
