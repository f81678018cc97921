"""The JSON types of the members that are read of a client's own resources, which no typed reader has seen."""

from collections.abc import Mapping
from typing import Any, Final

_EVERY: Final[Mapping[str, type]] = {"id": str, "status": str, "subject": dict, "encounter": dict, "basedOn": list}
_OF_KIND: Final[Mapping[str, Mapping[str, type]]] = {
    "Patient": {"address": list},
    "Coverage": {"beneficiary": dict, "payor": list, "class": list},
    "QuestionnaireResponse": {"item": list},
}


def misshapen(resource: Mapping[str, Any]) -> str | None:
    """Return the member that has not its JSON type, such as `Coverage.status`; None where all have."""
    kind = resource.get("resourceType")
    types = {**_EVERY, **_OF_KIND.get(kind, {})} if isinstance(kind, str) else {"resourceType": str}
    for name, member in types.items():
        if resource.get(name) is not None and not isinstance(resource[name], member):
            return f"{kind}.{name}" if isinstance(kind, str) else name
    return None
