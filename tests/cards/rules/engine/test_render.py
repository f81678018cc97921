"""What a finding and a silence say: placeholders, severity where facts are unsure, notes, evidence, reasons."""

from collections.abc import Mapping
from typing import Any

import pytest

from cards.extension import Fact
from cards.rules.engine.family import Family
from cards.rules.engine.finding import NoMatch
from cards.rules.engine.render import placeholder_lookup
from cards.rules.language.trigger import NO_NUMBER
from cards.rules.patient.context import RuleContext
from fhir.record.refusals import WhyNot
from tests.cards.rules.contexts import context_of
from tests.cards.rules.engine.made_rules import band, evaluated, found, rule_of, silent
from tests.each import for_rows
from tests.fhir.builders import problem

Json = dict[str, Any]
DRAFT: Json = {"drug": "metformin hydrochloride 500 MG Oral Tablet", "dose": "2 tablet", "times": 2}
TRUE: Json = {"always": True}
UNKNOWN: Json = {"weight_kg": {"gt": 0}}


def _word(name: str, context: RuleContext, when: Json = TRUE, family: Family | None = None) -> str | None:
    """What stands for {name} in a text of a band that is true when `when` is."""
    rule = rule_of(band("a", when)) if family is None else rule_of(band("a", when), family=family)
    predicate = rule.bands[0].when
    return placeholder_lookup(rule, predicate, tuple(predicate.facts(context)), context)(name)


def _drug(name: str) -> Json:
    return {"drug": f"{name} 10 MG Oral Tablet", "dose": "1 tablet", "times": 1}


@for_rows(
    ("name", "words"),
    [("drug", "metformin"), ("Drug", "Metformin"), ("age", "60"), ("dose", "2,000"), ("each_dose", "1,000"),
     ("other", None), ("problem", None), ("first", None), ("second", None), ("egfr", None), ("nobody", None)],
)  # fmt: skip
def test_the_words_about_a_draft(name: str, words: str | None) -> None:
    assert _word(name, context_of(DRAFT)) == words


@pytest.mark.parametrize("name", ["age", "dose", "each_dose"])
def test_a_number_that_is_not_known_has_no_word(name: str) -> None:
    assert _word(name, context_of({"drug": DRAFT["drug"]}, age=None)) is None


def test_a_dose_is_not_rounded_across_the_limit_that_it_is_over() -> None:
    context = context_of({"drug": "metformin", "dose": "1000.02 mg", "times": 1})
    assert _word("dose", context, {"daily_dose_mg": {"gt": 1000}}) == "1,000.02"
    assert _word("each_dose", context, {"dose_mg": {"gt": 1000}}) == "1,000.02"


@for_rows(
    ("drugs", "words"),
    [
        (["aspirin"], "aspirin"),
        (["aspirin", "aspirin"], "aspirin"),
        # 30 characters, and 31.
        (["simvastatin", "clarithromycin"], "simvastatin and clarithromycin"),
        (["atorvastatin", "clarithromycin"], "atorvastatin and 1 more"),
        (["aspirin", "digoxin", "warfarin"], "aspirin and 2 more"),
        (["aspirin", "digoxin", "niacin"], "aspirin and 2 more"),
    ],
)
def test_other_drugs_are_named_while_they_are_two_and_short(drugs: list[str], words: str) -> None:
    assert _word("other", context_of(DRAFT, *map(_drug, drugs))) == words


def test_without_a_pair_the_other_drugs_are_those_that_the_band_found() -> None:
    context = context_of(DRAFT, active=[_drug("ibuprofen"), _drug("warfarin"), _drug("naproxen")])
    assert _word("other", context, {"active": {"classes": ["nsaid"]}}) == "ibuprofen and naproxen"


def _problem(words: str, onset: str, name: str = "p", code: str = "R69") -> Json:
    return problem(words, code, patient="case", id=name, onsetDateTime=onset)


@for_rows(
    ("words", "said"),
    [
        ("Acute kidney failure, unspecified", "acute kidney failure (2026-11-10)"),
        ("GI bleeding", "GI bleeding (2026-11-10)"),
        ("Crohn's disease", "Crohn's disease (2026-11-10)"),
        ("Stevens-Johnson syndrome", "Stevens-Johnson syndrome (2026-11-10)"),
        ("A fall", "A fall (2026-11-10)"),
        ("Ulcer of the stomach with haemorrhage and pain", "ulcer of the stomach with hae… (2026-11-10)"),
    ],
)
def test_a_problem_within_a_sentence(words: str, said: str) -> None:
    recent: Json = {"recent_problem": {"icd10": ["R69"], "within_days": 30}}
    context = context_of(DRAFT, more=[_problem(words, "2026-11-10")])
    assert _word("problem", context, recent) == said


def test_the_newest_of_several_problems_is_named() -> None:
    recent: Json = {"recent_problem": {"icd10": ["R69"], "within_days": 30}}
    problems = [_problem("Old", "2026-11-01", "a"), _problem("New", "2026-11-12T08:00:00Z", "b"),
                _problem("Middle", "2026-11-10", "c")]  # fmt: skip
    both = {"all": [recent, {"active": {"classes": ["nsaid"]}}]}
    context = context_of(DRAFT, more=problems, active=[{**_drug("ibuprofen"), "days_ago": 1}])
    assert _word("problem", context, both) == "new (2026-11-12)"


EGFR: Json = {"derived": "egfr_best", "lt": 30}
CRCL: Json = {"derived": "crcl_cockcroft_gault", "weight": "actual", "lt": 30}
# (140 - 60) × 80 kg / (72 × 4.0 mg/dL) = 22.2 mL/min
OF_CRCL: Json = {"labs": [["creatinine", 4.0, 3], ["body_weight", 80, 3]]}


@for_rows(
    ("name", "when", "patient", "words"),
    [
        ("egfr", EGFR, {"labs": [["egfr", 25, 3]]}, "eGFR 25 mL/min on 2026-11-17"),
        ("egfr", EGFR, {"labs": [["egfr", 25, 400]]}, "eGFR 25 mL/min (old) on 2025-10-16"),
        ("kidney", EGFR, {"labs": [["egfr", 25, 3]]}, "eGFR 25 mL/min on 2026-11-17"),
        ("egfr", EGFR, {"labs": [["egfr", 29.96, 3]]}, "eGFR 29.96 mL/min on 2026-11-17"),
        ("egfr", EGFR, {}, None),
        ("crcl", EGFR, {"labs": [["egfr", 25, 3]]}, None),
        ("crcl", CRCL, OF_CRCL, "CrCl 22.2 mL/min on 2026-11-17"),
        ("kidney", CRCL, OF_CRCL, "CrCl 22.2 mL/min on 2026-11-17"),
        ("egfr", CRCL, OF_CRCL, None),
        ("egfr", EGFR, {"conditions": ["dialysis"]}, f"dialysis on record{NO_NUMBER}"),
    ],
)
def test_an_estimate_that_the_band_uses(name: str, when: Json, patient: Json, words: str | None) -> None:
    assert _word(name, context_of(DRAFT, **patient), when) == words


@for_rows(
    ("patient", "gap", "history"),
    [
        ({}, "no kidney function in the last 12 months", "No kidney function on the record."),
        ({"inpatient": True}, "no kidney function in the last 30 days", "No kidney function on the record."),
        ({"labs": [["egfr", 50, 400]]}, "no kidney function in the last 12 months",
         "Last value: eGFR 50 mL/min (old) on 2025-10-16."),
        ({"labs": [["creatinine", 1.0, 3]], "age": None},
         "kidney function cannot be estimated without the age",
         "Kidney function cannot be estimated from creatinine without the patient's age."),
        ({"not_sent": ["creatinine", "egfr", "Observation"]}, "kidney function did not come with this call", ""),
        ({"labs": [["egfr", 50, 3]]}, "kidney function cannot be estimated without the age", ""),
    ],
)  # fmt: skip
def test_what_there_is_in_place_of_kidney_function(patient: Json, gap: str, history: str) -> None:
    context = context_of(DRAFT, **patient)
    assert _word("kidney_gap", context) == gap
    assert _word("kidney_history", context) == history


def test_the_whole_of_a_finding() -> None:
    questions = [{"text": "Is it so?", "when": TRUE}, {"text": "Not?", "when": {"never": True}},
                 {"text": "Unknown?", "when": UNKNOWN}]  # fmt: skip
    rule = rule_of(band("a", {"daily_dose_mg": {"gt": 1999}}, summary="{Drug} {dose} mg.", detail="At {age}.",
                        cites=[1]), questions=questions)  # fmt: skip
    finding = found(rule, context_of(DRAFT, active=[{**DRAFT, "days_ago": 10}]))
    assert (finding.rule, finding.band, finding.indicator, finding.is_certain) == ("made-rule", "a", "warning", True)
    assert (finding.summary, finding.detail, finding.priority) == ("Metformin 2,000 mg.", "At 60.", 7)
    name = "MedicationRequest/draft-0"
    assert finding.facts == (
        Fact("draft", "metformin hydrochloride 500 MG Oral Tablet", "metformin", source=name),
        Fact("daily_dose", "2,000 mg/day", 2000.0, "mg/d", source=name),
    )
    assert finding.notes == (
        "Is it so?",
        "Metformin is on the active list (ordered 2026-11-10): that order needs the same decision.",
    )
    assert [one.label for one in finding.evidence] == ["Second"]
    assert [(one.code, one.display) for one in finding.override_reasons] == [("seen", "Seen")]
    assert (finding.group, finding.yields_to, finding.suggestions, finding.partners) == ("made", (), (), ())


def test_that_the_drug_is_taken_already_is_no_note_of_information_nor_of_a_duplicate() -> None:
    context = context_of(DRAFT, active=[DRAFT])
    assert found(rule_of(band("a", TRUE, "info")), context).notes == ()
    same = {"draft": [{"any_drug": True}], "same_ingredient": True}
    assert found(rule_of(band("a", TRUE), trigger=same), context).notes == ()
    assert found(rule_of(band("a", TRUE)), context_of(DRAFT)).notes == ()


def test_a_text_with_a_name_that_is_not_filled_is_never_sent() -> None:
    rule = rule_of(band("a", TRUE, summary="{Drug} at {egfr}.", detail="At {egfr}."), merge_group="g")
    finding = found(rule, context_of(DRAFT))
    assert (finding.summary, finding.detail) == ("Made rule: please check this order.", "Made rule")
    assert finding.group == "g"


def test_words_of_the_chart_are_no_markdown_in_a_detail() -> None:
    family = Family("own", placeholders={"entry": lambda _context: "[x](http://y)", "none": lambda _context: ""})
    rule = rule_of(band("a", TRUE, summary="Entry {entry}{none}.", detail="Entry {entry}{none}."), family=family)
    finding = found(rule, context_of(DRAFT))
    assert finding.summary == "Entry [x](http://y)."
    assert "[x](http" not in finding.detail
    assert finding.detail.startswith("Entry \\[x\\]")


def test_evidence_is_that_of_the_row_else_what_the_band_cites_else_all_of_the_rule() -> None:
    context = context_of(DRAFT)
    rule = rule_of(band("a", TRUE))
    assert [one.label for one in found(rule, context).evidence] == ["First", "Second"]
    second = rule.declared.evidence[1]
    by_row = Family("rows", evidence={"made-rule": lambda _context: (second,)})
    assert [one.label for one in found(rule_of(band("a", TRUE, cites=[0]), family=by_row), context).evidence] == [
        "Second"]  # fmt: skip
    no_row = Family("rows", evidence={"made-rule": lambda _context: ()})
    assert [one.label for one in found(rule_of(band("a", TRUE, cites=[0]), family=no_row), context).evidence] == [
        "First"]  # fmt: skip


def _instead(severity: str, when: Json = TRUE) -> Json:
    return {"code": "x", "text": f"Shown as {severity}.", "when": when, "instead": severity}


@for_rows(
    ("indicator", "softer", "shown", "notes"),
    [
        ("critical", [_instead("info")], "info", ("Shown as info.",)),
        ("warning", [_instead("info")], "info", ("Shown as info.",)),
        ("critical", [_instead("warning")], "warning", ("Shown as warning.",)),
        ("warning", [_instead("warning")], "warning", ()),
        ("critical", [_instead("info"), _instead("warning")], "info", ("Shown as info.",)),
        ("critical", [_instead("info", UNKNOWN)], "critical", ()),
        ("critical", [_instead("warning", {"never": True})], "critical", ()),
        ("critical", [{**_instead("warning"), "except_bands": ["a"]}], "critical", ()),
    ],
)
def test_a_reason_to_say_less(indicator: str, softer: list[Json], shown: str, notes: tuple[str, ...]) -> None:
    finding = found(rule_of(band("a", TRUE, indicator), silent_when=softer), context_of(DRAFT))
    assert (finding.indicator, finding.notes, finding.is_certain) == (shown, notes, True)


UNREAD = _problem("Zzz", "2026-11-01", code="")


@for_rows(
    ("rule", "patient", "reason", "text"),
    [
        (rule_of(band("a", {"age_years": {"ge": 99}})), {}, "within-limits",
         "Made rule: looked, no limit is reached."),
        (rule_of(band("a", EGFR)), {"labs": [["egfr", 50, 3]]}, "within-limits",
         "Made rule: looked, no limit is reached (eGFR 50 mL/min on 2026-11-17)."),
        (rule_of(band("a", UNKNOWN)), {}, "weight-missing", "Made rule: no weight on record."),
        (rule_of(band("a", {"condition_any": ["gout"]})), {"more": [UNREAD]},
         "problems-unreadable",
         "Made rule: 1 problem could not be read; in what could be read nothing was found."),
        (rule_of(band("a", {"age_years": {"ge": 99}})), {"more": [UNREAD]},
         "within-limits", "Made rule: looked, no limit is reached."),
        (rule_of(band("a", {"age_years": {"ge": 99}}), family=Family(
            "own", nothing_found=lambda rule, context: ("own", f"nothing for {rule} of {context.ingredient.name}."))),
         {}, "own", "Made rule: nothing for made-rule of metformin."),
        (rule_of(band("a", UNKNOWN), family=Family("own", gaps={"weight": lambda _context: ("own", "own reason.")})),
         {}, "own", "Made rule: own reason."),
        (rule_of(band("a", UNKNOWN), family=Family("own", gaps={"weight": lambda _context: None})),
         {}, "weight-missing", "Made rule: no weight on record."),
        (rule_of(band("a", UNKNOWN), family=Family("own", gaps={"age": lambda _context: ("own", "own reason.")})),
         {}, "weight-missing", "Made rule: no weight on record."),
    ],
)  # fmt: skip
def test_why_a_rule_is_silent(rule: Any, patient: Json, reason: str, text: str) -> None:
    assert silent(rule, context_of(DRAFT, **patient)) == WhyNot("made-rule", reason, text)


OLD: Json = {"age_years": {"ge": 99}}
WAITS: Mapping[str, Json] = {"waits": {"all": [{"signing": True}, OLD]}, "old": OLD}


@for_rows(
    ("bands", "signing", "text"),
    [
        (["waits"], False, "Made rule: checked when the order is signed."),
        (["waits", "old"], False, "Made rule: only in part checked, the rest when the order is signed."),
        (["waits"], True, "Made rule: looked, no limit is reached."),
        (["old"], False, "Made rule: looked, no limit is reached."),
    ],
)
def test_before_signing_a_rule_says_what_waits(bands: list[str], signing: bool, text: str) -> None:
    context = context_of(DRAFT)
    context.session.signing = signing
    assert silent(rule_of(*(band(name, WAITS[name]) for name in bands)), context).text == text


def test_before_signing_what_is_not_known_is_said_all_the_same() -> None:
    context = context_of(DRAFT)
    context.session.signing = False
    rule = rule_of(band("a", {"all": [{"signing": True}, UNKNOWN]}), band("b", UNKNOWN))
    assert isinstance(evaluated(rule, context), NoMatch)
    assert silent(rule, context).reason == "weight-missing"


def test_what_was_refused_of_kidney_function_is_cut() -> None:
    labs = [[analyte, 123456.789, 3, "x" * 30] for analyte in ("creatinine", "egfr")]
    said = _word("kidney_history", context_of(DRAFT, labs=labs)) or ""
    assert said.startswith("No usable kidney function. Creatinine 123457 has the unknown unit 'xxx")
    assert (len(said), said[-1]) == (200, "…")
