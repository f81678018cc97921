"""One opening of a chart: one call, every advisor, the three most important things."""

from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cards.card import Card, Indicator, Source
from cards.extension import EXTENSION_KEY, CardExtension, Fact
from cards.preventive.abnormal_rows import ABNORMAL_RESULTS
from cards.preventive.knowledge import PREVENTIVE
from cds_hooks.call.hold_back.visit import MOST_WORDS, CardNotes, VisitRank, by_harm, choose_for_visit, words_to_read
from cds_hooks.call.services import find_advisors, find_services, services_of
from cds_hooks.samples import list_samples
from models_onnx.errors import DeclarationError
from tests.cds_hooks.call.services.chart_cases import (
    AS_OF,
    answers,
    operation,
    patient,
    problem,
    request,
    result,
    stay,
    visit,
)
from tests.cds_hooks.calls import client, ours, request_for
from tests.each import each_row, some_of
from tests.live import record_in
from tests.recorded import list_decisions

OPENING = "chart-opening"
_LABELS = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
HOOK = "patient-view"
_LABS = ("labs", "namedResults")


async def test_discovery_lists_one_service_for_each_moment(tmp_path: Path) -> None:
    async with client(tmp_path, services=None) as calls:
        listed = (await calls.get("/cds-services")).json()["services"]
    by_hook: dict[str, list[str]] = {}
    for entry in listed:
        if not entry["id"].startswith("coverage"):
            by_hook.setdefault(entry["hook"], []).append(entry["id"])
    assert by_hook == {
        "patient-view": [OPENING],
        "order-select": ["order-safety-select"],
        "order-sign": ["order-safety-sign"],
        "order-dispatch": ["order-safety-dispatch"],
        "encounter-discharge": ["discharge"],
    }


@pytest.mark.sampled
async def test_an_opening_shows_the_most_important_of_what_its_advisors_show_one_by_one(tmp_path: Path) -> None:
    alone = [service.id for service in find_services(file="separate").values() if HOOK in service.hooks]
    samples = some_of(list_samples(), 3)
    async with client(tmp_path, services="separate", as_of=AS_OF) as calls:
        single: dict[str, list[str]] = {}
        for sample in samples:
            for name in alone:
                answer = await calls.post(f"/cds-services/{name}", json=request_for(name, HOOK, sample.id, AS_OF, None))
                single.setdefault(sample.id, []).extend(card["summary"] for card in answer.json().get("cards", ()))
    (tmp_path / "opening").mkdir()
    async with client(tmp_path / "opening", services=None, as_of=AS_OF) as calls:
        for sample in samples:
            answer = await calls.post(
                f"/cds-services/{OPENING}", json=request_for(OPENING, HOOK, sample.id, AS_OF, None)
            )
            shown = [card["summary"] for card in answer.json()["cards"]]
            assert len(shown) <= 3
            assert set(shown) <= set(single[sample.id]), sample.id
            assert bool(shown) == bool(single[sample.id]), sample.id


async def test_what_one_advisor_lacks_is_its_silence_and_costs_no_other_a_card(tmp_path: Path) -> None:
    whole = request_for(OPENING, HOOK, "af-edoxaban-crcl-high", AS_OF, None)
    without = {**whole, "prefetch": {key: value for key, value in whole["prefetch"].items() if key not in _LABS}}
    async with client(tmp_path, services=None, as_of=AS_OF) as calls:
        answer = await calls.post(f"/cds-services/{OPENING}", json=without)
    assert answer.status_code == 200
    said = {(silence["subject"], silence["reason"]) for silence in ours(answer)["silence"]}
    assert ("planning-conversation", "required-data-missing") in said
    assert answer.json()["cards"]


async def test_without_the_patient_an_opening_is_not_answered(tmp_path: Path) -> None:
    whole = request_for(OPENING, HOOK, "planning-talk", AS_OF, None)
    del whole["prefetch"]["patient"]
    async with client(tmp_path, services=None, as_of=AS_OF) as calls:
        assert (await calls.post(f"/cds-services/{OPENING}", json=whole)).status_code == 412


@each_row(("sample", "explained"))
async def test_the_page_of_an_opening_explains_the_estimate_of_its_card(
    tmp_path: Path, sample: str, explained: str
) -> None:
    request = request_for(OPENING, HOOK, sample, AS_OF, None)
    async with client(tmp_path, services=None, as_of=AS_OF) as calls:
        answer = await calls.post(f"/cds-services/{OPENING}", json=request)
        page = await calls.get(f"/explain/{ours(answer)['decision']}", headers={"accept": "text/html"})
    assert page.status_code == 200
    assert explained in page.text
    assert "The model file has changed" not in page.text
    assert "Estimate</h2>" in page.text


async def test_the_record_of_an_opening_has_every_medication_that_was_reviewed(tmp_path: Path) -> None:
    request = request_for(OPENING, HOOK, "planning-talk", AS_OF, None)
    async with client(tmp_path, services=None, as_of=AS_OF) as calls:
        await calls.post(f"/cds-services/{OPENING}", json=request)
    (decision,) = list_decisions(record_in(tmp_path))
    judged = msgspec.json.decode(decision.basis)["orders"]["judged"]
    taken = [entry for key in request["prefetch"].values() for entry in (key or {}).get("entry", ())]
    drugs = [entry for entry in taken if entry["resource"]["resourceType"] == "MedicationRequest"]
    assert len(judged) == len(set(judged)) >= len(drugs) > 0


@each_row(("text", "fault"))
def test_a_services_file_with_a_mistake_is_refused_in_a_sentence(tmp_path: Path, text: str, fault: str) -> None:
    file = tmp_path / "services.toml"
    file.write_text(text)
    with pytest.raises(DeclarationError, match=fault):
        services_of(find_advisors(), file)


def test_a_site_may_mix_an_opening_with_single_services(tmp_path: Path) -> None:
    file = tmp_path / "services.toml"
    file.write_text('[[service]]\nid = "kidneys"\nadvisors = ["nephrology-referral", "medication-review"]\n')
    services = services_of(find_advisors(), file)
    assert {advisor.id for advisor in services["kidneys"].advisors} == {"nephrology-referral", "medication-review"}
    assert "nephrology-referral" not in services
    assert "vaccines-due" in services


_IMAGING = {"bone_density", "breast_imaging", "ct_colonography", "lung_ct", "mammography"}
"""Asked for by their category."""


def test_every_laboratory_result_that_is_followed_up_is_asked_for() -> None:
    (entry,) = find_services()[OPENING].discovery()
    asked = " ".join(entry["prefetch"].values())
    tests = {test for row in ABNORMAL_RESULTS.rows for test in (*row.tests, *row.settled_by_tests)} - _IMAGING
    codes = {code for test in tests for code in PREVENTIVE.tests[test].loinc}
    assert {code for code in codes if code not in asked} == set()


def card(uuid: str, indicator: Indicator = "info", words: int = 40, newest: str = "") -> Card:
    facts = (Fact("a fact", effective=newest),)
    extension = {EXTENSION_KEY: CardExtension(facts=facts)}
    summary = "word " * words
    return Card(uuid=uuid, summary=summary, indicator=indicator, source=Source(label="x"), extension=extension)


DAYS = st.sampled_from(["", "2026-01-01", "2026-11-02"])
CARDS = st.lists(
    st.builds(card, st.uuids().map(str), st.sampled_from(("info", "info", "critical")), st.integers(1, 300), DAYS),
    max_size=9,
    unique_by=lambda card: card.uuid,
)


@given(CARDS, st.lists(st.tuples(st.sampled_from(VisitRank), st.integers(0, 60)), min_size=9, max_size=9))
def test_critical_cards_are_always_shown_and_others_within_three_and_the_words(
    cards: list[Card], ranks: list[tuple[VisitRank, int]]
) -> None:
    notes = {
        waiting.uuid: CardNotes(
            rank=rank, shorten=partial(card, waiting.uuid, waiting.indicator, least) if least else None
        )
        for waiting, (rank, least) in zip(cards, ranks, strict=False)
    }

    def notes_of(card: Card) -> CardNotes:
        return notes[card.uuid]

    shown = choose_for_visit(by_harm(cards, notes_of), notes_of)
    critical = {card.uuid for card in cards if card.indicator == "critical"}
    assert critical <= set(shown)
    others = [form for uuid, form in shown.items() if uuid not in critical]
    assert len(others) <= max(0, 3 - len(critical))
    harmless = [words_to_read(form) for form in others if notes[form.uuid].rank is not VisitRank.DANGER]
    assert sum(harmless) <= MOST_WORDS


FIBRILLATION = [problem("Atrial fibrillation", "I48.91"), problem("Heart failure", "I50.9")]
KIDNEYS = [problem("Chronic kidney disease stage 4", "N18.4"), result("33914-3", 18, "mL/min/{1.73_m2}")]
POSITIVE_FIT = {**result("57905-2", 0, "{ratio}", "2026-10-01"), "valueQuantity": None, "valueString": "Positive"}
LIVER_WITHOUT_COUNT = [
    *(problem("Type 2 diabetes", "E11.9"), problem("Fatty liver", "K76.0")),
    *(result(code, 60, "U/L") for code in ("1920-8", "1742-6")),
]


REMINDERS = {"preventive-services", "vaccines-due"}


@pytest.mark.parametrize(
    ("chart", "shown", "waiting"),
    [
        (
            [*LIVER_WITHOUT_COUNT, *FIBRILLATION, *KIDNEYS, POSITIVE_FIT],
            ["Abnormal result", "Kidney disease", "Atrial fibrillation"],
            REMINDERS,
        ),
        ([*LIVER_WITHOUT_COUNT, *FIBRILLATION], ["Atrial fibrillation", "Diabetes", "FIB-4"], REMINDERS),
        (LIVER_WITHOUT_COUNT, ["Diabetes", "FIB-4", "6 vaccines"], {"preventive-services"}),
        ([], ["3 vaccines", "3 preventive services"], set()),
    ],
)
def test_the_cards_stand_in_the_order_of_the_harm_if_one_is_missed_and_what_waits_is_on_the_worklist(
    tmp_path: Path, chart: list[dict[str, Any]], shown: list[str], waiting: set[str]
) -> None:
    (answer,) = answers(tmp_path, OPENING, [[patient(64, "male"), *chart]], services=None)
    assert [card["summary"][: len(start)] for card, start in zip(answer["cards"], shown, strict=True)] == shown
    worklist = answer["extension"]["org.cds-hooks-onnx"].get("worklist", [])
    assert waiting <= {entry["purpose"] for entry in worklist if entry["because"] == "offered-before"}


def nephrology(start: str, status: str = "finished") -> dict[str, Any]:
    return visit(id=f"visit-{start}", status=status, type=[{"text": "Nephrology clinic"}], period={"start": start})


def egfrs(*values: float) -> list[dict[str, Any]]:
    """Kidney disease with results of May, September and 2 November, or the last of these."""
    days = ("2026-05-02", "2026-09-02", "2026-11-02")[-len(values) :]
    return [
        KIDNEYS[0],
        *(result("33914-3", value, "mL/min/{1.73_m2}", day) for value, day in zip(values, days, strict=True)),
    ]


RISE = [result("2160-0", 1.0, "mg/dL", "2026-09-20"), result("2160-0", 3.9, "mg/dL", "2026-11-19")]
RISEN = [*RISE, result("2160-0", 4.1, "mg/dL", "2026-11-21")]
DEAD = {**patient(64, "male"), "deceasedBoolean": True}
OPTED_OUT = {**patient(64, "male"), "meta": {"security": [{"system": _LABELS, "code": "OPTOUT"}]}}
DECLINED = "Nephrology referral declined by patient"


@pytest.mark.parametrize(
    ("shown", "charts"),
    [
        ("Creatinine 3.9 mg/dL (2026-11-19), 1 before: possible acute", [
            RISE, [*RISE, nephrology("2026-11-10")], [*RISE, nephrology("2026-11-19")],
            [*RISE, nephrology("2026-11-20", "cancelled")], [*RISE, nephrology("2026-12-01", "planned")],
            [*RISE, nephrology("2026-11-22", "in-progress")], [*RISE, request("Referral to nephrology", "2026-10-01")],
            [*RISE, problem("Pregnant", "Z33.1", "2026-08-01")], [*RISE, problem("Kidney transplant status", "Z94.0")],
            [*RISE, problem(DECLINED, "", "2026-11-20")], [*RISE, OPTED_OUT],
        ]),
        ("Creatinine 4.1 mg/dL (2026-11-21), 1 before: possible acute", [RISEN, [*RISEN, nephrology("2026-11-19")]]),
        ("eGFR 12 mL/min/1.73 m² (2026-11-02): kidney failure (KDIGO G5), refer", [
            egfrs(20, 12), [*egfrs(20, 12), OPTED_OUT], [*egfrs(20, 12), problem(DECLINED, "", "2026-10-01")],
        ]),
        ("eGFR 12 mL/min/1.73 m² (2026-11-02): kidney failure (KDIGO G5), tell nephrology", [
            [*egfrs(20, 12), nephrology("2026-10-01")], [*egfrs(12, 16, 12), nephrology("2026-09-20")],
            [*egfrs(20, 12), nephrology("2026-11-02")], [*egfrs(20, 12), nephrology("2026-12-01", "planned")],
        ]),
        ("eGFR 12 mL/min/1.73 m² (2026-11-02): repeat it soon", [
            [result("33914-3", 12, "mL/min/{1.73_m2}")],
            [*egfrs(20, 12), problem("Acute kidney injury", "N17.9", "2026-11-02")],
        ]),
        ("", [
            *([*RISE, nephrology("2026-11-20")], [*RISE, request("Referral to nephrology", "2026-11-20")]),
            *([*RISEN, nephrology("2026-11-20")], [*RISE, operation("Hemodialysis session", "2026-11-01")]),
            *([*RISE, problem("Dependence on renal dialysis", "Z99.2")], [*RISE, stay("2026-11-18T09:00:00Z")]),
            *([*RISE, problem("Comfort care only", "Z51.5")], [*RISE, DEAD]),
            *([*egfrs(20, 12), nephrology("2026-11-10")], [*egfrs(14, 13, 12), nephrology("2026-09-20")]),
            *([*egfrs(20, 12), problem(DECLINED, "", "2026-11-10")], [*egfrs(20, 12), problem("ESRD", "N18.6")]),
            *([*egfrs(20, 12), problem("Kidney transplant", "Z94.0")], [*egfrs(20, 18), nephrology("2026-10-01")]),
        ]),
    ],
)  # fmt: skip
def test_kidneys_that_fail_are_told_unless_nephrology_came_after_the_finding(
    tmp_path: Path, shown: str, charts: list[list[dict[str, Any]]]
) -> None:
    somebody = patient(64, "male")
    whole = [chart if any("birthDate" in part for part in chart) else [somebody, *chart] for chart in charts]
    given = answers(tmp_path, OPENING, whole, services=None)
    summaries = [[card["summary"] for card in answer["cards"]] for answer in given]
    kidneys = [[text for text in texts if text.startswith(("Creatinine", "Kidney"))] for texts in summaries]
    if not shown:
        assert kidneys == [[]] * len(charts)
    assert [number for number, texts in enumerate(kidneys) if shown and shown not in "".join(texts)] == []
    assert [number for number, texts in enumerate(summaries) if shown and shown not in texts[0]] == []


def test_the_order_in_which_advisors_are_asked_decides_nothing() -> None:
    long, brief = card("a missed result", words=200), card("a missed result", words=90)
    vaccines = card("vaccines")
    fibrillation, kidneys = card("fibrillation", newest="2026-11-02"), card("kidneys", newest="2026-10-01")
    notes = {
        long.uuid: CardNotes(rank=VisitRank.DANGER, shorten=lambda: brief),
        fibrillation.uuid: CardNotes(rank=VisitRank.UNTREATED),
        kidneys.uuid: CardNotes(rank=VisitRank.UNTREATED),
        vaccines.uuid: CardNotes(rank=VisitRank.VACCINES),
    }
    for order in permutations((long, vaccines, fibrillation, kidneys)):
        shown = choose_for_visit(by_harm(order, lambda card: notes[card.uuid]), lambda card: notes[card.uuid])
        assert list(shown.values()) == [brief, fibrillation, kidneys]
