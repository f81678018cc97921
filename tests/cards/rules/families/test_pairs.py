"""The table of pairs: it names drugs that are known, and the rule is asked about each of them from both sides."""

import csv
from datetime import datetime
from importlib.resources import files
from typing import Any

import pytest

from cards.rules.engine.rule_book import rule_book
from cards.rules.families.pairs.family import FAMILY, PAIRS, Pair, pair_of
from cards.rules.language.rule import Evidence
from cards.rules.language.table import read_family
from cards.rules.patient.session import PatientSession
from fhir.terminology.medications import CLASS_MEMBERS, INGREDIENTS
from tests.cards.rules.contexts import context_of
from tests.cards.rules.patients import draft_of, drafts_of, record_of
from tests.each import for_rows


def _keys() -> frozenset[str]:
    return frozenset().union(*PAIRS)


def test_each_key_is_an_ingredient_or_a_class_and_in_the_trigger_of_the_rule() -> None:
    (rule,) = read_family("pairs").raw["rules"]
    for (side,) in rule["trigger"]["pair"]:
        assert {one["rxcui"] for one in side["ingredients"]} | set(side["classes"]) == _keys()
    assert all(key in INGREDIENTS or key in CLASS_MEMBERS for key in _keys())


def test_a_row_names_two_drugs_a_source_and_what_to_do() -> None:
    for keys, rows in PAIRS.items():
        assert len(keys) == 2
        for row in rows:
            assert row.mechanism
            assert row.advice
            assert row.evidence.label
            assert row.severity == "info" or "not read" not in row.evidence.label


def test_without_a_pair_nothing_is_to_be_changed() -> None:
    assert FAMILY.asks_change is not None
    assert FAMILY.asks_change(context_of({"drug": "ticagrelor 90 mg tablet"})) is False
    # Taken at other hours the two can stay.
    alendronate, calcium = {"drug": "alendronate 70 mg tablet"}, {"drug": "calcium carbonate 500 mg tablet"}
    assert FAMILY.asks_change(context_of(alendronate, calcium)) is True
    assert FAMILY.asks_change(context_of(alendronate, {"drug": "warfarin 5 mg tablet"})) is False


def test_a_source_has_one_row() -> None:
    for family in ("pairs", "dose"):
        text = files(f"cards.rules.families.{family}").joinpath("sources.csv").read_text("utf-8")
        ids = [row["id"] for row in csv.DictReader(text.splitlines())]
        assert len(set(ids)) == len(ids) > 50


@pytest.mark.parametrize(
    ("aspirin", "is_said"), [("325 mg daily", True), ("81 mg daily", False), ("325 mg once", False)]
)
def test_ticagrelor_is_asked_about_beside_more_than_100_mg_of_aspirin_a_day(
    aspirin: str, is_said: bool, as_of: datetime
) -> None:
    drafts = [
        draft_of({"drug": "ticagrelor 90 mg tablet", "dose": "1 tablet", "times": 2}, "a"),
        draft_of({"drug": "aspirin 325 mg tablet", "more": {"dosageInstruction": [{"text": aspirin}]}}, "b"),
    ]
    session = PatientSession(record_of({"age": 50}, as_of), drafts_of(*drafts), signing=True)
    for drafted in session.drafted:
        rules = {rule for rule, _ in rule_book().evaluate(session, drafted).finding_keys}
        assert ("pair-label" in rules) is is_said


def test_each_pair_of_ingredients_speaks_in_both_directions(as_of: datetime) -> None:
    record, book = record_of({"age": 50}, as_of), rule_book()
    wrong = []
    for keys, rows in PAIRS.items():
        named = [INGREDIENTS[key].name for key in sorted(keys) if key in INGREDIENTS]
        if len(named) < 2 or any(row.unless for row in rows):
            continue
        drafts = [draft_of({"drug": f"{name} tablet", "dose": "1 tablet", "times": 1}, name) for name in named]
        session = PatientSession(record, drafts_of(*drafts), signing=True)
        found = [{rule for rule, _ in book.evaluate(session, one).finding_keys} for one in session.drafted]
        wrong += [named] if len(found) != 2 or not all("pair-label" in rules for rules in found) else []
    assert wrong == []


@pytest.mark.parametrize(
    ("keys", "section", "url"),
    [
        # Rows with a section and an address of their own, with those of their document, and of one without an address.
        (("343047", "17300"), "4", "https://dailymed.nlm.nih.gov/dailymed/drugInfo.cfm?setid=165cff62-b284-4a27-a65d-9"
         "ec8a5bfcdd8"),
        (("614391", "327361"), "7.1 Use with anakinra or abatacept; 7.2 Use with tocilizumab",
         "http://www.120ty.net/bencandy.php?aid=58966&fid=134&page=22"),
        (("1819", "opioid"), "introduction", None),
    ],
)  # fmt: skip
def test_the_section_and_the_address_of_a_row(keys: tuple[str, str], section: str, url: str | None) -> None:
    assert [(row.evidence.section, row.evidence.url) for row in PAIRS[frozenset(keys)]] == [(section, url)]


# When a row of the pairs is meant for a patient: each way to leave it out, at its limit, and the words of the row.
Json = dict[str, Any]
EVIDENCE = Evidence("document", "organisation", "2026", "1", "label", "none", "none", "label")


def _meant(unless: str, draft: str | Json, partner: str | Json, **patient: Any) -> bool:
    """Whether a row with this exception is meant, the same from both sides."""
    first, second = (entry if isinstance(entry, dict) else {"drug": entry} for entry in (draft, partner))
    pair = Pair(frozenset({"a", "b"}), "warning", "says", "mechanism", "advice", unless, EVIDENCE)
    contexts = (context_of(first, second, **patient), context_of(second, first, **patient))
    answer, other_way = (pair.is_meant(context, context.partners[0]) for context in contexts)
    assert answer is other_way
    return answer


def _taken(drug: str, sig: str) -> Json:
    return {"drug": drug, "more": {"dosageInstruction": [{"text": sig}]}}


TABLET, CREAM = "warfarin 5 mg tablet", "clotrimazole 1 % topical cream"
VAGINAL, ORAL_GEL = "miconazole 2 % vaginal cream", "miconazole 2 % oral gel"


@for_rows(
    ("unless", "drug", "expected"),
    [
        ("", "fluconazole 150 mg tablet", True),
        ("", CREAM, False),
        ("", VAGINAL, False),
        ("on_skin", CREAM, False),
        ("on_skin", VAGINAL, True),
        ("on_skin", {"drug": "miconazole 100 mg", "route": "vaginal"}, True),
        ("on_skin", ORAL_GEL, True),
        ("on_skin", "fluticasone nasal spray", True),
        ("local_too", CREAM, True),
        ("local_too", VAGINAL, True),
    ],
)
def test_what_is_put_on_the_skin_hardly_reaches_the_blood(unless: str, drug: str | Json, expected: bool) -> None:
    assert _meant(unless, drug, TABLET) is expected


@for_rows(
    ("unless", "first", "second", "expected"),
    [
        ("injected", "itraconazole 100 mg capsule", "midazolam 2 mg/ml syrup", True),
        ("injected", "itraconazole 100 mg capsule", "midazolam 5 mg/ml injection", False),
        ("injected", "amiodarone injection", "midazolam 5 mg/ml injection", False),
        ("injected_only", "itraconazole 100 mg capsule", "midazolam 2 mg/ml syrup", False),
        ("injected_only", "itraconazole 100 mg capsule", "midazolam 5 mg/ml injection", False),
        ("injected_only", "amiodarone injection", "midazolam 5 mg/ml injection", True),
    ],
)
def test_injections_are_left_out_or_are_all_that_is_meant(unless: str, first: str, second: str, expected: bool) -> None:
    assert _meant(unless, first, second) is expected


@for_rows(
    ("sig", "expected"),
    [("epidural infusion", True), ("Intrathecal once", True), ("wound infiltration", False), ("nerve block", False)],
)
def test_a_local_anaesthetic_is_meant_beside_the_spine_only(sig: str, expected: bool) -> None:
    assert _meant("not_neuraxial", _taken("bupivacaine 0.25 % injection", sig), "apixaban 5 mg tablet") is expected


def test_one_dose_of_fluconazole_is_left_out() -> None:
    single = _taken("fluconazole 150 mg tablet", "150 mg once")
    daily = _taken("fluconazole 150 mg tablet", "150 mg daily")
    assert _meant("single_fluconazole", single, TABLET) is False
    assert _meant("single_fluconazole", daily, TABLET) is True
    assert _meant("single_fluconazole", daily, _taken(TABLET, "5 mg once")) is True
    assert _meant("", single, TABLET) is True


@for_rows(
    ("unless", "drug", "dose", "expected"),
    [
        ("low_dose_aspirin", "aspirin 500 mg tablet", "500 mg", True),
        ("low_dose_aspirin", "aspirin 500 mg tablet", "499 mg", False),
        ("low_dose_aspirin", "aspirin 81 mg tablet", "1 tablet", False),
        ("low_dose_methotrexate", "methotrexate 2.5 mg tablet", "20 mg", False),
        ("low_dose_methotrexate", "methotrexate 2.5 mg tablet", "20.1 mg", True),
        ("low_dose_statin", "simvastatin 40 mg tablet", "40 mg", False),
        ("low_dose_statin", "simvastatin 40 mg tablet", "40.1 mg", True),
        ("low_dose_statin", "lovastatin 40 mg tablet", "40 mg", False),
        ("low_dose_statin", "lovastatin 40 mg tablet", "80 mg", True),
        ("low_dose_statin", "atorvastatin 80 mg tablet", "80 mg", False),
    ],
)
def test_low_doses_are_left_out(unless: str, drug: str, dose: str, expected: bool) -> None:
    assert _meant(unless, {"drug": drug, "dose": dose, "times": 1}, TABLET) is expected


def test_a_dose_that_is_not_known_is_not_taken_for_a_high_one() -> None:
    assert _meant("low_dose_aspirin", {"drug": "aspirin"}, TABLET) is False
    # A high dose of methotrexate is one of its own order, in rows about methotrexate.
    low_aspirin: Json = {"drug": "aspirin 81 mg tablet", "dose": "1 tablet", "times": 1}
    low_methotrexate = {**low_aspirin, "drug": "methotrexate 2.5 mg tablet"}
    assert _meant("low_dose_aspirin", low_aspirin, "high-dose methotrexate") is False
    assert _meant("low_dose_methotrexate", low_methotrexate, "high-dose ibuprofen") is False
    assert _meant("low_dose_methotrexate", {"drug": "high-dose methotrexate"}, "ibuprofen") is True


@for_rows(
    ("draft", "expected"),
    [
        ({"dose": "50 mg", "times": 1}, True),
        ({"dose": "50 mg", "times": 2}, False),
        ({"dose": "99 mg", "times": 1}, True),
        ({}, True),  # a dose that is not known
    ],
)
def test_dolutegravir_once_a_day_is_meant(draft: Json, expected: bool) -> None:
    order = {"drug": "dolutegravir 50 mg tablet", **draft}
    assert _meant("dolutegravir_once", order, "rifampin 300 mg capsule") is expected


@for_rows(
    ("draft", "expected"),
    [
        ({"dose": "100 mg", "times": 1}, False),
        ({"dose": "101 mg", "times": 1}, True),
        ({"dose": "81 mg", "times": 2}, True),
        ({"dose": "325 mg", "single": True}, False),
        ({}, False),
    ],
)
def test_over_100_mg_of_aspirin_a_day_are_meant_but_no_loading_dose(draft: Json, expected: bool) -> None:
    order = {"drug": "aspirin 325 mg tablet", **draft}
    assert _meant("low_daily_aspirin", order, "ticagrelor 90 mg tablet") is expected


@for_rows(
    ("unless", "days", "expected"),
    [
        ("from_29_days", 28, True),
        ("from_29_days", 29, False),
        ("from_1_year", 29, True),
        ("from_1_year", 365, True),
        ("from_1_year", 366, False),
    ],
)
def test_a_row_for_infants_is_meant_to_its_last_day(unless: str, days: int, expected: bool) -> None:
    infant: Json = {"age": 0, "days_older": days}
    assert _meant(unless, "ceftriaxone injection", "calcium gluconate injection", **infant) is expected
    assert _meant(unless, "ceftriaxone injection", "calcium gluconate injection", age=None) is False


CALCIUM = ({"drug": "ceftriaxone injection"}, {"drug": "calcium gluconate injection"})


def test_without_a_partner_no_row_is_about_the_draft() -> None:
    context = context_of(CALCIUM[0], age=0)
    assert pair_of(context) is None
    assert FAMILY.placeholders["pair_summary"](context) is None
    assert FAMILY.placeholders["pair_detail"](context) is None
    assert FAMILY.evidence["pair-label"](context) == ()


def test_a_row_is_put_into_words_with_its_evidence() -> None:
    context = context_of(*CALCIUM, age=0, days_older=10)
    pair = pair_of(context)
    assert pair is not None
    assert FAMILY.placeholders["pair_summary"](context) == (
        "ceftriaxone with calcium gluconate: the label contraindicates it (fatal precipitates up to 28 days of age)."
    )
    assert FAMILY.placeholders["pair_detail"](context) == "Cefotaxime, or no calcium in the same days."
    assert FAMILY.evidence["pair-label"](context) == (pair.evidence,)


def test_of_a_mixture_the_drug_of_the_row_is_named() -> None:
    mixture, other = {"drug": "acetaminophen 325 MG / oxycodone 5 MG Oral Tablet"}, {"drug": "buprenorphine 8 MG film"}
    words = FAMILY.placeholders["pair_summary"](context_of(mixture, other))
    assert words is not None
    assert words.startswith("oxycodone with buprenorphine: ")


def test_further_partners_are_counted_in_the_words() -> None:
    draft = {"drug": "ceftriaxone injection"}
    others = ({"drug": "calcium gluconate injection"}, {"drug": "calcium chloride injection"})
    words = FAMILY.placeholders["pair_summary"](context_of(draft, *others, age=0, days_older=10))
    assert words is not None
    assert words.startswith("ceftriaxone with calcium gluconate and 1 more: ")


@for_rows(
    ("severity", "days", "expected"),
    [("critical", 10, True), ("warning", 10, False), ("warning", 100, True), ("critical", 100, False)],
)
def test_the_condition_asks_for_the_severity_of_the_worst_row(severity: str, days: int, expected: bool) -> None:
    (condition,) = FAMILY.conditions
    spec = {"label_pair": severity}
    predicate = condition.compile(spec, lambda _part: pytest.fail("no part"))
    assert predicate.test(context_of(*CALCIUM, age=0, days_older=days)) is expected
    assert predicate.test(context_of(CALCIUM[0])) is False
    assert condition.say(spec, lambda _part: "") == f"a row of pairs.csv ({severity}) names the two drugs"


def test_where_no_row_names_the_drugs_it_is_said() -> None:
    context = context_of({"drug": "aspirin"})
    assert FAMILY.nothing_found is not None
    assert FAMILY.nothing_found("pair-label", context) == ("no-pair", "no row names the drugs that are taken with it.")
