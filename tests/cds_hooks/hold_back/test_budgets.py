"""Beyond a budget only the most important cards are shown, critical ones always, and the rest has its reason."""

import asyncio
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cards.extension import EXTENSION_KEY
from cds_hooks.decision_views.follow import Batch, DecisionRow
from cds_hooks.hold_back.budgets import ShownCards
from cds_hooks.hold_back.checks import SUPPRESSED
from cds_hooks.hold_back.rules_file import RulesFileError, read_rules_file
from cds_hooks.storage.queries import DecisionFilter, find_decisions
from tests.cds_hooks.hold_back.restraint_calls import (
    CRITICAL,
    SIGN,
    WARNINGS,
    indicators,
    order_sign,
    reasons,
    rules_file,
    sign,
)
from tests.cds_hooks.prefetch.fetch_calls import app_client
from tests.cds_hooks.services.equation_calls import NOW
from tests.cds_hooks.storage.samples import a_decision
from tests.fhir.builders import encounter
from tests.live import record_in

_USERS = '[[budget]]\nof = "user"\ncards_per_day = 3\nnote = "agreed in the committee"\n'


async def test_beyond_the_budget_of_a_call_the_most_severe_cards_are_shown(tmp_path: Path) -> None:
    rules = rules_file(tmp_path, '[[budget]]\nof = "client"\ncards_per_call = 2\nnote = "few cards"\n')
    async with app_client(tmp_path, as_of=NOW, rules_file=rules) as calls:
        answered = await sign(calls, *WARNINGS, CRITICAL)
        assert indicators(answered) == ["warning", "critical"]
        ((subject, text),) = reasons(answered, "budget")
        assert subject == "img-iodine-kidney"
        assert text.startswith(
            "Beyond the budget of 2 cards a call for each client (few cards), so not shown: With eGFR 20"
        )


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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('of = "unit"\ncards_per_day = 1\nnote = "x"', "a budget of a unit says in names which unit"),
        ('of = "user"\nnames = ["Practitioner/1"]\ncards_per_day = 1\nnote = "x"', "leave out names"),
        ('of = "client"\nnote = "x"', "is not valid under any of the given schemas"),
        ('of = "client"\ncards_per_day = 1', "'note' is a required property"),
        ('of = "patient"\ncards_per_day = 1\nnote = "x"', "'patient' is not one of"),
        ('of = "client"\ncards_per_day = -1\nnote = "x"', "-1 is less than the minimum"),
    ],
)
def test_a_wrong_budget_is_refused_in_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(RulesFileError, match=said):
        read_rules_file(rules_file(tmp_path, f"[[budget]]\n{text}\n"))


def test_the_cards_of_today_and_yesterday_are_counted_without_critical_ones() -> None:
    today, day = 20_000, 86_400
    cards: list[dict[str, Any]] = [
        {"uuid": name, "indicator": name, "extension": {EXTENSION_KEY: {}}} for name in ("info", "critical")
    ]

    def shown(number: int) -> DecisionRow:
        as_of = datetime.fromtimestamp(number * day, UTC).isoformat()
        response, basis = json.dumps({"cards": cards}).encode(), json.dumps({"as_of": as_of}).encode()
        decision = a_decision(outcome="cards", response=response, basis=basis, decided_at=number * day * 10**6)
        return DecisionRow(1, decision)

    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(ShownCards.tables)
        rows = [shown(number) for number in (today - 2, today - 1, today)]
        ShownCards(lambda: today * day + 3600.0).take(connection, Batch(decisions=rows))
        for now, expected in ((today, [(today - 1, 1), (today, 1)]), (today + 1, [(today, 1)])):
            ShownCards(lambda now=now: float(now * day)).forget(connection, 0)  # type: ignore[misc]
            assert connection.execute("SELECT day, cards FROM shown_cards ORDER BY day").fetchall() == expected
