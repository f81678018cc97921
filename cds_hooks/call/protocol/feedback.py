"""Reads POST /cds-services/{id}/feedback and finds the card that each item is about.

Besides the published form (CDS Hooks 2.0.1, feedback) these are read: one item without the list around it;
`overrideReasons` instead of `overrideReason` (Epic), also as a list; a reason that the client configured itself (Epic's
extension); the flat reason of the drafts of 2020. Clients registered for 1.0 or 1.1 may also name suggestions by plain
strings and leave out the time zone.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeVar

import msgspec
from msgspec import Raw, Struct, field, structs

from cds_hooks.call.protocol.body import check_head, check_text
from cds_hooks.errors import BadRequest, PayloadTooLarge, TooDeep
from cds_hooks.evidence.storage.decision import TRIAL, Decision, FeedbackItem, decision_of
from cds_hooks.evidence.storage.sent import SentCard, read_response
from fhir.record.refusals import describe_decoder_error, error_path, json_kind, not_json

MOST_ITEMS: Final = 1000
"""The most that one report may hold; a batch of a day is sent in parts."""

MOST_BYTES: Final = 2 * 1024 * 1024
"""The longest report that is read: two kilobytes for each of its items."""

_EPIC_REASON: Final = "com.epic.cdshooks.feedback.overrideReason"
# RFC 3339 section 5.6; the zone may be left out in the ballot that became 2.0 ("ISO timestamp").
_INSTANT: Final = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(?P<zone>Z|[+-]\d\d:\d\d)?", re.IGNORECASE | re.ASCII
)


class ReasonCoding(Struct, frozen=True):
    """A coded override reason."""

    code: str
    system: str | None = None
    display: str | None = None


class OverrideReasonGiven(Struct, frozen=True):
    """Why a clinician overrode a card, in any of the forms that are read."""

    reason: ReasonCoding | None = None
    userComment: str | None = None
    extension: dict[str, Any] | None = None
    code: str | None = None
    system: str | None = None
    display: str | None = None

    @property
    def coding(self) -> ReasonCoding | None:
        """The override reason, in the published form, in a flat form, or in the form of Epic's own reasons."""
        if self.reason is not None:
            return self.reason
        if self.code is not None:
            return ReasonCoding(self.code, self.system, self.display)
        extension_texts = {name: value for name, value in (self.extension or {}).items() if isinstance(value, str)}
        title = extension_texts.get(f"{_EPIC_REASON}.reasonDisplay") or extension_texts.get(
            f"{_EPIC_REASON}.reasonTitle"
        )
        category = extension_texts.get(f"{_EPIC_REASON}.reasonCategory") or title
        return None if category is None else ReasonCoding(category, f"{_EPIC_REASON}.reasonCategory", title)


class AcceptedSuggestion(Struct, frozen=True):
    """A suggestion that the clinician accepted."""

    id: str


class FeedbackEntry(Struct, frozen=True):
    """What a clinician did with one card."""

    card: str
    """The uuid of the card."""
    outcome: Literal["accepted", "overridden"]
    outcomeTimestamp: str
    acceptedSuggestions: tuple[AcceptedSuggestion | str, ...] | None = None
    overrideReason: OverrideReasonGiven | None = None
    overrideReasons: OverrideReasonGiven | tuple[OverrideReasonGiven, ...] | None = None

    @property
    def override(self) -> OverrideReasonGiven | None:
        """The reason by whichever name; of several the first."""
        if self.overrideReason is not None or not isinstance(self.overrideReasons, tuple):
            return self.overrideReason or self.overrideReasons  # type: ignore[return-value] # no tuple is left
        return self.overrideReasons[0] if self.overrideReasons else None


_Item = TypeVar("_Item")
_members: Final = msgspec.json.Decoder(dict[str, Raw])
_item: Final = msgspec.json.Decoder(FeedbackEntry)
_list: Final = msgspec.json.Decoder(tuple[FeedbackEntry, ...])


def read_feedback(
    body: bytes, service: str, client: str, received_at: int, *, old_forms: bool = False
) -> list[FeedbackItem]:
    """Return the items of one report, all or none: BadRequest where one of them is not what is read here.

    `received_at`: epoch microseconds; `old_forms`: the client is registered for CDS Hooks 1.0 or 1.1.
    """

    def items_of(members: dict[str, Raw]) -> tuple[FeedbackEntry, ...]:
        if "feedback" not in members and "card" in members:
            return (_item.decode(body),)
        return _list.decode(members.get("feedback", b"null"))

    items = read_list(body, "feedback", items_of, MOST_ITEMS, FeedbackEntry)
    return [_checked(item, f"feedback[{n}]", service, client, received_at, old_forms) for n, item in enumerate(items)]


def read_list(
    body: bytes, member: str, items_of: Callable[[dict[str, Raw]], tuple[_Item, ...]], most: int, item: Any
) -> tuple[_Item, ...]:
    """Return the items of a body whose `member` is a list of them, all or none.

    Raises:
        BadRequest, TooDeep, PayloadTooLarge: The body holds no such list, an empty one, or more than `most` items.
    """
    check_text(body)
    place = ""
    members: dict[str, Raw] = {}
    try:
        members = _members.decode(body)
        check_head(body)
        place = member
        items = items_of(members)
    except RecursionError as error:
        raise TooDeep(f"The body is nested deeper than any list of {member}; nothing was read.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _refused(error, body, members if place else None, member, item) from error
    if not items:
        raise BadRequest(
            f"`{member}` must have at least one item; received an empty list. Nothing was recorded.", member
        )
    if len(items) > most:
        raise PayloadTooLarge(f"{member} has more than {most} items; send it in parts.", member)
    return items


def _refused(error: Exception, body: bytes, members: dict[str, Raw] | None, member: str, item: Any) -> BadRequest:
    """Return what is wrong with a body of which no list could be read; `members` is None where it is no object."""
    wanted, path = f'an object {{"{member}": [...]}}', None
    if not isinstance(error, msgspec.ValidationError):
        text = not_json(body, error, wanted)
    elif members is None:
        text = f"The body must be {wanted}; received {json_kind(body.lstrip())}."
    elif member not in members:
        text = f"The body must be {wanted}: `{member}` is required and missing."
    else:
        text, path = f"{describe_decoder_error(error, member, tuple[item, ...])}.", error_path(error, member)
    return BadRequest(f"{text} Nothing was recorded.", path)


def _checked(
    item: FeedbackEntry, location: str, service: str, client: str, received_at: int, old_forms: bool
) -> FeedbackItem:
    accepted = item.acceptedSuggestions or ()
    if item.outcome == "accepted" and not accepted:
        raise BadRequest(
            "The outcome is accepted, so `acceptedSuggestions` must name one suggestion or more; received none. "
            "Nothing was recorded.",
            f"{location}.acceptedSuggestions",
        )
    if not old_forms and any(isinstance(suggestion, str) for suggestion in accepted):
        raise BadRequest(
            'An accepted suggestion must be an object {"id": ...}; received a string. Nothing was recorded.',
            f"{location}.acceptedSuggestions",
        )
    if not item.card.strip():
        raise BadRequest(
            f"`{location}.card` must be the uuid of the card; received blank text. Nothing was recorded.",
            f"{location}.card",
        )
    override = item.override or OverrideReasonGiven()
    coding = override.coding
    if item.override is not None and coding is None and override.userComment is None:
        raise BadRequest(
            f"`{location}.overrideReason` must have a `reason` or a `userComment`; received neither. "
            "Nothing was recorded.",
            f"{location}.overrideReason",
        )
    return FeedbackItem(
        card=plain_uuid(item.card),
        service=service,
        client=client,
        outcome=item.outcome,
        outcome_timestamp=_instant(item.outcomeTimestamp, f"{location}.outcomeTimestamp", old_forms),
        received_at=received_at,
        accepted_suggestions=tuple(
            plain_uuid(suggestion if isinstance(suggestion, str) else suggestion.id) for suggestion in accepted
        ),
        override_reason_code=coding.code if coding else None,
        override_reason_system=coding.system if coding else None,
        override_reason_display=coding.display if coding else None,
        user_comment=override.userComment,
    )


def plain_uuid(text: str) -> str:
    """As we wrote it: lower case, without the `urn:uuid:` that some put in front (TRAP-25)."""
    return text.strip().lower().removeprefix("urn:uuid:")


def _instant(text: str, location: str, old_forms: bool) -> str:
    """Return the instant in UTC, so that the same one is the same however it was written."""
    match = _INSTANT.fullmatch(text)
    if match is None or (match["zone"] is None and not old_forms):
        raise BadRequest(
            f"`{location}` must be an instant such as 2026-11-20T09:05:31Z (RFC 3339); received {_form_of(text)}. "
            "Nothing was recorded.",
            location,
        )
    try:
        moment = datetime.fromisoformat(text.upper())
        utc = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise BadRequest(
            f"`{location}` must be an instant that exists; its date or time does not. Nothing was recorded.",
            location,
        ) from error
    return utc.isoformat().replace("+00:00", "Z")


def _form_of(text: str) -> str:
    """Say what kind of text came, without the text."""
    if not text.strip():
        return "blank text"
    if _INSTANT.fullmatch(text):
        return "a time without a zone"
    return "a date or time in another form" if any(letter.isdigit() for letter in text) else "text without a date"


UNKNOWN_CARD: Final = "unknown-card"
OTHER_CLIENT: Final = "other-client"
OTHER_SERVICE: Final = "other-service"
UNKNOWN_SUGGESTION: Final = "unknown-suggestion"


class MatchedFeedback(Struct):
    """The items that belong to a card of ours, and for each that does not the reason."""

    items: list[FeedbackItem] = field(default_factory=list)
    unmatched: list[str] = field(default_factory=list)


def match_feedback(items: Iterable[FeedbackItem], decisions: Mapping[str, Decision]) -> MatchedFeedback:
    """Separates the items: one about a card that this client did not get must not fail the batch (FB-17, FB-18).

    An answer to the card of a trial is an answer of the trial: it counts nowhere.
    """
    matched = MatchedFeedback()
    # a report may have a thousand items about one long answer, which is decoded once
    answers = {key: read_response(decision.response) for key, decision in decisions.items()}
    sent = {key: {card.uuid: card for card in answer.cards} for key, answer in answers.items()}
    for item in items:
        key = decision_of(item.card) or ""
        decision, card = decisions.get(key), sent.get(key, {}).get(item.card)
        if decision is not None and decision.client == f"{TRIAL}{item.client}":
            item = structs.replace(item, client=decision.client)
        if decision is None or card is None:
            matched.unmatched.append(UNKNOWN_CARD)
        elif decision.client != item.client:
            matched.unmatched.append(OTHER_CLIENT)
        elif decision.service != item.service:
            matched.unmatched.append(OTHER_SERVICE)
        else:
            _take(item, card, matched)
    return matched


def _take(item: FeedbackItem, card: SentCard, matched: MatchedFeedback) -> None:
    ours = {suggestion.uuid for suggestion in card.suggestions}
    accepted = dict.fromkeys(item.accepted_suggestions)
    sent_suggestions = tuple(suggestion for suggestion in accepted if suggestion in ours)
    matched.unmatched += [UNKNOWN_SUGGESTION] * (len(accepted) - len(sent_suggestions))
    if sent_suggestions or item.outcome == "overridden":
        matched.items.append(structs.replace(item, accepted_suggestions=sent_suggestions))
