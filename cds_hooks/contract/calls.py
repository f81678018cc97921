"""Hook calls built from a server's own discovery entry and a chart."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

from cds_hooks.contract.charts import Chart
from cds_hooks.contract.contexts import contexts_for
from cds_hooks.contract.dialects import Request
from cds_hooks.contract.filling import answer, fill

FHIR_BASE: Final = "https://ehr.example/fhir"


def new_instance() -> str:
    """A hookInstance."""
    return str(uuid4())


def requests_for(entry: dict[str, Any], chart: Chart, as_of: datetime) -> Iterator[tuple[str, Request]]:
    """Conformant requests (2.0.1, published form) for one entry of discovery, each with what it is about."""
    for about, context in contexts_for(str(entry["hook"]), chart):
        request: Request = {"hook": entry["hook"], "hookInstance": new_instance(), "context": context}
        prefetch = _prefetch(entry, chart, context, as_of)
        yield about, request | ({"prefetch": prefetch} if prefetch else {})


def _prefetch(entry: dict[str, Any], chart: Chart, context: dict[str, Any], as_of: datetime) -> dict[str, Any]:
    """A value for each template that can be filled; a key whose tokens have no value here is left out."""
    templates = entry.get("prefetch")
    found: dict[str, Any] = {}
    for key, template in templates.items() if isinstance(templates, dict) else ():
        query = fill(template, context, as_of.date(), found) if isinstance(template, str) else None
        if query is not None:
            found[key] = answer(query, chart, FHIR_BASE)
    return found
