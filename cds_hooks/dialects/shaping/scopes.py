"""The SMART scopes that reading for a service's templates takes, in the form of v1 and of v2."""

from collections.abc import Iterable
from typing import Literal

# Orders may name their product by reference; it is read beside them.
_BESIDE = {"MedicationRequest": "Medication", "MedicationStatement": "Medication"}


def scopes_for(queries: Iterable[str], version: Literal[1, 2], context: str = "user") -> list[str]:
    """`user/Observation.read` (v1) or `user/Observation.rs` (v2) for each resource type; a read alone is `.r` in v2.

    >>> scopes_for(["Patient/{{context.patientId}}", "Condition?patient=1"], 2)
    ['user/Patient.r', 'user/Condition.rs']
    """
    rights: dict[str, str] = {}
    for query in queries:
        kind, question, _ = query.partition("?")
        kind = kind.partition("/")[0]
        rights[kind] = "rs" if question or rights.get(kind) == "rs" else "r"
        if kind in _BESIDE:
            rights.setdefault(_BESIDE[kind], "r")
    return [f"{context}/{kind}.{'read' if version == 1 else right}" for kind, right in rights.items()]
