"""Attacks on charts, notes, questions, language models and the copilot: each is put where it belongs.

What is then shown is the answer; an attack on a place that there is not has no row.
"""

import base64
import copy
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from typing import Any, Final, TypeAlias

from cds_hooks.text.ask import ask_chart
from cds_hooks.text.chart import shown
from cds_hooks.text.hostile import answer_of_copilot, answer_with_endpoint
from cds_hooks.text.pages import ask_pages, pages_folder
from cds_hooks.text.summary import Summary, summarise
from fhir.notes.reading import read_note

Row: TypeAlias = dict[str, Any]
_DEFAULT: Final = "c01"
_ADDED: Final = "attack"


def attacked(
    rows: Sequence[Row],
    chart_of: Callable[[str], list[Row]],
    day_of: Callable[[list[Row]], date],
    summary_of: Callable[[list[Row], date], Summary] = summarise,
) -> Iterator[Row]:
    """What is shown under each attack; `chart_of` gives the resources of a chart, `summary_of` what is said of it."""
    for row in rows:
        carrier = str(row.get("carrier") or "")
        names_a_chart = carrier.startswith("c") and carrier[1:].isdigit()
        resources = copy.deepcopy(chart_of(carrier if names_a_chart else _DEFAULT))
        started = time.perf_counter()
        answer = _answer(row, "" if names_a_chart else carrier, resources, day_of(resources), summary_of)
        if answer is not None:
            seconds = round(time.perf_counter() - started, 3)
            yield {"id": row["id"], "foreign_requests": [], "sent": [], "writes": 0, **answer, "seconds": seconds}


def _answer(
    row: Row, carrier: str, resources: list[Row], on: date, summary_of: Callable[[list[Row], date], Summary]
) -> Row | None:
    payload, task, where = str(row["payload"]), row["task"], str(row["where"])
    text = carrier.replace("{P}", payload) if "{P}" in carrier else f"{carrier} {payload}".strip()
    if where.startswith("mcp/"):
        return answer_of_copilot(where, payload)
    if where.startswith("endpoint/"):
        return answer_with_endpoint(payload, resources, on)
    if where == "question":
        return _of_question(payload, resources, on)
    if task == "docs_question":
        folder = pages_folder()
        pages = ask_pages(payload, folder).pages if folder is not None else ()
        return {"status": "answered" if pages else "abstained", "output": "\n".join(pages), "cites": []}
    if task == "read_note":
        reading = read_note(text, on=on)
        findings = [{"concept": finding.concept, "assertion": finding.assertion} for finding in reading.findings]
        names = [*(finding.text for finding in reading.findings), *(drug.text for drug in reading.drugs)]
        return {"status": "answered", "output": "; ".join(map(shown, names)), "cites": [], "findings": findings}
    if task in ("summary", "explain") and _put(where, text, resources):
        summary = summary_of(resources, on)
        # The document that carries the attack is none of the chart's: it is not counted as cited.
        cites = [
            cite for sentence in summary.sentences for cite in sentence.cites if cite != f"DocumentReference/{_ADDED}"
        ]
        return {"status": "answered", "output": "\n".join(s.text for s in summary.sentences), "cites": cites}
    return None


def _of_question(question: str, resources: list[Row], on: date) -> Row:
    answer = ask_chart(resources, question, on)
    return {"status": answer.status, "output": answer.text, "cites": list(answer.cites)}


def _put(where: str, text: str, resources: list[Row]) -> bool:
    """Puts a text into the chart; whether there is such a place."""
    kind, _, path = where.partition("/")
    if kind == "DocumentReference":
        data = base64.b64encode(text.encode()).decode()
        title = {"text": text} if path == "type.text" else {"text": "Clinic letter"}
        content = [{"attachment": {"contentType": "text/plain", "data": "" if path == "type.text" else data}}]
        resources.append({"resourceType": kind, "id": _ADDED, "status": "current", "type": title, "content": content})
        return path in ("text", "type.text")
    resource = next((resource for resource in resources if resource.get("resourceType") == kind), None)
    if resource is None:
        return False
    if path == "code.text":
        resource["code"] = {"text": f"{resource.get('code', {}).get('text', '')} {text}".strip()}
    elif path == "name":
        resource["name"] = [{"text": text}]
    return path in ("code.text", "name")
