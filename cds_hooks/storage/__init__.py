"""The decision record: every answer is committed here before it leaves."""

from cds_hooks.storage.decision import Decision, FeedbackItem
from cds_hooks.storage.identifiers import card_uuid, decision_of, new_decision_id, suggestion_uuid
from cds_hooks.storage.log import DecisionLog, RecordUnavailable
from cds_hooks.storage.opening import open_decision_log

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
