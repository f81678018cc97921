"""What the page of a decision says of each input, and which answers it offers and repeats: in whole words."""

import json
import math
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from cds_hooks.decision_history import (
    AdvisedCard,
    CardAnswer,
    CardSource,
    DecisionHistory,
    Reason,
    Suggestion,
    decision_history,
)
from cds_hooks.pages.explain.recorded_decision import Input, ReadableCard, RecordedBasis, average_of, read_inputs
from cds_hooks.pages.explain.views import (
    WRONG,
    AnswerForm,
    AnswerRefused,
    answer_forms,
    read_answer,
    timeline,
)
from cds_hooks.storage.decision import Decision, FeedbackItem, new_decision_id
from cds_hooks.storage.outcomes import Outcome
from models_onnx.artifact.manifest import ModelInput
from tests.cds_hooks.storage.samples import a_decision
from tests.each import for_rows

AS_OF = datetime(2026, 11, 20, 9, tzinfo=UTC)


def an_input(name: str = "their_value", **more: Any) -> ModelInput:
    """An input of a model of somebody else."""
    made = ModelInput(name, "Their value", "mg/dL", (), "", 1.0, 9.0, None, 4.0, None)
    return replace(made, **more)


def read(feature: ModelInput, value: float, source: str = "Observation/1", contribution: float = 0.5) -> Input:
    """The input with this value of nine days before."""
    manifest: Any = type("Manifest", (), {"features": [feature]})
    scores: Any = type("Scores", (), {"contributions": {feature.name: contribution}})
    (made,) = read_inputs(RecordedBasis(AS_OF, {feature.name: (value, "2026-11-11", source)}), scores, manifest)
    return made


def test_an_input_has_its_value_date_and_place_beside_the_average() -> None:
    assert read(an_input(), 5.0) == Input(
        name="their_value",
        words="Their value",
        value="5 mg/dL",
        figure="5",
        unit="mg/dL",
        date="2026-11-11",
        age="9 days old",
        source="Observation/1",
        gap="",
        used="",
        compared="above average (4)",
        average="4 mg/dL",
        contribution=0.5,
    )
    assert [read(an_input(), value).compared for value in (3.0, 4.0, 4.0001)] == [
        "below average (4)", "average (4)", "average (4)",
    ]  # fmt: skip
    assert read(an_input(reference_value=math.nan), 5.0).compared == ""
    assert [read(an_input(clip_high=6.0), value).used for value in (5.9, 6.0, 7.0)] == ["", "6 or over", "6 or over"]


def test_codes_sexes_and_answers_are_said_in_words() -> None:
    coded = an_input(choices=("never", "before"))
    assert [(read(coded, value).value, read(coded, value).compared) for value in (0.0, 1.0, 2.0, -1.0)] == [
        ("never", ""), ("before", ""), ("2 mg/dL", ""), ("\N{MINUS SIGN}1 mg/dL", ""),
    ]  # fmt: skip
    sex = an_input("sex_male", unit="")
    assert [(made.value, made.age, made.compared) for made in (read(sex, 1.0), read(sex, 0.0))] == [
        ("male", "at this call", ""),
        ("female", "at this call", ""),
    ]
    assert read(an_input("age_years"), 70.0).age == "at this call"


def test_an_average_is_a_quantity_a_share_or_nothing() -> None:
    assert average_of(an_input("sex_male", reference_value=0.474)) == "47 in 100 are male"
    assert average_of(an_input(reference_value=math.nan)) == ""
    assert average_of(an_input(choices=("a", "b"))) == ""


def test_without_its_manifest_inputs_are_those_that_were_recorded() -> None:
    basis = RecordedBasis(AS_OF, {"theirs": (5.0, "", "")}, {"age_years": "absent"})
    theirs, age = read_inputs(basis, None, None)
    assert (theirs.name, theirs.words, theirs.value, theirs.average) == ("theirs", "theirs", "5", "")
    assert (age.name, age.words, age.unit, age.gap) == ("age_years", "Age", "years", "not recorded")


# Answers


def a_card(uuid: str = "u", **more: Any) -> ReadableCard:
    """A card with two suggestions, one of them without an id, and two reasons."""
    made = ReadableCard(
        "Look",
        "info",
        CardSource("s"),
        uuid,
        suggestions=[Suggestion("Stop", uuid="s-1"), Suggestion("Look again")],
        override_reasons=[Reason("Not now", "later", "urn:x"), Reason("Own reason")],
    )
    return replace(made, **more)


def answer(card: ReadableCard, *, may_write: bool = True, **fields: str) -> FeedbackItem:
    """What is read of a form."""
    chosen, words = fields.get("answer", ""), fields.get("words", "")
    return read_answer(card, chosen, words, ("planning", "a hospital"), 1_795_165_200_000_000, may_write=may_write)


def test_the_choices_of_a_card_are_its_suggestions_its_reasons_and_that_it_is_wrong() -> None:
    offered = {
        "s0": "Followed: Stop", "r0": "Not followed: Not now", "r1": "Not followed: Own reason", WRONG: "This is wrong",
    }  # fmt: skip
    first, second = CardAnswer(1, "2026-11-20", True, ("Stop",)), CardAnswer(2, "2026-11-21", False)
    history = DecisionHistory((AdvisedCard("v", "Look", "info", ("Stop",), (first, second)),), ())
    assert answer_forms([a_card(), a_card(""), a_card("v")], history) == {
        "u": AnswerForm(1, offered),
        "v": AnswerForm(3, offered, "Followed (Stop) on 2026-11-20"),
    }


@for_rows(
    ("fields", "may_write", "why"),
    [
        ({"answer": "s0", "words": "x"}, True, "A text belongs to “This is wrong” only."),
        ({"answer": WRONG, "words": "x"}, False, "A text belongs to “This is wrong” only."),
        ({"answer": WRONG, "words": "x" * 501}, True, "The text has 501 characters; 500 can be kept."),
        ({"answer": "s1"}, True, "Choose one of the answers."),
        ({"answer": "r2"}, True, "Choose one of the answers."),
        ({}, True, "Choose one of the answers."),
    ],
)
def test_what_is_no_answer_is_refused_in_a_sentence(fields: dict[str, str], *, may_write: bool, why: str) -> None:
    with pytest.raises(AnswerRefused) as refused:
        answer(a_card(), may_write=may_write, **fields)
    assert str(refused.value) == why


AT = 1_795_165_200_000_000  # 2026-11-20 09:00 UTC
MINUTE = 60_000_000
ID = new_decision_id()


def recorded(cards: list[dict[str, Any]], basis: dict[str, Any] | None = None, **changes: Any) -> Decision:
    """A decision of 09:00 with these cards."""
    whole = {"as_of": "2026-11-20T09:00:00+00:00"} | (basis or {})
    texts = {"response": json.dumps({"cards": cards}).encode(), "basis": json.dumps(whole).encode()}
    return a_decision(**({"id": ID, "decided_at": AT, "hook_instance": "i", "user_id": "u7"} | texts | changes))


def moments(decision: Decision, answers: Any = (), outcomes: Any = ()) -> list[tuple[str, str]]:
    """What happened, with the time of day."""
    took = sum(json.loads(decision.basis).get("timings", {}).values())
    every = timeline(decision, took, decision_history(decision, answers), outcomes)
    return [(at[11:16], what) for at, what in every]


CALLED = "a hospital called patient-view. Service planning, hook instance i, for: u7"


@for_rows(
    ("changes", "sentence"),
    [
        ({}, CALLED),
        ({"hook": ""}, CALLED.replace("patient-view", "a hook that was not read")),
        (
            {"hook_instance": "", "user_id": ""},
            "a hospital called patient-view. Service planning, hook instance not recorded, for: no user named, or "
            "users are not recorded here",
        ),
        ({"user_id": None}, CALLED.replace("u7", "not recorded by the version that wrote this")),
        (
            {"client": "trial:ehr"},
            CALLED.replace(
                "a hospital called patient-view", "Somebody tried patient-view at /try, as ehr; a trial counts nowhere"
            ),
        ),
    ],
)
def test_what_a_call_does_not_say_is_said(changes: Any, sentence: str) -> None:
    assert moments(recorded([], **changes)) == [("09:00", sentence)]


def test_outcomes_say_what_happened_when_and_which_version_it_is() -> None:
    event = Outcome(ID, "planning", "a hospital", "event", "mortality_5y", "no", "2027-01-01", "fhir", AT + MINUTE, 1)
    order = Outcome(ID, "planning", "a hospital", "order", "", "withdrawn", None, "api", AT + 2 * MINUTE, 2)
    assert moments(recorded([]), (), [order, event])[1:] == [
        ("09:01", "Outcome reported: event mortality_5y is no, which happened 2027-01-01 (source: fhir)"),
        ("09:02", "Outcome reported: order is withdrawn (source: api, version 2: a correction)"),
    ]
