"""Why something could not be read from a FHIR server. No address, token or answer of the server is in any text.

FetchError
└── InvalidQuery    what was asked for is not a plain read or search; nothing was sent
"""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

Reason: TypeAlias = Literal[
    "not-a-query", "timeout", "unreachable", "busy", "unauthorized", "forbidden", "server-error", "unreadable",
    "too-large", "elsewhere",
]  # fmt: skip
_SENTENCES: Final[Mapping[Reason, str]] = {
    "not-a-query": "the query is not a plain read or search",
    "timeout": "the FHIR server did not answer in time",
    "unreachable": "the FHIR server cannot be reached",
    "busy": "the FHIR server is busy and asks to wait longer than there is time",
    # CDS Hooks has no way to refresh a token (checklist row FHIR-20).
    "unauthorized": "the FHIR server refuses the access token with 401",
    "forbidden": "the FHIR server refuses this user or client with 403",
    "server-error": "the FHIR server answered with an error",
    "unreadable": "the FHIR server's answer is no FHIR resource of the kind that was asked for",
    "too-large": "the answer is larger than what is read",
    # Tokens and queries are sent to one origin only: a redirect or a next page may lead away from it.
    "elsewhere": "the FHIR server points to another address, which is not followed",
}


class FetchError(Exception):
    """Nothing was read; `reason` is a code for metrics and records, `text` a sentence for a person."""

    def __init__(self, reason: Reason, text: str | None = None) -> None:
        self.reason = reason
        self.text = text or _SENTENCES[reason]
        super().__init__(self.text)


class InvalidQuery(FetchError):
    """The query is not a plain read or a type-level search."""

    def __init__(self) -> None:
        super().__init__("not-a-query")
