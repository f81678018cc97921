"""How one rule is decided: bands from top to bottom, reasons to be silent, missing data, partners, suggestions."""

from typing import Any

import pytest
from msgspec.structs import replace

from cards.extension import Fact
from cards.rules.engine.finding import Finding, Match, merge_repeated_findings
from cards.rules.engine.governance import SUPPRESSION_DAYS, Override, SiteRules, Switch, drafts_of
from cards.rules.patient.context import RuleContext
from fhir.record.refusals import WhyNot
from tests.cards.rules.contexts import context_of, session_of
from tests.cards.rules.engine.made_rules import band, evaluated, found, rule_of, silent
from tests.each import for_rows

Json = dict[str, Any]
DRAFT: Json = {"drug": "metformin hydrochloride 500 MG Oral Tablet", "dose": "1 tablet", "times": 2}
WARFARIN: Json = {"drug": "warfarin sodium 5 MG Oral Tablet", "dose": "1 tablet", "times": 1}
ASPIRIN: Json = {"drug": "aspirin 81 MG Oral Tablet", "dose": "1 tablet", "times": 1}
TRUE: Json = {"always": True}
FALSE: Json = {"never": True}
UNKNOWN: Json = {"weight_kg": {"gt": 0}}


def _partner(name: str, rxcui: str) -> Json:
    return {"partner_on": {"ingredients": [{"rxcui": rxcui, "name": name}]}}


OF_WARFARIN, OF_ASPIRIN = _partner("warfarin", "11289"), _partner("aspirin", "1191")


@pytest.mark.parametrize(("whens", "matched"), [([TRUE, TRUE], "a"), ([FALSE, TRUE], "b"), ([UNKNOWN, TRUE], "b")])
def test_the_first_band_that_is_true_wins_over_one_that_is_not_known(whens: list[Json], matched: str) -> None:
    rule = rule_of(*(band(name, when) for name, when in zip("ab", whens, strict=True)))
    assert found(rule, context_of(DRAFT)).band == matched


def _quiet(when: Json, **more: Any) -> Json:
    return {"code": "not_now", "text": "it is not now.", "when": when, **more}


@for_rows(
    ("quiet", "is_silent"),
    [
        (_quiet(TRUE), True),
        (_quiet(FALSE), False),
        (_quiet(UNKNOWN), False),
        (_quiet(TRUE, except_bands=["a"]), False),
        (_quiet(TRUE, except_bands=["b"]), True),
    ],
)
def test_a_reason_to_be_silent_is_said_with_its_rule(quiet: Json, is_silent: bool) -> None:
    rule = rule_of(band("a", TRUE), silent_when=[{"code": "x", "text": "in words only"}, quiet])
    if is_silent:
        assert silent(rule, context_of(DRAFT)) == WhyNot("made-rule", "not-now", "Made rule: it is not now.")
    else:
        assert found(rule, context_of(DRAFT)).band == "a"


def _missing(when: Json, bands: list[str], **more: Any) -> Json:
    return {"id": "ask", "when": when, "bands": bands, "summary": "Weigh first.", "detail": "No weight.", **more}


@for_rows(
    ("missing", "is_asked"),
    [
        (_missing(TRUE, ["a"]), True),
        (_missing(FALSE, ["a"]), False),
        (_missing(UNKNOWN, ["a"]), False),
        (_missing(TRUE, ["b"]), False),
        (_missing(TRUE, ["critical"]), True),
    ],
)
def test_missing_data_is_asked_for_where_a_band_hangs_on_it(missing: Json, is_asked: bool) -> None:
    rule = rule_of(band("a", UNKNOWN, "critical"), band("b", FALSE), missing_data=[missing])
    evaluation = evaluated(rule, context_of(DRAFT))
    assert isinstance(evaluation, Match) is is_asked
    if is_asked:
        finding = found(rule, context_of(DRAFT))
        assert (finding.band, finding.indicator, finding.is_certain) == ("missing", "info", True)
        assert (finding.summary, finding.detail) == ("Weigh first.", "No weight.")


def test_of_two_partners_the_worse_one_is_said_and_the_milder_one_is_named() -> None:
    rule = rule_of(band("bad", OF_WARFARIN, "critical"), band("mild", OF_ASPIRIN, "info"), band("none", FALSE))
    for order in ([WARFARIN, ASPIRIN], [ASPIRIN, WARFARIN]):
        finding = found(rule, context_of(DRAFT, *order))
        assert (finding.band, finding.indicator) == ("bad", "critical")
        assert [one.medication.name for one in finding.partners] == ["warfarin"]
        assert finding.notes == ("The same rule, milder: aspirin.",)
        assert {fact.value for fact in finding.facts} == {"metformin", "warfarin", "aspirin"}


def _finding(rule: str, indicator: str = "warning", **more: Any) -> Finding:
    made = rule_of(band("b", TRUE, indicator), **{"id": rule, **more})
    return found(made, context_of(DRAFT))


@for_rows(
    ("yields_to", "severities", "is_said"),
    [
        (["other"], ("warning", "warning"), True),
        (["other/b"], ("warning", "critical"), True),
        (["other"], ("critical", "warning"), False),
        (["other/c"], ("warning", "warning"), False),
        ([], ("warning", "warning"), False),
    ],
)
def test_a_finding_is_said_by_one_that_is_no_milder(
    yields_to: list[str], severities: tuple[str, str], is_said: bool
) -> None:
    own, other = (
        _finding("own", severities[0], **({"yields_to": yields_to} if yields_to else {})),
        _finding("other", severities[1]),
    )
    assert own.is_said_by(other) is is_said


@for_rows(
    ("switch", "silenced"),
    [
        ({}, []),
        ({"off": True}, ["info", "warning", "critical"]),
        ({"speak_from": "warning"}, ["info"]),
        ({"speak_from": "critical"}, ["info", "warning"]),
        ({"bands_off": frozenset({"b"})}, ["info", "warning"]),
        ({"bands_off": frozenset({"c"})}, []),
    ],
)
def test_a_switch_silences_what_is_quieter_than_it_says(switch: Json, silenced: list[str]) -> None:
    levels = ("info", "warning", "critical")
    made = Switch("own", "a note", **switch)
    assert [level for level in levels if made.silences(_finding("own", level))] == silenced


@for_rows(
    ("severity", "value", "counts"),
    [
        # An answer to 100 holds up to a fifth more or less, and for nothing more severe.
        ("warning", 120.0, True), ("warning", 120.1, False), ("warning", 80.0, True), ("warning", 79.9, False),
        ("info", 100.0, True), ("critical", 100.0, False),
    ],
)  # fmt: skip
def test_an_answer_counts_until_a_value_moves_by_more_than_a_fifth(severity: str, value: float, counts: bool) -> None:
    answer = Override(0.0, "warning", "", frozenset({"metformin"}), {"egfr": 100.0})
    finding = replace(_finding("own", severity), facts=(Fact("draft", value="metformin"), Fact("egfr", value=value)))
    assert answer.counts_for(finding) is counts
    assert drafts_of(finding) == frozenset()  # the fact names no draft
    assert not answer.counts_for(replace(finding, facts=(Fact("draft", value="warfarin"),)))
    nameless = replace(finding, facts=(Fact("draft"), Fact("egfr", value=value)))
    assert answer.counts_for(nameless) is counts
    assert SiteRules().days_of(None, "critical") == SUPPRESSION_DAYS["critical"]


NAMES = tuple(f"MedicationRequest/draft-{number}" for number in range(3))


def _view(position: int, *partners: int, indicator: str = "warning", offers: int = 0, recommended: int = 0) -> Finding:
    """The finding of one of three drafts before these others, with so many suggestions."""
    session = session_of(DRAFT, WARFARIN, ASPIRIN)
    others = session.medications_beside(session.drafted[position], ("6809", "11289", "1191"))
    by_name = {one.source: one for one in others}
    drafted = session.drafted[position]
    context = RuleContext(session, drafted, drafted.medication.ingredients[0],
                          partners=tuple(by_name[NAMES[partner]] for partner in partners))  # fmt: skip
    suggestions = [{"label": "Cancel", "cancel": True, "recommended": number < recommended} for number in range(offers)]
    return found(rule_of(band("b", TRUE, indicator, suggestions=suggestions), id="pair"), context)


@for_rows(
    ("views", "kept"),
    [
        # Alike: the first.
        ([_view(0, 1), _view(1, 0)], 0),
        ([_view(0, 1), _view(1, 0, indicator="critical")], 1),
        ([_view(0, 1, offers=3), _view(1, 0, offers=1, recommended=1)], 1),
        ([_view(0, 1, offers=1), _view(1, 0, offers=2)], 1),
        ([_view(0, 1, offers=2), _view(1, 0, offers=1)], 0),
        # One that names another drug too is not told by one that does not; it tells the other.
        ([_view(0, 1), _view(1, 0, 2, indicator="info")], None),
        ([_view(0, 1, 2), _view(1, 0, 2)], 0),
        ([_view(0, 1), _view(1, 0, 2)], None),
        ([_view(0, 2), _view(1, 0)], None),
    ],
)
def test_a_pair_is_said_on_the_card_of_one_of_its_drafts(views: list[Finding], kept: int | None) -> None:
    findings, silences = merge_repeated_findings([(NAMES[number], [view]) for number, view in enumerate(views)])
    if kept is None:
        assert (findings, silences) == ([[view] for view in views], [])
    else:
        assert findings == [[view] if number == kept else [] for number, view in enumerate(views)]
        text = f"{NAMES[1 - kept]}: said on the card of {NAMES[kept]}."
        assert silences == [WhyNot("pair", "said-once", text)]
