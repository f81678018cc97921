"""Facts of patients from events: which version of a resource counts, what became of a visit, which numbers are one.

Every version is kept; `current` is the one that counts. Facts stay under the number under which they came, so that a
merge of two numbers can be undone: who is one person is asked when the facts are read.
"""

import sqlite3
from typing import Any, Final

import orjson
from msgspec import Struct

from cds_hooks.events.effects import Fact, Merge, codes_of
from cds_hooks.storage.content import load_content, store_content

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
    row = connection.execute(
        "SELECT sequence, at, rank, status, content FROM facts WHERE type = ? AND id = ? AND current = 1",
        (fact.type, fact.id),
    ).fetchone()
    if row is None:
        resource = {name: value for name, value in fact.resource.items() if value is not None}
        _insert(connection, fact, resource, inbox)
        return Applied(fact, changed=True, is_new_person=fact.type == "Patient")
    sequence, at, rank, status, content = row
    if fact.how == "known-or-new":
        return Applied(fact, changed=False)
    earlier = orjson.loads(load_content(content))
    is_stale = (fact.at, fact.rank if fact.at == at else 0) < (at, rank if fact.at == at else 0)
    if fact.how == "demographics":
        resource = _person_of(earlier, fact.resource, is_stale=is_stale)
    elif fact.how == "visit":
        resource = _visit_of(earlier, fact.resource, is_stale=is_stale)
    else:
        resource = earlier if is_stale else fact.resource
    if is_stale:
        _insert(connection, fact, fact.resource, inbox, current=False)
    if resource == earlier:
        return Applied(fact, changed=False, is_stale=is_stale)
    connection.execute("UPDATE facts SET current = 0 WHERE sequence = ?", (sequence,))
    newest = Fact(fact.patient, resource, max(at, fact.at), rank if is_stale else fact.rank, fact.how, fact.happened)
    _insert(connection, newest, resource, inbox)
    if resource.get("status") == _TAKEN_BACK and status != _TAKEN_BACK:
        connection.execute(
            "INSERT INTO withdrawn (patient, fact, since) VALUES (?, ?, ?)",
            (fact.patient, f"{fact.type}/{fact.id}", now),
        )
    return Applied(newest, changed=True, is_stale=is_stale)


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
    """An empty field changes nothing, and one that holds two quotation marks (None here) removes."""
    if is_stale:
        return earlier
    merged = earlier | sent
    return {name: value for name, value in merged.items() if value is not None}


def _visit_of(earlier: dict[str, Any], sent: dict[str, Any], *, is_stale: bool) -> dict[str, Any]:
    """A cancelled visit stays so until it is admitted again; an admission that comes late adds its beginning."""
    if is_stale:
        start = sent.get("period", {}).get("start")
        if start is None or "start" in earlier.get("period", {}):
            return earlier
        return earlier | {"period": {"start": start} | earlier.get("period", {})}
    if earlier["status"] == "cancelled" and sent["status"] == "finished":
        return earlier
    period = earlier.get("period", {}) | sent.get("period", {})
    if sent["status"] != "finished":
        period.pop("end", None)
    return earlier | sent | ({"period": period} if period else {"period": {}})


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
            "SELECT merged FROM links WHERE survivor = ? AND undone_at IS NULL", (waiting.pop(),)
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


def versions_of(connection: sqlite3.Connection, kind: str, fact_id: str) -> list[dict[str, Any]]:
    """Return every version of a resource, the oldest first."""
    rows = connection.execute("SELECT content FROM facts WHERE type = ? AND id = ? ORDER BY sequence", (kind, fact_id))
    return [orjson.loads(load_content(content)) for (content,) in rows]
