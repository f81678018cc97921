"""What is kept of one answered hook call, and of a clinician's answer to a card."""

from typing import Literal

import msgspec

Outcome = Literal["cards", "silent", "error"]


class Decision(msgspec.Struct, frozen=True, gc=False):
    """One answered call as it goes into the record. `id` is made by `identifiers.new_decision_id`."""

    id: str
    decided_at: int
    """Microseconds since 1970-01-01 UTC."""
    hook: str
    service: str
    hook_instance: str
    client: str
    patient: str
    """The patient's reference. It is in the record, which is the audit store, and never in a log."""
    outcome: Outcome
    input_digest: str
    """SHA-256 of what the decision was computed from (`basis.digest`), hexadecimal."""
    models: bytes
    """JSON array of `{"id", "version", "sha256"}` of the models that were asked."""
    response: bytes
    """The body exactly as it was sent."""
    basis: bytes
    """JSON object as `basis.encode_basis` makes it: inputs with their evidence, scores, silences, timings."""


class FeedbackItem(msgspec.Struct, frozen=True, gc=False):
    """What a clinician did with one card (CDS Hooks 2.0, feedback)."""

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
    """The clinician's own words: may hold patient data, so it is in the record only."""
    override_reason_display: str | None = None
