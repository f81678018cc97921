"""Beyond a budget only the most important cards are shown, critical ones always, and the rest has its reason."""

import asyncio
import copy
import json
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from cards.rules.engine.governance import Budget
from cds_hooks.call.hold_back.budgets import Budgets
from cds_hooks.call.hold_back.reasons import SUPPRESSED
from cds_hooks.call.hold_back.site_file import RulesFileError, read_rules_file
from cds_hooks.evidence.storage.queries import DecisionFilter, find_decisions
from tests.cds_hooks.call.hold_back.restraint_calls import (
    CRITICAL,
    SIGN,
    WARNINGS,
    indicators,
    order_sign,
    reasons,
    rules_file,
    sign,
)
from tests.cds_hooks.call.prefetch.fetch_calls import app_client
from tests.cds_hooks.call.services.equation_calls import NOW, ago, condition, without
from tests.cds_hooks.call.services.test_equation_services import visit
from tests.cds_hooks.calls import counted, ours, request_for
from tests.each import each_row
from tests.fhir.builders import encounter, observation
from tests.live import record_in

_USERS = '[[budget]]\nof = "user"\ncards_per_day = 3\nnote = "agreed in the committee"\n'


async def test_beyond_the_budget_of_a_call_the_most_severe_cards_are_shown(tmp_path: Path) -> None:
    rules = rules_file(tmp_path, '[[budget]]\nof = "client"\ncards_per_call = 1\nnote = "few cards"\n')
    async with app_client(tmp_path, as_of=NOW, rules_file=rules) as calls:
        answered = await sign(calls, *WARNINGS, CRITICAL)
        assert indicators(answered) == ["warning", "critical"]
        ((subject, text),) = reasons(answered, "budget")
        assert subject == "img-iodine-kidney"
        assert text.startswith("Beyond the budget of 1 card a call for each client (few cards), so not shown: eGFR 20")


async def test_the_budget_of_a_user_holds_for_a_day_and_never_withholds_a_critical_card(tmp_path: Path) -> None:
    rules = rules_file(tmp_path, _USERS)
    async with app_client(tmp_path, as_of=NOW, rules_file=rules) as calls:
        assert indicators(await sign(calls, *WARNINGS)) == ["warning"] * 2
        assert indicators(await sign(calls, *WARNINGS, CRITICAL)) == ["warning", "critical"]
        assert indicators(await sign(calls, *WARNINGS, CRITICAL)) == ["critical"]
        assert indicators(await sign(calls, *WARNINGS, user="Practitioner/2")) == ["warning"] * 2
    # A server that starts again on the same day knows the count from the record.
    async with app_client(tmp_path, as_of=NOW, rules_file=rules) as calls:
        spent = await sign(calls, *WARNINGS, CRITICAL)
        assert indicators(spent) == ["critical"]
        assert len(reasons(spent, "budget")) == 2
    async with app_client(tmp_path, as_of=NOW + timedelta(days=1), rules_file=rules) as calls:
        assert indicators(await sign(calls, *WARNINGS)) == ["warning"] * 2


async def test_what_a_budget_withheld_is_on_record_and_listed_as_silent(tmp_path: Path) -> None:
    rules = rules_file(tmp_path, '[[budget]]\nof = "client"\ncards_per_day = 0\nnote = "a trial"\n')

    def silent() -> list[Any]:
        return list(find_decisions(record_in(tmp_path), DecisionFilter(held_back=SUPPRESSED)))

    async with app_client(tmp_path, as_of=NOW, rules_file=rules) as calls:
        assert indicators(await sign(calls, *WARNINGS)) == []
        counted = (await calls.get("/metrics")).text
        assert 'cds_silences_total{reason="budget",service="order-safety"} 2.0' in counted
        page = await calls.get(f"/explain/{silent()[0].id}")
        assert "Found and not shown" in page.text
        assert "Beyond the budget of 0 cards a day for each client (a trial)" in page.text
    assert len(silent()) == 1


def test_a_care_unit_has_a_budget_under_all_of_its_names(tmp_path: Path) -> None:
    text = '[[budget]]\nof = "unit"\nnames = ["Ward 3", "ward-3"]\ncards_per_day = 1\nnote = "ward round"\n'
    rules = rules_file(tmp_path, text)

    def in_unit(location: dict[str, Any]) -> dict[str, Any]:
        request = order_sign(*WARNINGS)
        visit = encounter("IMP", patient=request["context"]["patientId"], id="v1", location=[{"location": location}])
        bundle = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": visit}]}
        return request | {"prefetch": request["prefetch"] | {"encounters": bundle}}

    async def story() -> None:
        for location, cards in (({"display": "Ward 3"}, 1), ({"reference": "Location/ward-3"}, 0), ({}, 2)):
            async with app_client(tmp_path, as_of=NOW, rules_file=rules) as calls:
                answered = await calls.post(f"/cds-services/{SIGN}", json=in_unit(location))
                assert len(indicators(answered)) == cards, location

    asyncio.run(story())


@pytest.mark.parametrize("calls_at_once", [1, 4])
@pytest.mark.slow
async def test_workers_together_never_show_more_than_the_budget(tmp_path: Path, calls_at_once: int) -> None:
    rules = rules_file(tmp_path, _USERS)
    (tmp_path / "metrics").mkdir()
    shared: dict[str, Any] = {"as_of": NOW, "rules_file": rules, "metrics_dir": tmp_path / "metrics"}
    async with app_client(tmp_path, **shared) as one, app_client(tmp_path, **shared) as other:
        shown = 0
        for _ in range(4):
            some = [sign(worker, *WARNINGS, CRITICAL) for worker in (one, other) * calls_at_once]
            for answered in await asyncio.gather(*some):
                assert indicators(answered)[-1] == "critical"
                shown += indicators(answered).count("warning")
        assert shown == 3


async def test_of_two_budgets_for_one_client_the_smaller_one_holds_after_a_restart(tmp_path: Path) -> None:
    of_all = Budget("client", "all", cards_per_day=6)
    budgets = [of_all, Budget("client", "few", cards_per_day=3, names=frozenset({"ward"}))]
    shown = 0
    for _ in range(2):
        server = Budgets(f"sqlite:///{tmp_path}/record.db", NOW.timestamp)
        for _ in range(5):
            shown += await server.exhausted(budgets, "ward", str, tuple, 0) is None
        await server.aclose()
    assert shown == 3


async def test_a_place_is_not_lost_where_another_budget_of_the_card_is_full(tmp_path: Path) -> None:
    budgets = [Budget("client", "ward", cards_per_day=2), Budget("user", "each", cards_per_day=1)]
    shown = []
    for users in ("a", "aab"):  # the second server does not know at first what the first one has shown
        server = Budgets(f"sqlite:///{tmp_path}/record.db", NOW.timestamp)
        shown += [await server.exhausted(budgets, "ward", user.__str__, tuple, 0) is None for user in users]
        await server.aclose()
    assert shown == [True, False, False, True]


@each_row(("text", "said"))
def test_a_wrong_budget_is_refused_in_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(RulesFileError, match=said):
        read_rules_file(rules_file(tmp_path, f"[[budget]]\n{text}\n"))


SAMPLE = "ckd-uacr"
SERVICES = ("nephrology-referral", "liver-assessment")


def budget_call(service: str) -> dict[str, Any]:
    """A visit of somebody with kidney disease and obesity, whose urine albumin and platelets are not known."""
    request = copy.deepcopy(request_for(service, "patient-view", SAMPLE, NOW))
    visit(SAMPLE)(request)
    without("9318-7", "777-3")(request)
    bundle = request["prefetch"].setdefault("conditions", {"resourceType": "Bundle", "type": "searchset", "entry": []})
    bundle.setdefault("entry", []).append({"resource": condition(SAMPLE, "E66.9")})
    if service == "liver-assessment":
        request["prefetch"]["labs"].setdefault("entry", []).extend(
            {"resource": _enzyme(code)} for code in ("1920-8", "1742-6")
        )
    for entry in request["prefetch"]["encounters"]["entry"]:
        entry["resource"].pop("period", None)  # a visit that goes on, whenever the chart is opened
    return counted(request)


def _enzyme(code: str) -> dict[str, Any]:
    return observation(code, 90, "U/L", ago(20), patient=SAMPLE, id=f"enzyme-{code}")


async def _ask(calls: httpx.AsyncClient, service: str) -> httpx.Response:
    answered = await calls.post(f"/cds-services/{service}", json=budget_call(service))
    assert answered.status_code == 200, answered.text
    return answered


def _asked(answers: Iterable[httpx.Response]) -> list[int]:
    return [len(answer.json()["cards"]) for answer in answers]


async def test_each_service_offers_its_test_once_in_90_days(tmp_path: Path) -> None:
    for days, expected in ((0, [1, 1]), (0.5, [1, 1]), (2, [0, 0]), (89, [0, 0]), (91, [1, 1])):
        async with app_client(tmp_path, as_of=NOW + timedelta(days=days)) as calls:
            answers = [await _ask(calls, service) for service in SERVICES]
            assert _asked(answers) == expected, days
    async with app_client(tmp_path, as_of=NOW + timedelta(days=100)) as calls:
        kept = ours(await _ask(calls, "liver-assessment"))
        assert kept["worklist"] == [
            {"test": "Complete blood count", "code": "58410-2", "purpose": "fib4", "because": "offered-before"}
        ]
        (silence,) = kept["silence"]
        assert silence["text"].endswith(f"it was offered on {(NOW + timedelta(days=91)).date()} (once in 90 days).")


def _visit_with_everything_due(service: str) -> dict[str, Any]:
    """A visit of somebody of 62 with kidney disease who has no vaccination, no screening and no urine albumin."""
    request = copy.deepcopy(request_for(service, "patient-view", SAMPLE, NOW))
    visit(SAMPLE)(request)
    without("9318-7", "777-3")(request)
    return counted(request)


async def _remind(calls: httpx.AsyncClient, service: str) -> httpx.Response:
    answered = await calls.post(f"/cds-services/{service}", json=_visit_with_everything_due(service))
    assert answered.status_code == 200, answered.text
    return answered


async def test_advice_on_a_danger_is_shown_beside_a_reminder(tmp_path: Path) -> None:
    async with app_client(tmp_path, as_of=NOW) as calls:
        assert _asked([await _remind(calls, "vaccines-due")]) == [1]
        request = request_for("nephrology-referral", "patient-view", "ckd4-metformin", NOW)
        request = counted(json.loads(json.dumps(request).replace("ckd4-metformin", SAMPLE)))
        answered = await calls.post("/cds-services/nephrology-referral", json=request)
        assert _asked([answered]) == [1]
