"""One visit, one list: the same three cards at most, in whatever order and however many at once an EHR calls."""

import asyncio
import dataclasses
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_hooks.decision_views.file import Views, make_tables
from cds_hooks.decision_views.follow import Batch, DecisionRow
from cds_hooks.hold_back.budgets import Turns, VisitCard, VisitRank, card_in_place
from cds_hooks.hold_back.memory import Memory, PatientMemories
from cds_hooks.hold_back.sent_cards import Caller
from cds_hooks.kit.samples import list_samples, load_patient
from cds_hooks.services import (
    anticoagulation_discussion,
    find_services,
    nephrology_referral,
    services_with,
    statin_discussion,
)
from cds_hooks.trusted_models import AbsentModel
from tests.cds_hooks.calls import client
from tests.cds_hooks.services import internist_charts
from tests.cds_hooks.services.chart_cases import AS_OF, as_call, drug, patient, problem, result, text_of
from tests.cds_hooks.storage.samples import a_decision
from tests.each import for_rows

Json = dict[str, Any]
SERVICES = tuple(service.id for service in find_services().values() if "patient-view" in service.hooks)
REFERRAL = [result("2160-0", 3.1, "mg/dL", when) for when in ("2026-11-02", "2026-04-02")]
FIBRILLATION = [problem("Atrial fibrillation", "I48.91"), problem("Hypertension", "I10")]
INFARCTION = problem("Old myocardial infarction", "I25.2")
CHARTS = {
    "kidneys, rhythm and vessels": [patient(70, "male"), *FIBRILLATION, INFARCTION, *REFERRAL],
    "dialysis": [patient(66, "female"), problem("Dependence on renal dialysis", "Z99.2"), *FIBRILLATION],
    "reminders alone": [patient(62, "male")],
}


async def _opened(folder: Path, chart: list[Json], orders: list[tuple[str, ...]], *, at_once: bool) -> list[Json]:
    """What each service answers at each opening, by service; each opening is of another patient."""
    async with client(folder, as_of=AS_OF) as calls:

        async def ask(service: str, number: int) -> Json:
            answer = await calls.post(f"/cds-services/{service}", json=as_call(service, "patient-view", number, chart))
            assert answer.status_code == 200, answer.text
            body: Json = answer.json()
            return body

        openings = []
        for number, order in enumerate(orders):
            if at_once:
                answers = await asyncio.gather(*(ask(service, number) for service in order))
            else:
                answers = [await ask(service, number) for service in order]
            openings.append(dict(zip(order, answers, strict=True)))
        return openings


def _shown(opening: Json) -> dict[str, list[str]]:
    return {service: [card["summary"] for card in opening[service]["cards"]] for service in sorted(opening)}


@pytest.mark.parametrize("name", CHARTS)
@pytest.mark.parametrize("at_once", [False, True])
def test_the_same_cards_are_shown_whatever_the_order_of_calls(tmp_path: Path, name: str, *, at_once: bool) -> None:
    orders = [SERVICES, SERVICES[::-1], *(tuple(Random(seed).sample(SERVICES, len(SERVICES))) for seed in (1, 2))]
    first, *others = asyncio.run(_opened(tmp_path, CHARTS[name], orders, at_once=at_once))
    assert 2 <= sum(map(len, _shown(first).values())) <= 3
    for other in others:
        assert _shown(other) == _shown(first)


def test_a_service_that_the_chart_has_nothing_for_leaves_the_place(tmp_path: Path) -> None:
    """A reminder alone is shown, though other services may be called."""
    (opening,) = asyncio.run(_opened(tmp_path, CHARTS["reminders alone"], [SERVICES], at_once=False))
    assert {service for service, cards in _shown(opening).items() if cards} == {"preventive-services", "vaccines-due"}


@pytest.mark.parametrize("absent", [(), (AbsentModel("m", OSError("gone"), ()),)])
def test_a_fault_of_another_service_costs_this_one_nothing(
    tmp_path: Path, monkeypatch: Any, capsys: Any, absent: tuple[AbsentModel, ...]
) -> None:
    """It is logged, and what that service would have said takes no place; one without its model is not asked."""

    async def fails(_call: Any) -> Any:
        raise RuntimeError("a fault that was planted")

    chart, orders = CHARTS["kidneys, rhythm and vessels"], [SERVICES[SERVICES.index("preventive-services") :][:1]]
    (before,) = asyncio.run(_opened(tmp_path, chart, orders, at_once=False))
    for module in (nephrology_referral, anticoagulation_discussion, statin_discussion):
        monkeypatch.setattr(module, "SERVICE", dataclasses.replace(module.SERVICE, decide=fails, models=absent))
    services_with.cache_clear()
    (opening,) = asyncio.run(_opened(tmp_path, chart, orders, at_once=False))
    services_with.cache_clear()
    logged = capsys.readouterr().err
    assert ("another service cannot be asked" in logged, "nephrology-referral" in logged) == (not absent, not absent)
    assert "planted" not in logged
    assert [len(each["preventive-services"]["cards"]) for each in (before, opening)] == [0, 1]


def test_the_follow_up_of_an_abnormal_result_is_always_shown(tmp_path: Path) -> None:
    positive = result("77354-9", 0, "1")
    del positive["valueQuantity"]
    positive["valueCodeableConcept"] = {"text": "Positive"}
    chart = [*CHARTS["kidneys, rhythm and vessels"], positive]
    for opening in asyncio.run(_opened(tmp_path, chart, [SERVICES, SERVICES[::-1]], at_once=False)):
        assert "Colonoscopy after a positive stool test" in text_of(opening["preventive-services"])


def test_an_opening_of_any_chart_has_at_most_three_cards_and_250_words(tmp_path: Path) -> None:
    charts = [chart.resources for charts in internist_charts.CHARTS.values() for chart in charts[::6]]
    samples = [load_patient(sample.id, AS_OF) for sample in list_samples()[::3]]
    charts += [[entry["resource"] for entry in sample["entry"]] for sample in samples]
    openings = asyncio.run(_opened_each(tmp_path, charts))
    assert len(openings) > 40
    for opening in openings:
        cards = [card for answer in opening.values() for card in answer["cards"]]
        words = sum(map(_number_of_words, cards))
        assert len(cards) <= 3, [card["summary"] for card in cards]
        assert words <= 250 or "critical" in {card["indicator"] for card in cards}, cards


DRAWN_FROM = [
    *FIBRILLATION,
    INFARCTION,
    *REFERRAL,
    problem("Type 2 diabetes", "E11.9"),
    problem("Heart failure", "I50.22"),
    problem("Pregnant state", "Z33.1", "2026-06-01"),
    problem("HIV disease", "B20"),
    problem("Dependence on renal dialysis", "Z99.2"),
    result("4548-4", 9.8, "%"),
    result("9318-7", 450, "mg/g"),
    result("13457-7", 205, "mg/dL"),
    result("6301-6", 6.8, "{INR}"),
    result("3016-3", 48, "m[IU]/L"),
    drug("warfarin 5 mg tablet"),
    drug("naproxen 500 mg tablet"),
    drug("metformin 1000 mg tablet"),
]


def test_any_drawn_chart_has_the_same_few_cards_in_any_order_of_calls(tmp_path: Path) -> None:
    draw = Random(51)
    for number in range(16):
        person = patient(draw.randint(20, 90), draw.choice(["female", "male", "unknown"]))
        chart = [person, *draw.sample(DRAWN_FROM, draw.randint(0, 8))]
        orders = [SERVICES, tuple(draw.sample(SERVICES, len(SERVICES)))]
        (folder := tmp_path / str(number)).mkdir()
        first, other = asyncio.run(_opened(folder, chart, orders, at_once=False))
        assert _shown(first) == _shown(other), chart
        cards = [card for answer in first.values() for card in answer["cards"]]
        is_critical = "critical" in {card["indicator"] for card in cards}
        assert is_critical or (len(cards) <= 3 and sum(map(_number_of_words, cards)) <= 250), cards


async def _opened_each(folder: Path, charts: list[list[Json]]) -> list[Json]:
    async with client(folder, as_of=AS_OF) as calls:
        return [
            {
                service: (
                    await calls.post(f"/cds-services/{service}", json=as_call(service, "patient-view", number, chart))
                ).json()
                for service in SERVICES
            }
            for number, chart in enumerate(charts)
        ]


def _number_of_words(card: Json) -> int:
    offers = [text for offer in card.get("suggestions", []) for text in (offer["label"], *_descriptions(offer))]
    links = (link["label"] for link in card.get("links", []))
    return len(" ".join([card["summary"], card.get("detail", ""), *offers, *links]).split())


def _descriptions(offer: Json) -> list[str]:
    return [action["description"] for action in offer["actions"]]


def test_a_test_that_two_services_ask_for_is_offered_by_the_first() -> None:
    one, other = (VisitCard(VisitRank.TESTS, service, "a test: creatinine", 50) for service in "ab")
    assert card_in_place(one, [other]) == 50
    assert card_in_place(other, [one]) == one


@for_rows(
    ("before", "words"),
    [(20, (120, 90)), (60, (120, 60)), (90, (80, 60)), (120, (120, None)), (171, (None, 60)), (260, (None, None))],
)
def test_a_shorter_form_leaves_place_for_the_next_card(before: int, words: tuple[int | None, int | None]) -> None:
    """What is over of the 250 words goes to the first of the two."""
    talk = VisitCard(VisitRank.TALK, "talk", "", before)
    vaccines = VisitCard(VisitRank.VACCINES, "vaccines", "", 120, 80)
    prevention = VisitCard(VisitRank.PREVENTION, "prevention", "", 90, 60)
    of_vaccines = card_in_place(vaccines, [prevention, talk])
    of_prevention = card_in_place(prevention, [vaccines, talk])
    assert tuple(place if isinstance(place, int) else None for place in (of_vaccines, of_prevention)) == words


VISIT_CARDS = st.builds(
    VisitCard,
    rank=st.sampled_from(VisitRank),
    service=st.sampled_from(SERVICES),
    words=st.integers(30, 250),
    least=st.sampled_from((0, 30)),
)


@given(st.lists(st.tuples(VISIT_CARDS, st.integers(0, 1), st.booleans()), max_size=12))
def test_cards_that_do_not_know_of_each_other_have_at_most_250_words_unless_a_warning_needs_more(
    taken: list[tuple[VisitCard, int, bool]],
) -> None:
    """A critical card is always whole, a warning or an abnormal result never left out; a service counts once."""
    clock = count(AS_OF.timestamp(), 5)  # the last of twelve cards a minute after the first, at most
    turns, caller = Turns(lambda: float(next(clock))), Caller("ehr", "1", "", "patient-view")
    words: dict[tuple[str, int], int] = {}
    for card, place, is_critical in taken:
        words = {at: count for at, count in words.items() if at[0] != card.service or at[1] < place}
        given_words = turns.take_words(caller, card, place, is_critical=is_critical)
        words[card.service, place] = given_words
        assert given_words in ({card.words} if is_critical else {card.words, card.least, 0})
        is_danger = card.rank is VisitRank.DANGER
        assert given_words or not is_danger
        assert is_critical or is_danger or not given_words or sum(words.values()) <= 250


@for_rows(("seconds", "left"), [(-0.5, 250), (0.0, 5), (60.0, 5), (60.5, 250)])
def test_the_words_of_an_opening_are_counted_for_a_minute(seconds: float, left: int) -> None:
    """Of the 50 that are left 45 are kept for an abnormal result or a warning that is not known yet."""
    now = [AS_OF.timestamp()]
    turns, caller = Turns(lambda: now[0]), Caller("ehr", "1", "", "patient-view")
    assert turns.take_words(caller, VisitCard(VisitRank.TALK, SERVICES[0], "", 200), 0) == 200
    now[0] += seconds
    for words in (left + 1, left):
        taken = turns.take_words(caller, VisitCard(VisitRank.TALK, SERVICES[1], "", words), 0)
        assert taken == (words if words <= left else 0)


def test_a_client_that_calls_one_service_loses_no_card_to_those_it_never_calls(tmp_path: Path) -> None:
    """Known after five patients; the first call of another service counts it from the next visit on."""
    alone: list[tuple[str, ...]] = [("preventive-services",)] * 7
    openings = asyncio.run(_opened(tmp_path, CHARTS["kidneys, rhythm and vessels"], alone, at_once=False))
    cards = [len(opening["preventive-services"]["cards"]) for opening in openings]
    assert cards == [0, 0, 0, 0, 0, 1, 1]


def test_only_a_call_at_the_opening_of_a_chart_counts_as_calling_a_service(tmp_path: Path) -> None:
    views = Views(tmp_path / "views.sqlite3")
    memory = Memory(lambda: AS_OF.timestamp())
    memory.read_from(views)
    with views.open() as connection:
        make_tables(connection, PatientMemories.tables)

    def does_not_call(*called: tuple[str, str, str]) -> bool:
        rows = [
            DecisionRow(1, a_decision(client="ehr", service=service, hook=hook, patient=patient))
            for service, hook, patient in called
        ]
        with views.open() as connection:
            PatientMemories(lambda: AS_OF.timestamp()).take(connection, Batch(decisions=rows))
        memory.refresh()
        return memory.does_not_call(Caller("ehr", "p9", "ours", "patient-view"), "theirs")

    assert not does_not_call(
        *(("ours", "patient-view", f"p{number}") for number in range(4)), ("ours", "patient-view", "")
    )
    assert does_not_call(("ours", "patient-view", "p5"), ("theirs", "order-sign", "p1"))
    assert not does_not_call(("theirs", "patient-view", "p1"))
