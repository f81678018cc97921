"""Which prompt may be shown with which language model: gates with a report, acts of release, and the share that holds.

A prompt with the model of an endpoint is released as a model is: `python -m tests.text evaluate FOLDER --endpoint NAME`
of the source makes the report of its gates, an act of release brings it from shadow by canary to active. A changed byte
of the prompt, its parameters or its schema, or another model, is another version and is not shown. If in use less of
its text is confirmed than the site asks for, it is not shown either.

What the record keeps of the text part: who asked what of which patient, what left and what was shown, as counts.

The texts themselves are not kept. Where the record cannot be written, nothing leaves and nothing is shown.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import select

from cds_hooks.add_ons.text.chart import ReadableChart, Resource
from cds_hooks.add_ons.text.endpoint import Caller, Endpoint, EndpointRefused, read_text_file
from cds_hooks.add_ons.text.prompts import Prompt, read_prompt
from cds_hooks.add_ons.text.rephrasing import rephrase
from cds_hooks.add_ons.text.summary import Summary, summarise_chart
from cds_hooks.call.hold_back.released import Key
from cds_hooks.evidence.storage.database import parse_url, reading_engine
from cds_hooks.evidence.storage.entries import add_event
from cds_hooks.evidence.storage.opening import upgrade_schema
from cds_hooks.evidence.storage.tables import events
from cds_hooks.people.governance.releases import Releases
from cds_hooks.settings import Settings, settings

PROMPT: Final = "prompt"
"""The kind of the acts about prompts; their name is that of the prompt and of the endpoint."""
_RECENT: Final = 50
_LEAST_SENTENCES: Final = 20
"""Of so many sentences at least a share says something."""


class Report(Struct, frozen=True, kw_only=True):
    """The report of the gates of one prompt with one model: its figures, and which of the gates are red."""

    prompt: str
    language: str
    endpoint: str
    model: str
    digest: str
    parameters: dict[str, Any]
    evaluated_on: str
    """What it was tried on: the folder's name, its charts and its attacks."""
    day: str
    figures: dict[str, float]
    red: tuple[str, ...]


def key_of(prompt: Prompt, endpoint_name: str) -> Key:
    """Return what acts of release are about."""
    return PROMPT, f"{prompt.id}-{endpoint_name}"


def prompt_versions(configured: Settings) -> dict[Key, tuple[str, str]]:
    """Return the version of each prompt that may be released here, all its gates green, with the digest of its report.

    Raises:
        EndpointRefused: the site's file of endpoints cannot be used.
    """
    file = read_text_file(configured.text_file)
    versions: dict[Key, tuple[str, str]] = {}
    prompt = read_prompt("summary")
    for name, endpoint in file.endpoints.items():
        path = Path(file.reports) / f"{prompt.id}-{name}.json" if file.reports is not None else None
        try:
            content = path.read_bytes() if path is not None else b""
            report = msgspec.json.decode(content, type=Report)
        except (OSError, msgspec.DecodeError):
            continue
        if report.digest == prompt.digest(endpoint.model) and not report.red:
            versions[key_of(prompt, name)] = report.digest, hashlib.sha256(content).hexdigest()
    return versions


def why_not_shown(configured: Settings, prompt: Prompt, named_endpoint: tuple[str, Endpoint], patient: str) -> str:
    """Why the text of a prompt is not shown, "" where it is; in shadow it is computed and recorded.

    Raises:
        EndpointRefused: it may not even be computed: nobody has released it, or it is off.
        RecordUnavailable: the acts cannot be read.
    """
    name, endpoint = named_endpoint
    key = key_of(prompt, name)
    releases = Releases({key: prompt.digest(endpoint.model)}, by_two_people=configured.trust_file is not None)
    releases.read(configured.database_url)
    state = releases.current.states.get(key)
    if state is None or state.state in ("off", "retired"):
        raise EndpointRefused(
            f"The prompt {key[1]} is not released here: run python -m tests.text evaluate FOLDER "
            f"--endpoint {name} in the source, then "
            f"cds-hooks release shadow prompt {key[1]} --why …"
        )
    withheld = releases.current.why_withheld(*key, "", patient)
    if withheld is not None:
        return withheld.text
    share = confirmed_share(configured.database_url, prompt.digest(endpoint.model))
    if share is not None and share < endpoint.least_share:
        return (
            f"Of the last texts of {endpoint.model} only {share:.0%} is confirmed, under {endpoint.least_share:.0%}: "
            "they are not shown until it is evaluated again."
        )
    return ""


def summary_with_model(
    configured: Settings,
    named_endpoint: tuple[str, Endpoint],
    resources: Sequence[Resource],
    chart: ReadableChart,
    caller: Caller,
    patient: str = "",
) -> Summary:
    """Return a summary in a language model's words where its prompt is released.

    In shadow, and where too little of its texts is confirmed, it is the chart's own text with the reason.

    Raises:
        EndpointRefused: nobody has released the prompt with this model.
        RecordUnavailable: the record cannot be read, so nothing is asked.
    """
    ensure_record(configured.database_url)
    prompt = read_prompt("summary")
    why = why_not_shown(configured, prompt, named_endpoint, patient)
    summary = rephrase(resources, chart, named_endpoint, prompt, caller)
    if not why:
        return summary
    return replace(summarise_chart(chart), writing=summary.writing, notice=why)


def confirmed_share(url: str, digest: str) -> float | None:
    """Return the share (0 to 1) of the sentences of the last 50 summaries that were confirmed; None of fewer than 20.

    A share that falls is the drift of a prompt or of the model behind the endpoint.
    """
    with reading_engine(parse_url(url)).connect() as connection:
        query = select(events.c.detail).where(events.c.kind == SUMMARY_EVENT).order_by(events.c.sequence.desc())
        details = [msgspec.json.decode(detail) for detail in connection.execute(query.limit(_RECENT)).scalars()]
    writings = [detail["writing"] for detail in details if detail.get("writing", {}).get("digest") == digest]
    confirmed = sum(writing["confirmed"] for writing in writings)
    written = confirmed + sum(sum(writing["deleted"].values()) for writing in writings)
    return confirmed / written if written >= _LEAST_SENTENCES else None


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
