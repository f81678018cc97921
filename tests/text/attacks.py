"""Attacks on charts, notes, language models and the copilot: each is put where it belongs.

What is then shown is the answer; an attack on a place that there is not has no row. A hostile language model and a
hostile client of the copilot act as the attack describes them in words.
"""

import base64
import copy
import json
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any, Final, TypeAlias

import anyio
import httpx
import orjson
from sqlalchemy import func, select

from cds_hooks.add_ons.text.chart import Resource, read_chart, shown
from cds_hooks.add_ons.text.copilot.bearer import NeedsToken
from cds_hooks.add_ons.text.copilot.tools import Copilot
from cds_hooks.add_ons.text.endpoint import Caller, Endpoint
from cds_hooks.add_ons.text.prompts import read_prompt
from cds_hooks.add_ons.text.released import ensure_record
from cds_hooks.add_ons.text.rephrasing import rephrase
from cds_hooks.add_ons.text.summary import Summary, summarise, summarise_chart
from cds_hooks.evidence.storage.database import parse_url, reading_engine
from cds_hooks.evidence.storage.tables import events
from cds_hooks.settings import Settings
from fhir.notes.reading import read_note
from tests.http_server import Asked, Reply, answering

Row: TypeAlias = dict[str, Any]
_MODEL: Final = "hostile"
_SECONDS: Final = 1.0
_SENTENCE: Final = re.compile(r"'([^']{1,300})'")
_CITED: Final = re.compile(r"\b[A-Z][A-Za-z]{3,40}/[A-Za-z0-9.-]{1,64}")
_STATUS: Final = re.compile(r"\b([345]\d\d)\b")
_SILENT: Final = re.compile(r"\b(?:silent|silence|no answer|slow|drip|never|hang|stall|timeout|seconds?|\d+ s)\b", re.I)
_LARGE: Final = re.compile(r"\b(\d{1,3}) ?MB\b")
_TOOLS_BY_ARGUMENT: Final = {
    "service": "call_service",
    "decision": "explain_decision",
    "resource": "understand_resource",
    "words": "search_rules",
}
_DEFAULT: Final = "c01"
_ADDED: Final = "attack"


def attacked(
    rows: Sequence[Row],
    chart_of: Callable[[str], list[Row]],
    day_of: Callable[[list[Row]], date],
    summary_of: Callable[[list[Row], date], Summary] = summarise,
) -> Iterator[Row]:
    """Yield what is shown under each attack; `chart_of` gives a chart's resources, `summary_of` what is said of it."""
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
        return _answer_of_copilot(where, payload)
    if where.startswith("endpoint/"):
        return _answer_with_endpoint(payload, resources, on)
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


def _put(where: str, text: str, resources: list[Row]) -> bool:
    """Put a text into the chart; whether there is such a place."""
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


def _answer_with_endpoint(payload: str, resources: Sequence[Resource], on: date) -> Row:
    """Return what is shown of a chart when the language model of the site answers as a text says."""
    chart = read_chart(resources, on)
    clean = "\n".join(sentence.text for sentence in summarise_chart(chart).sentences)
    with _playing(payload) as (address, sent):
        endpoint = Endpoint(address=address, model=_MODEL, seconds=_SECONDS)
        summary = rephrase(resources, chart, ("hostile", endpoint), read_prompt("summary"), Caller())
    output = "\n".join(sentence.text for sentence in summary.sentences)
    deleted = summary.writing.deleted if summary.writing is not None else {}
    return {
        "status": "baseline" if summary.notice else "partial" if deleted else "answered",
        "output": output,
        "cites": [cite for sentence in summary.sentences for cite in sentence.cites],
        "sent": sent,
        "same_as_clean": output == clean,
    }


_ELSEWHERE: Final = {"location": "http://collect.example.net/"}


@contextmanager
def _playing(payload: str) -> Iterator[tuple[str, list[str]]]:
    """Run a server on loopback that answers so; give its address and the bodies that it gets."""
    sent: list[str] = []
    status = _STATUS.search(payload) if "HTTP" in payload or payload.strip()[:3].isdigit() else None
    large = _LARGE.search(payload)
    content = _content(payload) if large is None else "x" * (int(large[1]) * 1024 * 1024)

    def reply(asked: Asked) -> Reply:
        sent.append(asked.body.decode())
        if _SILENT.search(payload) and not _SENTENCE.search(payload):
            time.sleep(2 * _SECONDS)
        return int(status[1]) if status is not None else 200, _ELSEWHERE, content.encode()

    with answering(reply) as base:
        yield f"{base}/v1", sent


def _content(payload: str) -> str:
    """Build the answer's body: the quoted sentences with what they cite, or the text itself as the model's words."""
    if "<" in payload and "HTTP" in payload:
        return payload[payload.index("<") :]
    cites = _CITED.findall(payload)
    sentences = [{"text": text, "cites": cites} for text in _SENTENCE.findall(payload)]
    words = json.dumps({"sentences": sentences}) if sentences else payload
    return json.dumps({"model": _MODEL, "choices": [{"message": {"role": "assistant", "content": words}}]})


def _answer_of_copilot(where: str, payload: str) -> Row:
    """Return what a client of the copilot's interface gets for arguments, for the name of a tool, or without a token.

    The record is one of this call alone, and there is no server behind it.
    """
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/record.db"
        ensure_record(url)
        with httpx.Client(base_url="http://127.0.0.1:9", timeout=_SECONDS, trust_env=False) as http:
            copilot = Copilot(http, Settings(database_url=url), "hostile")
            if where == "mcp/token":
                status, output = anyio.run(_without_token, url)
            else:
                name, arguments = _called(where, payload)
                answer = copilot.call(name, arguments)
                status, output = answer.status, str(answer.data)
        with reading_engine(parse_url(url)).connect() as connection:
            recorded = connection.execute(select(func.count()).select_from(events)).scalar_one()
    return {"status": status, "output": output, "cites": [], "recorded": recorded == 1}


def _called(where: str, payload: str) -> tuple[str, Any]:
    if where == "mcp/tool_list":
        quoted = re.search(r"'(\w{1,60})'", payload)
        return quoted[1] if quoted else payload[:60], {}
    try:
        arguments = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return "summarise_chart", payload
    if not isinstance(arguments, dict):
        return "summarise_chart", arguments
    if isinstance(arguments.get("tool"), str):
        return arguments["tool"], arguments.get("arguments", {})
    names = (tool for argument, tool in _TOOLS_BY_ARGUMENT.items() if argument in arguments)
    return next(names, "summarise_chart"), arguments


async def _without_token(url: str) -> tuple[str, str]:
    async def nobody(*_: object) -> None:
        raise AssertionError("a request without the token came in")

    transport = httpx.ASGITransport(app=NeedsToken(nobody, "x" * 32, url))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.post("/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
    return "refused" if answer.status_code == 401 else "answered", answer.text
