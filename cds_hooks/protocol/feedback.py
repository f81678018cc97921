"""POST /cds-services/{id}/feedback: what clinicians did with cards (CDS Hooks 2.0.1, feedback)."""

from typing import Literal

import msgspec
from msgspec import Struct

from cds_hooks.errors import BadRequest
from cds_hooks.storage.decision import FeedbackItem


class _Coding(Struct, frozen=True):
    code: str
    system: str | None = None
    display: str | None = None


class _OverrideReason(Struct, frozen=True):
    reason: _Coding | None = None
    userComment: str | None = None


class _AcceptedSuggestion(Struct, frozen=True):
    id: str


class _Item(Struct, frozen=True):
    card: str
    outcome: Literal["accepted", "overridden"]
    outcomeTimestamp: str
    acceptedSuggestions: tuple[_AcceptedSuggestion, ...] = ()
    overrideReason: _OverrideReason | None = None


class _Body(Struct, frozen=True):
    feedback: tuple[_Item, ...]


_decoder = msgspec.json.Decoder(_Body)


def read_feedback(body: bytes, service: str, client: str, received_at: int) -> list[FeedbackItem]:
    """The items to store; BadRequest where the body is not the published form. `received_at`: epoch microseconds."""
    try:
        items = _decoder.decode(body).feedback
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        text = str(error).replace("`", "").replace("$.", "")
        raise BadRequest(f"The body is not CDS Hooks feedback: {text}.") from error
    if not items:
        raise BadRequest("feedback is an empty list; send at least one item.", "feedback")
    for position, item in enumerate(items):
        if item.outcome == "accepted" and not item.acceptedSuggestions:
            place = f"feedback[{position}].acceptedSuggestions"
            raise BadRequest("An accepted card names the suggestions that were accepted.", place)
    return [_stored(item, service, client, received_at) for item in items]


def _stored(item: _Item, service: str, client: str, received_at: int) -> FeedbackItem:
    override = item.overrideReason or _OverrideReason()
    return FeedbackItem(
        card=item.card,
        service=service,
        client=client,
        outcome=item.outcome,
        outcome_timestamp=item.outcomeTimestamp,
        received_at=received_at,
        accepted_suggestions=tuple(suggestion.id for suggestion in item.acceptedSuggestions),
        override_reason_code=override.reason.code if override.reason else None,
        override_reason_system=override.reason.system if override.reason else None,
        user_comment=override.userComment,
    )
