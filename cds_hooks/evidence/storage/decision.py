"""What is recorded about one call, and the interface of the decision log.

A decision's id is a UUID version 7 (RFC 9562): 48 bits of milliseconds and 12 bits of their fraction, which never
decrease within a process, then 46 random bits and 16 bits of zero. A card's uuid has the card's number, from 1, in the
last byte but one; a suggestion's uuid has its own number, from 1, in the last byte. So the uuid of a card in feedback
gives the id of its decision without a table of cards, which would cost one more row for every card on every call.

`RecordHealth` knows whether the record can be written: when writing last failed, why, and what the operator is told.
"""

import asyncio
import hashlib
import os
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Protocol, TypeVar

import msgspec

from cds_hooks.telemetry.logs import log

if TYPE_CHECKING:  # the commands that read the record must start quickly, and rules take a third of a second to load
    from fhir.mapping.features.feature import FeatureVector

_LOG_EVERY_SECONDS: Final = 10.0
_REMEMBERED_SECONDS: Final = 5.0
_NOT_PLAIN: Final = re.compile(r"[^A-Za-z0-9_.,:;/()*+-]+")


class RecordHealth:
    """Counts the decisions that could not be committed, and logs the cause at once and then every ten seconds."""

    def __init__(self, record: str, clock: Callable[[], float] = monotonic) -> None:
        """`record` names the record in sentences for callers."""
        self._record = record
        self.failures = 0
        """Number of decisions and probes that could not be committed since the process started."""
        self._clock = clock
        self._cause: str | None = None
        self._failed_at = 0.0
        self._logged_at: float | None = None

    @property
    def recent_failure(self) -> str | None:
        """Why the last commit failed, if that was in the last five seconds and no commit has succeeded since.

        A probe is smaller than a decision and may fit where a decision does not, so a successful probe is not enough.
        """
        if self._cause is None or self._clock() - self._failed_at > _REMEMBERED_SECONDS:
            return None
        return self._cause

    def refusal(self, cause: str) -> "RecordUnavailable":
        """Return what callers get; the log has the cause alone."""
        return RecordUnavailable(f"{self._record} cannot be written: {cause}", cause)

    def failed(self, cause: str, count: int = 1) -> None:
        """Record that `count` decisions, or a probe, could not be committed."""
        now = self._clock()
        self.failures += count
        self._cause, self._failed_at = cause, now
        if self._logged_at is None or now - self._logged_at >= _LOG_EVERY_SECONDS:
            self._logged_at = now
            log().error("record cannot be written", reason=plain(cause), count=self.failures)

    def succeeded(self) -> None:
        """Record that a decision was committed; the first success after a failure is logged."""
        if self._logged_at is not None:
            log().info("record can be written again", count=self.failures)
        self._cause = self._logged_at = None


def plain(cause: str) -> str:
    """Return the cause for the operational log: the database's message in at most 120 plain characters."""
    return _NOT_PLAIN.sub(" ", cause).strip()[:120]


_VERSION = 7 << 76
_VARIANT = 2 << 62
_LARGEST = 255
_ROUNDS = 8
_PARTS = 16

_last_tick = 0


def new_decision_id(random: bytes | None = None) -> str:
    """Return a UUID in lower case; ids sort by the time they were made, between processes by their clocks.

    Ids that were made with the same six bytes are of one call (`are_of_one_call`); without, they are of no other.
    """
    global _last_tick
    # 1 tick = 1 ms / 4096, the fraction RFC 9562 section 6.2 method 3 puts behind the milliseconds
    tick = max(time.time_ns() * 4096 // 1_000_000, _last_tick + 1)
    _last_tick = tick
    number = int.from_bytes(random or os.urandom(6), "big") & 0x3FFF_FFFF_FFFF
    value = (tick >> 12) << 80 | _VERSION | (tick & 0xFFF) << 64 | _VARIANT | number << 16
    digits = f"{value:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def are_of_one_call(decision_id: str, other: str) -> bool:
    """Return whether two ids were made with the same six bytes."""
    return decision_id[19:-4] == other[19:-4]


def suggestion_uuid(card: str, suggestion: int) -> str:
    """Return the uuid of a card's suggestion; the first suggestion has number 1.

    Raises:
        ValueError: the number is over 255.
    """
    return card[:-2] + _byte(suggestion)


def numbered_uuid(decision_id: str, number: int) -> str:
    """Return the uuid of the n-th card, suggestion or new order of a decision, counted together from 1.

    Above 255 the last byte is used too, up to 7, which leaves room for `part_uuid`.

    Raises:
        ValueError: the number is over 2,040.
    """
    rounds, position = divmod(number - 1, _LARGEST)
    if not 0 <= rounds < _ROUNDS:
        raise ValueError(f"a decision has at most {_LARGEST * _ROUNDS} cards, suggestions and orders, not {number}")
    return decision_id[:-4] + _byte(position + 1) + f"{rounds:02x}"


def part_uuid(uuid: str, part: int) -> str:
    """Return the uuid of a part, from 0 to 15, of what `numbered_uuid` named; unique in the decision."""
    if not 0 <= part < _PARTS:
        raise ValueError(f"what is named has up to {_PARTS} parts, not {part + 1}")
    return uuid[:-2] + _byte(128 + int(uuid[-2:], 16) % _ROUNDS * _PARTS + part)


def decision_of(uuid: str) -> str | None:
    """Return the id of the decision that a card or suggestion belongs to; None where the uuid is not one of ours."""
    text = uuid.strip().lower().removeprefix("urn:uuid:")
    if len(text) != 36 or text[14] != "7" or any(text[at] != "-" for at in (8, 13, 18, 23)):
        return None
    return text[:-4] + "0000"


def _byte(number: int) -> str:
    if not 1 <= number <= _LARGEST:
        raise ValueError(f"a decision has cards, and a card suggestions, 1 to {_LARGEST}, not {number}")
    return f"{number:02x}"


Outcome = Literal["cards", "silent", "error"]

TRIAL: Final = "trial:"
"""How the client of a trial call begins in the record: a call from /try or about a sample patient, which no care is
waiting for. No name of a trust file has a colon. Such a call counts in no budget, monitor or worklist."""


def is_trial(client: str) -> bool:
    """Return whether the client of a decision or an answer, as it is recorded, is that of a trial call."""
    return client.startswith(TRIAL)


class Decision(msgspec.Struct, frozen=True, gc=False):
    """One answered call for the record. `id` is made by `new_decision_id`."""

    id: str
    decided_at: int
    """Microseconds since 1970-01-01 UTC."""
    hook: str
    service: str
    hook_instance: str
    client: str
    patient: str
    """The patient's reference; stored only in the record, which is the audit store, and never logged."""
    outcome: Outcome
    input_digest: str
    """SHA-256 of what the decision was computed from (`basis.digest`), hexadecimal."""
    models: bytes
    """JSON array of `{"id", "version", "sha256"}` of the models that were used."""
    response: bytes
    """The body exactly as it was sent."""
    basis: bytes
    """JSON object of `encode_basis`: inputs with their evidence, scores, silences, timings."""
    user_id: str = ""
    """Who was shown the cards: a keyed hash of the user (`content.py`), the user in the clear, or an empty string."""
    estimated_by: str = ""
    """The ids of the models that estimated a risk, each between spaces (`estimated_by`); "" where none did."""
    facts: bytes | None = None
    """What else is needed to answer again (`prefetch/facts.py`); None where it is not kept. Lists are without them."""
    chart: bytes | None = None
    """The hash of the chart in the table `charts` with which it was made; None where none was recorded."""

    @property
    def is_refused(self) -> bool:
        """Whether the call was answered with an error: nothing was looked at."""
        return self.outcome == "error"

    @property
    def caller(self) -> str:
        """The client that called, whether its call was a trial or not."""
        return self.client.removeprefix(TRIAL)


class FeedbackItem(msgspec.Struct, frozen=True, gc=False):
    """A clinician's feedback on one card (CDS Hooks 2.0, feedback)."""

    card: str
    service: str
    client: str
    outcome: Literal["accepted", "overridden"]
    outcome_timestamp: str
    received_at: int
    """Microseconds since 1970-01-01 UTC."""
    accepted_suggestions: tuple[str, ...] = ()
    override_reason_code: str | None = None
    override_reason_system: str | None = None
    user_comment: str | None = None
    """The clinician's own words; they may contain patient data, so they are stored in the record only."""
    override_reason_display: str | None = None


ANSWERED_ON_PAGE: Final = "#explanation-page"
"""The end of `override_reason_system` where an answer was given on the page of the decision, not by the client.

What a client reports says that it reports answers at all, so that its other cards count as not accepted
(hold_back/history.py); what one person types on a page does not.
"""


def _write_decimal(value: object) -> msgspec.Raw:
    from fhir.record.datatypes import write_decimal  # an order with a number such as 2.50 has been read, and so has it

    return write_decimal(value)


_encoder = msgspec.json.Encoder(enc_hook=_write_decimal)


def encode_inputs(
    as_of: datetime,
    vector: "FeatureVector | None",
    orders: dict[str, Any] | None,
    vaccinations: dict[str, Any] | None = None,
) -> bytes:
    """JSON object of all inputs of a decision: clock, features with their evidence, drafted orders, vaccinations.

    A feature is recorded as value, time and resource; its name and unit are in the model's feature dictionary.
    """
    inputs: dict[str, Any] = {"as_of": as_of.isoformat()}
    if vector is not None:
        inputs["features"] = {
            evidence.feature.name: (evidence.value, evidence.effective, evidence.source)
            for evidence in vector.evidence
            if evidence is not None
        }
        inputs["missing"] = {gap.feature.name: gap.reason for gap in vector.missing}
    if orders is not None:
        inputs["orders"] = orders
    if vaccinations is not None:
        inputs["vaccinations"] = vaccinations
    return _encoder.encode(inputs)


def encode_part(part: Any) -> bytes:
    """Return models or scores as a decision has them on record; `null` where there are none."""
    return _encoder.encode(part)


def each_scores(scores: Mapping[str, Any] | None) -> Collection[dict[str, Any]]:
    """Return what each advisor computed, of scores as a basis has them: those of a single one stand alone."""
    of_advisors: dict[str, dict[str, Any]] = (scores or {}).get("advisors", {"": scores or {}})
    return of_advisors.values()


def estimated_by(scores: Mapping[str, Any] | None) -> str:
    """Return the ids of the models with an estimate in these scores, each between spaces; "" for none.

    >>> one, other = {"id": "mortality_5y", "probability": 0.2}, {"id": "readmission_30d", "probability": 0.4}
    >>> estimated_by({**one, "advisors": {"planning": one, "follow-up": other, "equation": {"id": "x", "value": 7}}})
    ' mortality_5y readmission_30d '
    """
    ids = [of_one["id"] for of_one in each_scores(scores) if "id" in of_one and of_one.get("probability") is not None]
    return f" {' '.join(ids)} " if ids else ""


class Basis(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What is recorded beside the inputs of a decision, to repeat and to explain it; what it has not is left out."""

    timings: dict[str, float]
    config: str = ""
    """The digest of what was in force (configuration.py)."""
    moment: str = ""
    """The hook of the library that a hook of the site extends."""
    units: Sequence[str] = ()
    """The care units of the patient, by which cards are counted and monitoring compares sites."""
    withheld: Mapping[str, int] | None = None
    """The place of the reason in `silence` by the uuid of a card or suggestion, or by the key of a rule's finding."""
    groups: Sequence[str] = ()
    """The race and ethnicity of the patient, by which monitoring compares the estimates."""
    chart: str = ""
    """The hash of a chart of which nothing else is kept."""
    trace: dict[str, str] | None = None
    """The call's position in a trace."""
    prefetch: msgspec.Raw | None = None
    """The state of each prefetch key; JSON already."""
    scores: dict[str, Any] | None = None
    silence: Sequence[tuple[str, str, str]] = ()
    """Subject, reason and text of each silence."""


def encode_basis(inputs: bytes, basis: Basis) -> bytes:
    """Return one JSON object of both; `inputs` is what `encode_inputs` gave."""
    return b"".join((inputs[:-1], b",", memoryview(_encoder.encode(basis))[1:]))


class DecisionBasis(msgspec.Struct, frozen=True):
    """What a decision on record was based on, as far as several readers ask for it (docs/operations/evidence.md)."""

    as_of: datetime | None = None
    moment: str = ""
    """The hook of the library that a hook of the site extends; "" where the hook is one of the library."""
    features: dict[str, tuple[float, str | None, str | None]] = {}
    """Of each feature its value, when that was, and the resource it is from."""
    missing: dict[str, str] = {}
    units: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    prefetch: dict[str, Any] = {}
    """The state of each key: a word, or an object with the reason beside it."""
    scores: dict[str, Any] | None = None
    silence: tuple[tuple[str, str, str], ...] = ()


read_basis: Final = msgspec.json.Decoder(DecisionBasis).decode
"""Returns the basis of its JSON; msgspec.DecodeError where it has another form."""

WaitingDecisions = list[tuple[Decision, "asyncio.Future[None]"]]
"""Decisions that are not committed yet, each with the future that its caller awaits."""

_Item = TypeVar("_Item", Decision, FeedbackItem)


class RecordUnavailable(Exception):
    """The record cannot be written or read; the message is a sentence for the operator, without patient data."""

    what_cannot_be_used: ClassVar[str] = "The record of decisions"

    def __init__(self, message: str, cause: str = "") -> None:
        """`cause` is what the database said, for the log; the message where it said nothing."""
        super().__init__(message)
        self.cause = cause or message


class StoredChart(msgspec.Struct, frozen=True):
    """A row of the table `charts`, in the order of its columns."""

    hash: bytes
    content: bytes
    """As it is stored."""


def chart_hash(content: bytes) -> bytes:
    """Return the name of a chart: SHA-256 of its content."""
    return hashlib.sha256(content).digest()


class DecisionLog(Protocol):
    """The append-only record of decisions; one log per process, used from one event loop."""

    health: RecordHealth
    """Whether commits succeed and, if not, why."""

    async def append(self, decision: Decision, chart: StoredChart | None = None) -> None:
        """Return when the decision is committed, with the chart that it names; never before.

        Raises:
            RecordUnavailable: it could not be committed.
        """

    async def check(self) -> None:
        """Return within 2 seconds if the database can be written.

        The check writes at most once a second, and not a row of the record.

        Raises:
            RecordUnavailable: it cannot be written.
        """

    async def close(self) -> None:
        """Commit the waiting decisions and close the database."""


def answer_all(waiting: WaitingDecisions, refusal: RecordUnavailable | None) -> None:
    """Answers every waiting caller: with success, or with this refusal."""
    for _, future in waiting:
        if future.done():  # its caller was canceled; the decision is in the record all the same
            continue
        if refusal is None:
            future.set_result(None)
        else:
            future.set_exception(RecordUnavailable(str(refusal), refusal.cause))  # each with a traceback of its own


def without_nul(item: _Item) -> _Item:
    """Return the text with U+FFFD in place of NUL, which JSON strings can contain and PostgreSQL's text cannot."""
    changed = {
        name: value.replace("\0", "\N{REPLACEMENT CHARACTER}")
        for name in item.__struct_fields__
        if isinstance(value := getattr(item, name), str) and "\0" in value
    }
    return msgspec.structs.replace(item, **changed) if changed else item
