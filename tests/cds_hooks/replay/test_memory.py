"""What a decision recorded of its memory: what was answered, shown before or withheld, and what is so again."""

from datetime import UTC, date, datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from cards.card import Card, Source, Suggestion
from cards.extension import Fact, RestingFinding, WorklistEntry
from cards.rules.engine.finding import Finding
from cards.rules.engine.governance import MetFinding
from cds_hooks.hold_back.checks import CheckedCall, Chosen
from cds_hooks.hold_back.sent_cards import Caller, PatientFinding
from cds_hooks.replay.memory import RecordedGovernance, Remembered
from fhir.record.refusals import WhyNot
from tests.each import for_rows

NAME = "org.cds-hooks-onnx"


def found(rule: str = "r", band: str = "b", drug: str = "metformin", egfr: float = 30.0) -> Finding:
    """A warning of this rule and band about this draft."""
    facts = (Fact("draft", value=drug), Fact("egfr", value=egfr))
    return Finding(rule, band, "warning", True, "s", "d", 0, facts, (), (), (), (), ())


def response(*cards: tuple[str, str, str], **members: Any) -> bytes:
    """An answer with a card of each rule, band and drug, and these members of its extension."""
    sent = [
        {"extension": {NAME: {"findings": [{"rule": rule, "band": band}], "facts": [{"name": "draft", "value": drug}]}}}
        for rule, band, drug in cards
    ]
    return msgspec.json.encode({"cards": sent, "extension": {NAME: members}})


FIRST = ("r", "acknowledged", "answered on Monday")
SECOND = ("r", "acknowledged", "answered on Tuesday")
OTHER = ("q", "acknowledged", "another rule")
OFF = ("r", "switched-off", "a switch")


@for_rows(
    ("cards", "silences", "met", "expected"),
    [
        # Nothing was answered.
        ([], [OFF], [], None),
        ([], [OFF], [MetFinding.of(found(), 0)], None),
        # The very finding, though another one that is alike was met before it.
        ([], [FIRST, SECOND], [MetFinding.of(found(egfr=31.0), 0), MetFinding.of(found(), 1)], SECOND),
        # One that is alike: its values have not moved by more than a fifth.
        ([], [FIRST], [MetFinding.of(found(egfr=27.0), 0)], FIRST),
        ([], [FIRST], [MetFinding.of(found(egfr=20.0), 0)], None),
        ([], [FIRST, SECOND], [MetFinding.of(found(egfr=27.0), 1), MetFinding.of(found(egfr=31.0), 0)], SECOND),
        # Another rule, band or drug.
        ([], [OTHER], [MetFinding.of(found("q"), 0)], None),
        ([], [FIRST], [MetFinding.of(found(band="c"), 0)], None),
        ([], [FIRST], [MetFinding.of(found(drug="lithium"), 0)], None),
        ([], [OFF, OTHER, FIRST], [MetFinding.of(found("q"), 1), MetFinding.of(found(), 2)], FIRST),
        # It was shown, so only the very finding was answered.
        ([("r", "b", "metformin")], [FIRST], [MetFinding.of(found(egfr=27.0), 0)], None),
        ([("r", "b", "metformin")], [FIRST], [MetFinding.of(found(), 0)], FIRST),
        ([("r", "b", "glipizide/metformin")], [FIRST], [MetFinding.of(found(egfr=27.0), 0)], None),
        # What was shown was another rule, band or drug.
        ([("q", "b", "metformin")], [FIRST], [MetFinding.of(found(egfr=27.0), 0)], FIRST),
        ([("r", "c", "metformin")], [FIRST], [MetFinding.of(found(egfr=27.0), 0)], FIRST),
        ([("r", "b", "lithium")], [FIRST], [MetFinding.of(found(egfr=27.0), 0)], FIRST),
        # Old decisions have no met findings: the rule alone tells, and the drug of what was shown.
        ([], [OFF, OTHER, FIRST, SECOND], [], FIRST),
        ([], [OTHER], [], None),
        ([("r", "b", "metformin")], [FIRST], [], None),
        ([("r", "b", "lithium"), ("q", "b", "metformin")], [FIRST], [], FIRST),
    ],
)
def test_a_finding_was_answered_where_the_decision_recorded_it(
    cards: list[tuple[str, str, str]],
    silences: list[tuple[str, str, str]],
    met: list[MetFinding],
    expected: tuple[str, str, str] | None,
) -> None:
    remembered = Remembered(response(*cards), silences, met=met)
    assert remembered.answered(found()) == (None if expected is None else WhyNot(*expected))


def card(uuid: str, *suggestions: str) -> Card:
    """A card with these suggestions."""
    offered = tuple(Suggestion(label=name, uuid=name) for name in suggestions)
    plain = Card(uuid=uuid, summary="s", indicator="info", source=Source(label="l"))
    return replace(plain, suggestions=offered, selection_behavior="at-most-one") if offered else plain


def call(**subjects: str) -> CheckedCall:
    """A call whose cards are about these subjects, by uuid; other cards are of orders."""
    findings = {uuid: PatientFinding("about", subject) for uuid, subject in subjects.items()}
    return CheckedCall(
        Caller("ehr", "p", "s", "patient-view"), 0.0, findings={uuid: findings.get(uuid) for uuid in "abcdef"}
    )


ENTRY = WorklistEntry(test="uACR", purpose="p", because="offered-before")
OF_EVENT = WorklistEntry(test="HbA1c", purpose="p", because="from-event")
RESTING = RestingFinding("Old", "shown", "2026-11-19", "2026-12-19")


def test_what_was_shown_before_or_kept_for_the_worklist_is_so_again() -> None:
    once, listed, twice = ("m", "said-once", "on Monday"), ("k", "worklist", "in the list"), ("m", "said-once", "again")
    sent = response(worklist=[ENTRY, OF_EVENT], resting=[RESTING])
    chosen = Chosen([card(uuid) for uuid in "abcdef"], [WhyNot("before", "x", "y")])
    Remembered(sent, [FIRST, once, listed, twice]).repeat(chosen, call(a="m", b="m", c="m", d="k", e="other"))
    assert chosen == Chosen(
        [card("c"), card("e"), card("f")],
        [WhyNot("before", "x", "y"), WhyNot(*once), WhyNot(*once), WhyNot(*listed)],
        [RESTING],
        [ENTRY],
    )


def test_a_card_that_was_shown_once_leaves_the_worklist_alone() -> None:
    chosen = Chosen([card("a")])
    Remembered(response(worklist=[ENTRY]), [("m", "said-once", "t")]).repeat(chosen, call(a="m"))
    assert chosen == Chosen([], [WhyNot("m", "said-once", "t")])


def test_what_was_withheld_is_withheld_in_the_order_of_the_record() -> None:
    budget, loop = ("r", "budget", "beyond 20 a day"), ("q", "from-event", "an event")
    chosen = Chosen([card("a", "a1", "a2"), card("b", "b1"), card("c", "c1", "c2"), card("d")])
    remembered = Remembered(
        response(worklist=[ENTRY, OF_EVENT]), [budget, loop], {"d": 1, "c2": 0, "gone": 1, "b1": 0, "c1": 0}
    )
    remembered.repeat(chosen, call())
    bare_b, bare_c = card("b"), card("c")
    assert chosen == Chosen(
        [card("a", "a1", "a2"), bare_b, bare_c],
        [WhyNot(*loop), WhyNot(*budget), WhyNot(*budget), WhyNot(*budget)],
        [],
        [OF_EVENT],
        {"d": 0, "c2": 1, "b1": 2, "c1": 3},
    )
    one_left = Chosen([card("c", "c1", "c2")])
    Remembered(response(worklist=[OF_EVENT]), [budget], {"c1": 0}).repeat(one_left, call())
    assert one_left == Chosen([card("c", "c2")], [WhyNot(*budget)], withheld={"c1": 0})


def test_rules_that_are_tried_are_on_or_off_whatever_the_site_says_of_them() -> None:
    governance = RecordedGovernance(None, needs_approval=False)
    assert governance.day == datetime.now(UTC).date()
    assert governance.tried == {}
    governance.recall(Remembered(b"{}", [FIRST]), date(2026, 11, 20))
    assert governance.day == date(2026, 11, 20)
    governance.tried = {"off": False, "on": True}
    check = governance.check_findings(call())
    off = WhyNot("off", "switched-off", "The rule off is switched off in this simulation.")
    assert [check(found(rule)) for rule in ("off", "on", "r", "free")] == [off, None, WhyNot(*FIRST), None]
    governance.recall(Remembered(b"{}", [("on", "acknowledged", "t")]), date(2026, 11, 21))
    assert governance.check_findings(call())(found("on")) == WhyNot("on", "acknowledged", "t")


def test_a_rule_that_is_not_approved_is_silent_unless_it_is_tried() -> None:
    governance = RecordedGovernance(None, needs_approval=True)
    governance.recall(Remembered(b"{}", [("renal-metformin", "acknowledged", "t")]), date(2026, 11, 20))
    silence = governance.check_findings(call())(found("renal-metformin"))
    assert silence is not None
    assert (silence.subject, silence.reason) == ("renal-metformin", "shadow")
    governance.recall(Remembered(b"{}", ()), date(2026, 11, 20))
    governance.tried = {"renal-metformin": True}
    assert governance.check_findings(call())(found("renal-metformin")) is None
