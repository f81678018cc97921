"""What the record keeps of the text part: who asked what of which patient, what left and what was shown, as counts.

The texts themselves are not kept. Where the record cannot be written, nothing leaves and nothing is shown.
"""

from typing import Any, Final

import msgspec

from cds_hooks.settings import settings
from cds_hooks.storage.database import parse_url
from cds_hooks.storage.entries import add_event
from cds_hooks.storage.opening import upgrade_schema
from cds_hooks.text.summary import Summary

SUMMARY_EVENT: Final = "text-summary"
"""The kind of the entries of the record about summaries."""


def ensure_record(url: str) -> None:
    """Sees that the record is there before something leaves.

    Raises:
        RecordUnavailable: it cannot be opened.
    """
    upgrade_schema(parse_url(url))


def record_summary(actor: str, summary: Summary, *, url: str = "", patient: str = "", client: str = "") -> None:
    """Record that somebody was shown a summary.

    Raises:
        RecordUnavailable: it cannot be written; then the summary is not shown.
    """
    detail: dict[str, Any] = {
        "patient": patient,
        "client": client,
        "sentences": len(summary.sentences),
        "by_model": sum(bool(sentence.tag) for sentence in summary.sentences),
        "cites": len({cite for sentence in summary.sentences for cite in sentence.cites}),
    }
    if summary.writing is not None:
        detail |= {"writing": msgspec.to_builtins(summary.writing), "notice": summary.notice}
    add_event(url or settings().database_url, SUMMARY_EVENT, actor, detail)
