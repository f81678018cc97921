"""What a decision advised, what was chosen and what was held back is told by uuid, and the same everywhere."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cds_hooks.cli import app
from cds_hooks.decision_history import decision_history
from cds_hooks.storage.decision import Decision, card_uuid, new_decision_id, numbered_uuid, part_uuid
from tests.cds_hooks.calls import ORDERS, client, ours, request_for
from tests.cds_hooks.kit.samples.reading import AS_OF
from tests.cds_hooks.storage.samples import a_decision, some_feedback
from tests.live import record_in

ID = new_decision_id()
ACCEPTED: Any = {"outcome": "accepted", "override_reason_code": None, "user_comment": None}


def order_card(*labels: str) -> dict[str, Any]:
    """A card of orders, whose suggestions are counted together with the cards and orders of the whole answer."""
    suggestions = [{"label": label, "uuid": numbered_uuid(ID, 7 + number)} for number, label in enumerate(labels)]
    return {
        "uuid": part_uuid(card_uuid(ID, 4), 2), "summary": "Metformin: eGFR 25", "indicator": "critical",
        "source": {"label": "s"}, "suggestions": suggestions,
    }  # fmt: skip


def recorded(*cards: dict[str, Any], silence: Any = ()) -> Decision:
    """A decision with these cards."""
    basis = {"as_of": "2026-11-20T09:00:00+00:00", "silence": silence}
    return a_decision(id=ID, response=json.dumps({"cards": cards}).encode(), basis=json.dumps(basis).encode())


def test_what_nobody_answered_is_said_and_what_the_answer_did_not_have_is_never_taken_for_another() -> None:
    card = order_card("Cancel this order")
    assert decision_history(recorded(card), []).lines == ("Metformin: eGFR 25: No answer is on record",)
    foreign = some_feedback(ID, **ACCEPTED, card=card["uuid"], accepted_suggestions=("x",))
    elsewhere = some_feedback(ID, card=card_uuid(ID, 9))
    history = decision_history(recorded(card), [foreign, elsewhere])
    assert history.advised[0].answers[0].chosen == ("suggestion x, which the card did not offer",)
    assert history.advised[1].summary == f"Card {card_uuid(ID, 9)}, which this answer did not have"


def test_what_was_held_back_is_told_with_its_reason_and_what_was_not_found_is_not() -> None:
    silence = [["rule", "paused", "It is paused."], ["model", "below-threshold", "It is low."]]
    history = decision_history(recorded(silence=silence), [])
    assert [reason.subject for reason in history.withheld] == ["rule"]
    assert history.lines == ("Held back: It is paused.",)


@pytest.mark.parametrize("choice", [0, 1])
async def test_page_list_and_command_name_the_suggestion_that_was_accepted(tmp_path: Path, choice: int) -> None:
    async with client(tmp_path, as_of=AS_OF) as calls:
        body = request_for(ORDERS, "order-sign", "ckd4-metformin", AS_OF, "metformin-ckd4-coded")
        answer = await calls.post(f"/cds-services/{ORDERS}", json=body)
        decision, card = ours(answer)["decision"], answer.json()["cards"][0]
        chosen, other = card["suggestions"][choice], card["suggestions"][1 - choice]
        accepted = {"acceptedSuggestions": [{"id": chosen["uuid"]}], "outcomeTimestamp": "2026-11-20T09:20:00Z"}
        feedback = {"feedback": [{"card": card["uuid"], "outcome": "accepted", **accepted}]}
        assert (await calls.post(f"/cds-services/{ORDERS}/feedback", json=feedback)).status_code == 200
        page = await calls.get(f"/explain/{decision}", headers={"accept": "text/html"})
    shown = CliRunner().invoke(app, ["decisions", "show", decision, "--json", "--database", record_in(tmp_path)])
    assert f"Followed ({chosen['label']})" in page.text
    assert f"Followed ({chosen['label']})" in " ".join(json.loads(shown.stdout)["history"])
    for text in (page.text, shown.stdout):
        assert f"Followed ({other['label']})" not in text
