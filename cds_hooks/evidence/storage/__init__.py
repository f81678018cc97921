"""The decision record: every decision is committed here before its answer is sent."""

from cds_hooks.evidence.storage.decision import (
    Decision,
    DecisionLog,
    FeedbackItem,
    RecordUnavailable,
    card_uuid,
    decision_of,
    new_decision_id,
    suggestion_uuid,
)
from cds_hooks.evidence.storage.opening import open_decision_log

__all__ = [
    "Decision",
    "DecisionLog",
    "FeedbackItem",
    "RecordUnavailable",
    "card_uuid",
    "decision_of",
    "new_decision_id",
    "open_decision_log",
    "suggestion_uuid",
]
