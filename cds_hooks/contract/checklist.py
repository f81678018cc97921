"""The rows of the conformance checklist: what each says, how binding it is, whether it can be seen from outside.

Source: the CDS Hooks conformance checklist (2.0.1, shared material of the project, 266 rows); the words are our own.
`rows.csv` holds the 157 rows that bind a service, the rows of the client that are tried on a service, and Epic's ways
(from the note on EHR dialects). Rows of the hooks' fields (`HK-<hook>-<field>`) are made from `hooks.csv`."""

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from cds_hooks.contract.definitions import FIELDS

SECTIONS = {
    "GEN": "JSON and transport",
    "CAP": "Capabilities",
    "DISC": "Discovery",
    "REQ": "Calling a service",
    "PRE": "Prefetched data",
    "TOK": "Prefetch tokens",
    "QRY": "Prefetch queries",
    "FHIR": "FHIR access",
    "RESP": "Response",
    "CARD": "Card",
    "SRC": "Source",
    "COD": "Coding",
    "SUG": "Suggestion",
    "ACT": "Action",
    "LINK": "Link",
    "SYS": "System action",
    "FB": "Feedback",
    "SEC": "Security",
    "CORS": "CORS",
    "STALE": "Stale advice",
    "EXT": "Extension",
    "HK": "Hook context",
    "EPIC": "Epic",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the checklist.

    `binds` is S (service), both, C (client: tried on a service all the same) or dialect; `unseen` says why it cannot be
    seen from outside.
    """

    id: str
    strength: str
    binds: str
    statement: str
    unseen: str = ""

    @property
    def section(self) -> str:
        """Its section's letters: CARD for CARD-03."""
        return self.id.partition("-")[0]

    @property
    def binds_a_service(self) -> bool:
        """Whether the checklist counts it among the rows of a service."""
        return self.binds in ("S", "both")


@cache
def rows() -> dict[str, Row]:
    """All rows by id, in the order of the checklist."""
    text = files("cds_hooks.contract").joinpath("rows.csv").read_text(encoding="utf-8")
    found = {
        each["row"]: Row(
            each["row"],
            each["strength"],
            each["binds"],
            each["statement"],
            "" if each["outside"] == "yes" else each["outside"],
        )
        for each in csv.DictReader(text.splitlines())
    }
    for field in FIELDS:
        row = f"HK-{field.hook}-{field.name}"
        strength, word = ("SHALL", "required") if field.required else ("MAY", "optional")
        found[row] = Row(row, strength, "C", f"{field.hook}: context.{field.name} is a{_n(word)} {word} {field.type}.")
    return found


def _n(word: str) -> str:
    return "n" if word[0] in "aeiou" else ""
