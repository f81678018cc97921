"""Facts of patients from events: which version of a resource counts, what became of a visit, which numbers are one.

Every version is kept; `current` is the one that counts. Facts stay under the number under which they came, so that a
merge of two numbers can be undone: who is one person is asked when the facts are read.

What one message or notification brings: facts in the order of the sender, merges, and what was counted about it.
"""

import hashlib
import sqlite3
from collections import Counter
from itertools import count
from typing import Any, Final, Literal

import orjson
from msgspec import Struct, field
from msgspec.structs import replace

from cds_hooks.evidence.storage.content import load_content, store_content

How = Literal["put", "visit", "demographics", "known-or-new"]
"""How a fact meets the one that is there: takes its place, as a visit, as demographics, or only where none is there."""


class Fact(Struct, frozen=True):
    """One FHIR resource of a patient.

    `at` orders the versions of a resource by the sender's clock; of two at the same instant the one with the higher
    `rank` counts, and of equal ones the later arrival.
    """

    patient: str
    resource: dict[str, Any]
    at: float
    rank: int = 0
    how: How = "put"
    happened: float | None = None
    """When it was true of the patient, in epoch seconds; None where that is not known."""
    key: tuple[str, ...] = ()
    """What its id was made of by `resource_id`: the namespace, the kind, the patient, and numbers of the sender."""

    @property
    def type(self) -> str:
        """The resource type."""
        return str(self.resource["resourceType"])

    @property
    def id(self) -> str:
        """The id, the same for every version."""
        return str(self.resource["id"])


def resource_id(*parts: str) -> str:
    """Return the id of a resource: the same for the same parts, and within FHIR's 64 characters.

    >>> resource_id("NORTH", "V1") == resource_id("NORTH", "V1")
    True
    """
    return "v2-" + hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


class Merge(Struct, frozen=True):
    """One patient number that goes on under another one."""

    survivor: str
    merged: str


class Effects(Struct):
    """Everything that one message brings."""

    facts: list[Fact] = field(default_factory=list)
    merges: list[Merge] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)
    """What is counted of the message, by name: `unmapped:KAL`, `no-unit:2160-0`, `line-feeds`."""
    latencies: list[float] = field(default_factory=list)
    """Seconds from collection to arrival of each result."""


def codes_of(resource: dict[str, Any]) -> str:
    """Return the codes that a fact can be found by, each as `system|code`, with a space around each.

    >>> codes_of({"code": {"coding": [{"system": "http://loinc.org", "code": "2823-3"}]}})
    ' http://loinc.org|2823-3 '
    """
    concepts = [resource.get(name) for name in ("code", "vaccineCode", "medicationCodeableConcept")]
    concepts += [part.get("code") for part in _listed(resource, "component") if isinstance(part, dict)]
    codings = (
        coding
        for concept in concepts
        if isinstance(concept, dict)
        for coding in _listed(concept, "coding")
        if isinstance(coding, dict) and coding.get("code")
    )
    names = dict.fromkeys(f"{coding.get('system', '')}|{coding['code']}" for coding in codings)
    return f" {' '.join(names)} " if names else ""


def _listed(holder: dict[str, Any], name: str) -> list[Any]:
    """Return a list of a resource as it came; an empty one where something else stands there."""
    value = holder.get(name)
    return value if isinstance(value, list) else []


_TAKEN_BACK: Final = "entered-in-error"
_MOST_LINKS: Final = 20


class Applied(Struct, frozen=True):
    """What a fact did: whether anything changed, whether it is older than what is known, whether a person is new."""

    fact: Fact
    changed: bool
    is_stale: bool = False
    is_new_person: bool = False


def apply_fact(connection: sqlite3.Connection, fact: Fact, inbox: int, now: float) -> Applied:
    """Store a fact in its order and return what it did."""
    row = _current(connection, fact)
    if fact.key and (stored := _as_stored(connection, fact, row)) is not None:
        fact = stored
        row = _current(connection, fact)
    if row is None:
        resource = {name: value for name, value in fact.resource.items() if value is not None}
        _insert(connection, fact, resource, inbox)
        return Applied(fact, changed=True, is_new_person=fact.type == "Patient")
    sequence, at, rank, status, content = row
    if fact.how == "known-or-new":
        return Applied(fact, changed=False)
    earlier = orjson.loads(load_content(content))
    is_stale = fact.at < at or (fact.at == at and fact.rank < rank and fact.how != "visit")
    if fact.how == "demographics":
        resource = _person_of(earlier, fact.resource, is_stale=is_stale)
    elif fact.how == "visit":
        resource = _visit_of(earlier, fact.resource, is_stale=is_stale, says_status=0 < fact.rank >= rank)
    else:
        resource = earlier if is_stale else fact.resource
    if is_stale:
        _insert(connection, fact, fact.resource, inbox, current=False)
    if resource == earlier:
        return Applied(fact, changed=False, is_stale=is_stale)
    connection.execute("UPDATE facts SET current = 0 WHERE sequence = ?", (sequence,))
    is_ranked = is_stale if fact.how != "visit" else rank > fact.rank
    newest = Fact(fact.patient, resource, max(at, fact.at), rank if is_ranked else fact.rank, fact.how, fact.happened)
    _insert(connection, newest, resource, inbox)
    if resource.get("status") == _TAKEN_BACK and status != _TAKEN_BACK:
        connection.execute(
            "INSERT INTO withdrawn (patient, fact, since) VALUES (?, ?, ?)",
            (fact.patient, f"{fact.type}/{fact.id}", now),
        )
    return Applied(newest, changed=True, is_stale=is_stale)


def _current(connection: sqlite3.Connection, fact: Fact) -> Any:
    return connection.execute(
        "SELECT sequence, at, rank, status, content FROM facts WHERE type = ? AND id = ? AND current = 1",
        (fact.type, fact.id),
    ).fetchone()


def _as_stored(connection: sqlite3.Connection, fact: Fact, row: Any) -> Fact | None:
    """Return a fact under the id by which it is known; None where that is its own.

    After a merge what came before is known under another number of the same person. Of a series with one code, a result
    that is sent again alone is the one of the same time.
    """
    if row is None:
        numbers = numbers_of(connection, follow_link(connection, fact.patient))
        keys = ((*fact.key[:2], number, *fact.key[3:]) for number in numbers if number != fact.patient)
        others = (_renamed(fact, key) for key in keys)
        return next((other for other in others if _current(connection, other) is not None), None)
    time = fact.resource.get("effectiveDateTime")
    if fact.type != "Observation" or orjson.loads(load_content(row[4])).get("effectiveDateTime") == time:
        return None
    for number in count(1):
        other = _renamed(fact, (*fact.key[:-1], str(number)))
        row = _current(connection, other)
        if row is None:
            return None
        if orjson.loads(load_content(row[4])).get("effectiveDateTime") == time:
            return other
    return None


def _renamed(fact: Fact, key: tuple[str, ...]) -> Fact:
    return replace(fact, patient=key[2], resource=fact.resource | {"id": resource_id(*key)}, key=key)


def _insert(
    connection: sqlite3.Connection, fact: Fact, resource: dict[str, Any], inbox: int, *, current: bool = True
) -> None:
    connection.execute(
        "INSERT INTO facts (patient, type, id, codes, at, rank, current, status, inbox, content)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            fact.patient, fact.type, fact.id, codes_of(resource), fact.at, fact.rank, int(current),
            str(resource.get("status", "")), inbox, store_content(orjson.dumps(resource)),
        ),
    )  # fmt: skip


def _person_of(earlier: dict[str, Any], sent: dict[str, Any], *, is_stale: bool) -> dict[str, Any]:
    """Merge what was sent: an empty field changes nothing, one that holds two quotation marks (None here) removes."""
    if is_stale:
        return earlier
    merged = earlier | sent
    return {name: value for name, value in merged.items() if value is not None}


def _visit_of(earlier: dict[str, Any], sent: dict[str, Any], *, is_stale: bool, says_status: bool) -> dict[str, Any]:
    """Return a visit after an event of it; `says_status` is whether it is the newest that begins or ends the visit.

    Only such an event changes the status, whenever it arrives: an update after a discharge does not admit again. A
    canceled visit stays so until it is admitted again; an admission that comes late adds its beginning.
    """
    begun, ended = earlier.get("period", {}), sent.get("period", {})
    if earlier["status"] == "cancelled" and sent["status"] == "finished":
        return earlier
    status = sent["status"] if says_status else earlier["status"]
    visit = {**earlier, "status": status} if is_stale else {**earlier, **sent, "status": status}
    period = ended | begun if is_stale and not says_status else begun | ended
    if status != "finished":
        period.pop("end", None)
    return visit | ({"period": period} if period or "period" in visit else {})


def link_patients(connection: sqlite3.Connection, merge: Merge, inbox: int, now: float) -> None:
    """Note that a patient number goes on under another one; a circle is not made."""
    if follow_link(connection, merge.survivor) == merge.merged:
        connection.execute(
            "UPDATE links SET undone_at = ? WHERE merged = ? AND undone_at IS NULL", (now, merge.survivor)
        )
    connection.execute(
        "INSERT INTO links (merged, survivor, inbox, at) VALUES (?, ?, ?, ?)",
        (merge.merged, merge.survivor, inbox, now),
    )


def follow_link(connection: sqlite3.Connection, patient: str) -> str:
    """Return the number under which a patient goes on."""
    for _ in range(_MOST_LINKS):
        row = connection.execute(
            "SELECT survivor FROM links WHERE merged = ? AND undone_at IS NULL ORDER BY sequence DESC LIMIT 1",
            (patient,),
        ).fetchone()
        if row is None:
            return patient
        patient = row[0]
    return patient


def numbers_of(connection: sqlite3.Connection, patient: str) -> list[str]:
    """Return the number of a patient and all numbers that were merged into it."""
    numbers, waiting = [patient], [patient]
    while waiting and len(numbers) < _MOST_LINKS:
        rows = connection.execute(
            "SELECT DISTINCT merged FROM links WHERE survivor = ? AND undone_at IS NULL", (waiting.pop(),)
        ).fetchall()
        new = [merged for (merged,) in rows if merged not in numbers and follow_link(connection, merged) == patient]
        numbers += new
        waiting += new
    return numbers


def chart_of(connection: sqlite3.Connection, patient: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Return type, codes and resource of each current fact of a patient, those of merged numbers included."""
    chart = []
    for number in numbers_of(connection, patient):
        rows = connection.execute(
            "SELECT type, codes, content FROM facts WHERE patient = ? AND current = 1 ORDER BY sequence", (number,)
        ).fetchall()
        for kind, codes, content in rows:
            if number != patient and kind == "Patient":
                continue
            chart.append((kind, codes, _of_patient(orjson.loads(load_content(content)), patient)))
    return chart


def _of_patient(resource: dict[str, Any], patient: str) -> dict[str, Any]:
    for name in ("subject", "patient"):
        if name in resource:
            resource[name] = {"reference": f"Patient/{patient}"}
    return resource
