"""Every case of every rule; and every band and every reason for silence has its cases."""

from collections.abc import Iterable
from datetime import datetime

from cards.card import check_card
from cards.rules.engine.rule_book import rule_book
from cards.rules.patient.orders import DraftOrder
from tests.cards.rules.cases import (
    JUDGED,
    Case,
    accepted,
    all_cases,
    check,
    check_case,
    every_case,
    family_book,
    findings,
    reasons,
    resources_of_case,
    silence_of,
    texts,
)
from tests.cards.rules.outcomes import assert_reviewed
from tests.cards.rules.patients import record_of

# A rule made from a table is tested over its table (tests/cards/rules/families/test_genes.py).
WRITTEN = [rule for rule in rule_book().rules if rule.declared.template is None]
BANDS = [(rule.id, band.declared.id, band.declared.indicator) for rule in WRITTEN for band in rule.bands]


def test_every_band_has_a_firing_a_silent_and_a_missing_data_case() -> None:
    kinds: dict[tuple[str, str], set[str]] = {}
    for rule, case in all_cases():
        kinds.setdefault((rule, case["about"]), set()).add(case["kind"])
    missing = {}
    for rule, band, indicator in BANDS:
        # A band that is silence on purpose cannot fire.
        needed = {"silent"} if indicator == "silent" else {"fires", "silent", "missing"}
        if not needed <= kinds.get((rule, band), set()):
            missing[rule, band] = needed - kinds.get((rule, band), set())
    assert BANDS
    assert missing == {}


def test_every_reason_for_silence_of_a_rule_has_a_case() -> None:
    declared = {rule.id: {one.code for one in rule.declared.silent_when} for rule in WRITTEN}
    covered: dict[str, set[str]] = {rule: set() for rule in declared}
    for rule, case in all_cases():
        if "quiet" in case and rule in covered:
            covered[rule].add(case["quiet"])
    assert covered == declared


@every_case()
def test_the_rule_says_what_the_case_says(rule: str, case: Case, as_of: datetime) -> None:
    outcome = check_case(case, as_of, family_book(rule))
    also = set(case.get("also", ()))
    found = [one for one in findings(outcome) if f"{one[0]}/{one[1]}" not in also]
    if "silent" in case:
        assert found == []
        assert case["silent"] in [reason for _, reason in reasons(outcome)]
        return
    assert found == [(rule, case["band"], case["indicator"])]
    _says(texts(outcome), case["says"])
    _says(texts(outcome), case.get("notes", ()))
    assert [f"{'* ' if one.is_recommended else ''}{one.label}" for one in outcome.cards[0].suggestions] == case[
        "offers"
    ]
    withheld = [one.text for one in outcome.silences if one.reason == "suggestion-withheld"]
    for label in case.get("withheld", ()):
        assert any(text.startswith(label) for text in withheld), withheld


def test_the_whole_outcome_of_every_case_is_the_reviewed_one() -> None:
    assert_reviewed("rules")


def _says(said: str, wanted: Iterable[str]) -> None:
    for words in wanted:
        assert words.lower() in said.lower()


@every_case("fires", "missing")
def test_a_card_is_short_cited_and_within_the_specification(rule: str, case: Case, as_of: datetime) -> None:
    for card in check_case(case, as_of).cards:
        check_card(card)
        assert len((card.detail or "").splitlines()) <= 5
        assert card.source.label
        assert "{" not in f"{card.summary}{card.detail}"
        assert "None" not in f"{card.summary}{card.detail}"


@every_case("fires")
def test_a_card_names_the_drug_and_the_facts_with_their_sources(rule: str, case: Case, as_of: datetime) -> None:
    (card,) = check_case(case, as_of).cards
    facts = card.own_extension.facts
    assert facts[0].name == "draft"
    assert str(facts[0].value).split("/")[0].lower() in f"{card.summary}{card.detail}".lower()
    for fact in facts:
        assert "/" in (fact.source or "")
        if fact.name in ("egfr", "crcl", "creatinine", "body_weight"):
            assert fact.unit
            assert fact.effective


@every_case("fires", "missing")
def test_an_accepted_suggestion_makes_the_next_call_silent(rule: str, case: Case, as_of: datetime) -> None:
    record = record_of(case["patient"], as_of)
    before = check_case(case, as_of)
    # One suggestion answers one finding; what other rules found about the same order may stay, nothing may come.
    others = {one[:2] for one in findings(before)}
    for label, after in accepted(before, resources_of_case(case)):
        signing = case.get("hook") != "order-select"
        again = {one[:2] for one in findings(check(record, after, [*JUDGED, *_new(after)], signing=signing))}
        assert again < others, label


def _new(drafts: list[DraftOrder]) -> list[str]:
    return [one.name for one in drafts if "beside-" not in one.name]


@every_case("silent", "missing")
def test_a_silent_rule_says_why_in_a_sentence(rule: str, case: Case, as_of: datetime) -> None:
    outcome = check_case(case, as_of, family_book(rule))
    if "silent" in case:
        said = silence_of(rule, outcome)
        assert (said.text if said else outcome.silences[0].text).endswith((".", ")"))
