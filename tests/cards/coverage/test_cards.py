"""The cards of coverage requirements, whole: the answer, what is needed, the document, and what a payer proposes."""

from datetime import date
from typing import Any

from msgspec.structs import replace

from cards.card import Action, Card, CardIdentity, Source, Suggestion
from cards.coverage.approval import finding_of, policy_tables
from cards.coverage.cards import ANSWER as ANSWER_TOPIC
from cards.coverage.cards import (
    ASSOCIATED,
    INSURANCE,
    STEPS,
    Annotated,
    answer_card,
    proposal_card,
    steps_card,
)
from cards.coverage.determination import Determination, Judged
from cards.coverage.policy import CriteriaSet, Criterion, Policies
from cards.coverage.seen import Seen
from cards.rules.language.rule import Audit, Evidence, RuleTable
from tests.cards.coverage.payers import ANSWER, PAYER, POLICY

IDENTITY = CardIdentity("card", lambda number: f"suggestion-{number}", "https://example.org/why")
SOURCE = Source(label="Own Health Plan", url="https://example.org")
HEADING = "**About the order Enteral \\*formula\\***"
ORDER = {"resourceType": "DeviceRequest", "id": "d"}


def annotated(answer: Determination) -> Annotated:
    return Annotated(answer, ORDER, "Enteral *formula*")


def criterion(name: str, question: str = "") -> Criterion:
    return Criterion(name, "A", f"Text of {name}", {}, question, "s")


def asking(*criteria: Criterion, holds: bool | None = None, rule: Any = "all") -> Determination:
    judged = tuple(Judged(entry, Seen(holds)) for entry in criteria)
    return replace(ANSWER, doc_needed="clinical", criteria=CriteriaSet("set", {"A": rule}, criteria), judged=judged)


def test_an_answer_is_one_line_and_one_click() -> None:
    answer = replace(ANSWER, covered="covered", pa_needed="satisfied", satisfied_id="A*1", info_needed=("location",))
    words = "Covered; prior authorization given"
    note = Suggestion(
        label="Note this on the order", uuid="suggestion-1",
        actions=(Action(type="update", description=words, resource=ORDER),),
    )  # fmt: skip
    assert answer_card(annotated(answer), IDENTITY) == Card(
        uuid="card",
        summary=f"Enteral *formula*: {words}",
        indicator="info",
        source=replace(SOURCE, topic=ANSWER_TOPIC),
        detail=(
            f"{HEADING}\n\n{words}.\n\nNumber of the prior authorization: A\\*1.\n\n"
            "- Name the place of service on the order: the rule is for some places only."
        ),
        suggestions=(note,),
        selection_behavior="any",
        extension={ASSOCIATED: ["DeviceRequest/d"]},
    )
    plain = answer_card(annotated(replace(ANSWER, payer=replace(PAYER, url=""))), IDENTITY)
    assert plain.detail == f"{HEADING}\n\nCoverage depends on what is missing."
    assert plain.source == Source(label="Own Health Plan", topic=ANSWER_TOPIC)


def test_what_is_needed_is_counted_and_listed_once() -> None:
    assert steps_card(annotated(ANSWER), IDENTITY) is None
    assert steps_card(annotated(replace(asking(criterion("a")), doc_needed=None)), IDENTITY) is None
    assert steps_card(annotated(asking(criterion("a"), holds=True)), IDENTITY) is None
    one = steps_card(annotated(asking(criterion("a", "Which *a*?"))), IDENTITY)
    assert one is not None
    assert one == Card(
        uuid="card",
        summary="Enteral *formula*: Own Health Plan needs one more entry for an answer",
        indicator="info",
        source=replace(SOURCE, topic=STEPS),
        detail=f"{HEADING}\n\n- Text of a. Which \\*a\\*?",
        extension={ASSOCIATED: ["DeviceRequest/d"]},
    )
    same = replace(criterion("a"), id="same")
    more = replace(asking(criterion("a"), same, criterion("b")), info_needed=("timeframe", "OTH"))
    several = steps_card(annotated(more), IDENTITY)
    assert several is not None
    assert several.summary == "Enteral *formula*: Own Health Plan needs 3 more for an answer"
    assert several.detail == (
        f"{HEADING}\n\n- Name the day of service on the order: the list changes within the time it names.\n"
        "- Text of a.\n- Text of b."
    )
    coarse = steps_card(annotated(replace(more, reason="detail-code")), IDENTITY)
    assert coarse is not None
    assert coarse.detail == (
        f"{HEADING}\n\n- Order with a billing code (HCPCS or CPT): what is ordered now is too coarse to decide."
    )


def test_a_proposal_is_one_click_and_nothing_depends_on_it() -> None:
    action = Action(type="create", description="d", resource=ORDER)
    card = proposal_card(
        PAYER, ("Coverage/c", "the *coverage*"), IDENTITY, INSURANCE, "Another *plan*", "Take it", action
    )
    assert card == Card(
        uuid="card",
        summary="Own Health Plan: Another *plan*",
        indicator="info",
        source=replace(SOURCE, topic=INSURANCE),
        detail="**About the \\*coverage\\***\n\nAnother \\*plan\\*. It is proposed, and nothing depends on it.",
        suggestions=(Suggestion(label="Take it", uuid="suggestion-1", actions=(action,)),),
        selection_behavior="any",
        extension={ASSOCIATED: ["Coverage/c"]},
    )
    without_page = proposal_card(replace(PAYER, url=""), ("Coverage/c", "c"), IDENTITY, INSURANCE, "x", "y", action)
    assert without_page.source.url is None


# Policies as rules


def test_the_policies_of_a_payers_folder_are_rules_of_the_site() -> None:
    policy = replace(POLICY, source="Policy 1 https://example.org/1 https://example.org/2", reviewed="2026-11-01")
    until = replace(
        POLICY, id="own-n", basis="not-covered", pa_needed="", code="B4151", effective_to=date(2026, 12, 31)
    )  # fmt: skip
    rows = {("own", "B4150"): (policy,), ("own", "B4151"): (until,), ("other", "X"): (replace(POLICY, payer="other"),)}
    payers = {"own": PAYER, "other": replace(PAYER, id="other")}
    (table,) = policy_tables(Policies(payers, rows, {}, frozenset(), frozenset({"own"}), "v"))
    assert table == RuleTable(
        "coverage", "Policies of Own Health Plan", "2026-11-01", "in use", "coverage/policies.csv of Own Health Plan",
        (), table.rules,
    )  # fmt: skip
    first, second = table.rules
    assert (first.id, first.title, first.priority) == ("payer-own-b", "B4150: Enteral formula (Own Health Plan)", 0)
    evidence = (policy.source, "Own Health Plan", "2026", "own-b", policy.source, "policy", "payer", "policy")
    assert first.evidence == (Evidence(*evidence, "https://example.org/1"),)
    assert first.audit == Audit("source read", policy.source, "2026-11-01")
    assert first.bands[0].summary == "listed, auth-needed, from 2026-01-01"
    assert (first.bands[0].id, first.bands[0].when) == ("policy", {"age_years": {"ge": 0}})
    assert second.bands[0].summary == "not-covered, nothing said, from 2026-01-01 to 2026-12-31"
    assert second.audit.date == "2026-01-01"
    assert second.evidence[0].url is None
    finding = finding_of(policy)
    assert (finding.rule, finding.band, finding.indicator, finding.priority) == ("payer-own-b", "policy", "info", 0)
    assert finding.is_certain
