"""The sheet for the analyst who sets our services up in an EHR that does not read discovery, of one vendor.

Its cards are those of our sample patients as one client gets them, from a server that keeps no record.
"""

import asyncio
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Final

import httpx
from markdown_it import MarkdownIt
from markupsafe import Markup

from cards.card import OVERRIDE_REASONS, TOPICS
from cards.rules.engine.rule_book import MISSING, rule_book
from cds_hooks.app import create_app
from cds_hooks.dialects import ClientProfile, Dialect, find_dialects
from cds_hooks.dialects._dialect import IntegrationSheet
from cds_hooks.dialects._shape import host_of, scopes_for
from cds_hooks.kit.samples import load_draft, load_patient
from cds_hooks.kit.simulator.chart import Chart, resources_of
from cds_hooks.kit.simulator.request import build_request, drafts_for
from cds_hooks.services import Service, find_services
from cds_hooks.settings import Settings
from cds_hooks.web.site import render, static_file
from models_onnx.artifact.files import write_whole


@dataclass(frozen=True, slots=True)
class SampleCall:
    """One sample patient at one hook."""

    service: str
    hook: str
    patient: str
    draft: str | None
    story: str
    visit: bool = False
    """The chart is opened within an ambulatory visit: only then is a missing test offered."""


SAMPLE_CALLS: Final = (
    SampleCall("planning-conversation", "patient-view", "planning-talk", None, "among the highest estimates"),
    SampleCall("order-safety", "order-select", "ckd4-metformin", "metformin-ckd4-coded", "metformin, eGFR under 30"),
    SampleCall(
        "order-safety", "order-sign", "ckd3b-metformin", "metformin-renewal-2000", "metformin 2,000 mg, eGFR 37"
    ),
    SampleCall("order-safety", "order-sign", "nsaid-egfr-25", "naproxen-egfr-25", "naproxen, eGFR 25"),
    SampleCall(
        "order-safety-dispatch", "order-dispatch", "nsaid-egfr-25", "ct-contrast-egfr-25", "CT with contrast, eGFR 25"
    ),
    SampleCall("discharge-medications", "encounter-discharge", "ckd3b-metformin", None, "going home on metformin"),
    SampleCall("statin-discussion", "patient-view", "diabetes-no-statin", None, "high risk, no statin"),
    SampleCall("nephrology-referral", "patient-view", "ckd-uacr", None, "risk of kidney failure over the threshold"),
    SampleCall(
        "nephrology-referral", "patient-view", "ckd3b-metformin", None, "the albumin/creatinine ratio is missing", True
    ),
    SampleCall(
        "anticoagulation-discussion", "patient-view", "af-no-anticoagulant", None, "CHA2DS2-VASc 7, none active"
    ),
    SampleCall("liver-assessment", "patient-view", "fatty-liver", None, "FIB-4 high"),
    SampleCall("discharge-follow-up", "encounter-discharge", "going-home", None, "HOSPITAL and LACE high"),
)
"""One card at least for each service, with each way of helping: a new order, a change, a removal, a test."""


def sample_cards(
    configured: Settings, dialect: str, as_of: datetime, version: str | None = None
) -> list[list[dict[str, Any]]]:
    """Return the cards of each of SAMPLE_CALLS, in their order, as a client of this dialect and version gets them."""
    with tempfile.TemporaryDirectory() as folder:
        changes = {
            "database_url": f"sqlite:///{Path(folder) / 'sheet.sqlite3'}",
            "dialect": dialect,
            "protocol_version": version,
            "as_of": as_of,
            "trust_file": None,
        }
        return asyncio.run(_answers(configured.model_copy(update=changes), as_of))


def request_of(specimen: SampleCall, as_of: datetime, model_keys: Path | None = None) -> dict[str, Any]:
    """Return the hook request of one specimen, built from the service's own templates."""
    entries = find_services(model_keys=model_keys)[specimen.service].discovery()
    entry = next(entry for entry in entries if entry["hook"] == specimen.hook)
    resources = resources_of(load_patient(specimen.patient, as_of))
    chart = Chart([*resources, _visit(specimen.patient, as_of)] if specimen.visit else resources)
    drafts = drafts_for(chart, resources_of(load_draft(specimen.draft, as_of))) if specimen.draft else []
    return build_request(entry, chart, drafts)


def _visit(patient: str, as_of: datetime) -> dict[str, Any]:
    return {
        "resourceType": "Encounter",
        "id": f"{patient}-visit",
        "status": "in-progress",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB", "display": "ambulatory"},
        "subject": {"reference": f"Patient/{patient}"},
        "period": {"start": as_of.isoformat()},
    }


async def _answers(configured: Settings, as_of: datetime) -> list[list[dict[str, Any]]]:
    transport = httpx.ASGITransport(app=create_app(configured))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return [await _cards_of_answer(client, specimen, as_of, configured.model_keys) for specimen in SAMPLE_CALLS]


async def _cards_of_answer(
    client: httpx.AsyncClient, specimen: SampleCall, as_of: datetime, model_keys: Path | None
) -> list[dict[str, Any]]:
    answer = await client.post(f"/cds-services/{specimen.service}", json=request_of(specimen, as_of, model_keys))
    cards: list[dict[str, Any]] = answer.raise_for_status().json()["cards"]
    return cards


class NoSheet(Exception):
    """There is no sheet for this vendor; the sentence names those there are."""

    exit_code: ClassVar[int] = 2


@dataclass(frozen=True, slots=True)
class BuildSheet:
    """The sheet of one vendor, whose id names its files."""

    vendor: str
    title: str
    markdown: str


def build_sheet(vendor: str, services: Iterable[Service], configured: Settings, as_of: datetime) -> BuildSheet:
    """Return the sheet of a vendor for the server with these settings; NoSheet for a vendor that has none."""
    dialects = find_dialects()
    sheet = dialects[vendor].sheet if vendor in dialects else None
    if sheet is None:
        vendors = ", ".join(name for name, dialect in dialects.items() if dialect.sheet is not None)
        raise NoSheet(f"there is no build sheet for {vendor}; there are {vendors}")
    configured = configured.model_copy(update={"public_url": configured.public_url.rstrip("/")})
    parts = sheet_parts(dialects[vendor], sheet, services, configured, as_of)
    return BuildSheet(vendor, f"CDS Hooks build sheet: {dialects[vendor].title}", "\n\n".join(parts) + "\n")


def write_build_sheet(sheet: BuildSheet, folder: Path) -> list[Path]:
    """Write the sheet as Markdown and as HTML; the files. OSError where one cannot be written."""
    files = [folder / f"build-sheet-{sheet.vendor}.{form}" for form in ("md", "html")]
    for file, text in zip(files, (sheet.markdown, as_html(sheet.title, sheet.markdown)), strict=True):
        write_whole(file, text)
    return files


def as_html(title: str, markdown: str) -> str:
    """Return the sheet as one HTML file with the look of the server's pages in it; it loads nothing."""
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    return render(
        "build_sheet.html",
        title=title,
        look=Markup(static_file("look.css").decode()),  # noqa: S704 - our own style sheet
        body=Markup(body.replace("<blockquote>", '<blockquote class="card">')),  # noqa: S704 - HTML in it is escaped
    )


_WITHOUT = {"fail": "no advice (412)", "say": "said on the card", "omit": "changes no advice"}
_CODE = frozenset(
    {"Key", "Query", "Address", "Code", "System", "Host", "Claim", "Scopes, SMART v1", "Scopes, SMART v2"}
)


def sheet_parts(
    dialect: Dialect, sheet: IntegrationSheet, services: Iterable[Service], configured: Settings, as_of: datetime
) -> Iterator[str]:
    """Yield the whole sheet; its cards are those of sample patients at `as_of`."""
    public_url = configured.public_url
    client = ClientProfile("sheet", dialect, dialect.version, dialect.markdown)
    services = [
        service for service in services if service.discovery(client)
    ]  # a hook may be newer than the client's version
    yield _heading(1, f"CDS Hooks build sheet: {dialect.title}")
    yield f"For the analyst who sets the services of {public_url} up. {sheet.reads_discovery}"
    yield from _endpoints(services, sheet, public_url, client)
    yield from _prefetch(services, client)
    yield from _authentication(services, sheet, public_url)
    yield from _scopes(services, sheet, client)
    yield from _links(public_url)
    yield from _topics(dialect)
    yield from _override_reasons()
    yield _heading(2, f"What is particular to {dialect.title}")
    yield _bullets(sheet.notes)
    yield from _cards(dialect, sheet, configured, as_of)


def _endpoints(
    services: list[Service], sheet: IntegrationSheet, public_url: str, client: ClientProfile
) -> Iterator[str]:
    yield _heading(2, "Services")
    yield _table(
        ("Service", "Hook", "Address", "Trigger"),
        tuple(
            (
                service.title,
                entry["hook"],
                f"{public_url}/cds-services/{service.id}",
                sheet.hook_notes.get(entry["hook"], ""),
            )
            for service in services
            for entry in service.discovery(client)
        ),
    )
    yield _bullets(tuple(f"`{service.id}`: {service.description} {service.usage_requirements}" for service in services))


def _prefetch(services: list[Service], client: ClientProfile) -> Iterator[str]:
    yield _heading(2, "Prefetch")
    yield (
        "Each key with its query, letter by letter. Other names of keys are understood as well: what arrives is "
        "recognised by what it holds."
    )
    yield (
        "Where your orders refer to Medication resources, add `&_include=MedicationRequest:medication` to the queries "
        "of `MedicationRequest` (`MedicationStatement:medication` and `MedicationDispense:medication` likewise): a "
        "medication whose resource does not arrive is one that nobody can read."
    )
    for service in services:
        yield _heading(3, f"Prefetch of {service.id}")
        prefetch = service.discovery(client)[0]["prefetch"]
        without = {
            template.key: _WITHOUT[template.policy.if_missing]
            for template in service.templates_for_version(client.version)
        }
        yield _table(
            ("Key", "Query", "Without it"),
            tuple((key, query, without[key]) for key, query in prefetch.items()),
        )


def _authentication(services: list[Service], sheet: IntegrationSheet, public_url: str) -> Iterator[str]:
    yield _heading(2, "The token of each call (JWT)")
    yield "Sent as `Authorization: Bearer`. A call whose token fails one of these checks is answered 401."
    yield _table(("Claim", "What it must be"), sheet.authentication)
    yield _table(
        ("Service", "Address"),
        tuple((f"aud for {service.id}", f"{public_url}/cds-services/{service.id}") for service in services)
        + tuple(
            (f"aud for feedback on {service.id}", f"{public_url}/cds-services/{service.id}/feedback")
            for service in services
        ),
    )


def _scopes(services: list[Service], sheet: IntegrationSheet, client: ClientProfile) -> Iterator[str]:
    yield _heading(2, "Scopes of the access token (`fhirAuthorization`)")
    yield "The least that is needed to read what prefetch did not bring; nothing is ever written."
    rows = []
    for service in services:
        queries = service.discovery(client)[0]["prefetch"].values()
        rows.append((service.id, " ".join(scopes_for(queries, 1)), " ".join(scopes_for(queries, 2))))
    yield _table(("Service", "Scopes, SMART v1", "Scopes, SMART v2"), tuple(rows))
    if sheet.apis:
        yield "And the vendor's own:"
        yield _bullets(sheet.apis)


def _links(public_url: str) -> Iterator[str]:
    hosts = {host_of(public_url): "why a card is there: one page for each decision"}
    for rule in rule_book().rules:
        for evidence in rule.declared.evidence:
            if evidence.url is not None:
                hosts.setdefault(host_of(evidence.url), f"document behind a rule: {evidence.label}")
    yield _heading(2, "Links that cards carry")
    yield _table(("Host", "What for"), tuple(hosts.items()))


# Whose cards carry findings of rules, which Epic's topics name.
_OF_RULES = ("discharge", "orders")


def _topics(dialect: Dialect) -> Iterator[str]:
    yield _heading(2, "Topic codes (`source.topic.code`)")
    yield f"System `{TOPICS['orders'].system}`. A code stays as it is as long as the advice does."
    rows: list[tuple[str, ...]] = []
    for name, topic in TOPICS.items():
        if name not in _OF_RULES or dialect.topic is None:
            rows.append((_topic(dialect, topic.code, ()), topic.display or "", ""))
            continue
        for rule, band, indicator in _bands():
            rows.append((_topic(dialect, topic.code, ((rule, band),)), f"{topic.display}: {rule}, {band}", indicator))
    yield _table(("Code", "About", "Indicator"), tuple(rows))


def _topic(dialect: Dialect, code: str, findings: Iterable[tuple[str, str]]) -> str:
    return dialect.topic(code, findings) if dialect.topic is not None else code


def _bands() -> Iterator[tuple[str, str, str]]:
    for rule in rule_book().rules:
        for band in rule.declared.bands:
            if band.indicator != "silent":
                yield rule.id, band.id, band.indicator
        if rule.declared.missing_data:
            yield rule.id, MISSING, "info"


def _override_reasons() -> Iterator[str]:
    reasons = dict.fromkeys(OVERRIDE_REASONS)
    for rule in rule_book().rules:
        reasons |= dict.fromkeys(rule.override_reasons)
    yield _heading(2, "Override reasons")
    yield "Map them to the reasons that exist there; others may be sent back and are kept."
    rows = [(reason.code, reason.display or "", reason.system) for reason in reasons]
    yield _table(("Code", "Card", "System"), rows)


def _cards(dialect: Dialect, sheet: IntegrationSheet, configured: Settings, as_of: datetime) -> Iterator[str]:
    yield _heading(2, "What the cards look like")
    yield "Invented patients of this release, written as this client gets them."
    for specimen, cards in zip(SAMPLE_CALLS, sample_cards(configured, dialect.id, as_of), strict=True):
        yield _heading(3, f"{specimen.service} at {specimen.hook}: {specimen.story}")
        yield from (_card(card, sheet.shows_labels) for card in cards)


_SIGNS: Final = {"info": "ⓘ info", "warning": "△ warning", "critical": "⬣ critical"}


def _heading(level: int, text: str) -> str:
    return f"{'#' * level} {text}"


def _bullets(items: Iterable[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a table; what is copied letter by letter is written as code."""
    lines = [head, ("---",) * len(head)]
    lines += [tuple(_cell(text, name in _CODE) for name, text in zip(head, row, strict=True)) for row in rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _cell(text: str, as_code: bool) -> str:
    # a pipe ends a cell, in code too (GFM, section 4.10)
    escaped = text.replace("|", "\\|").replace("\n", " ")
    return f"`{escaped}`" if as_code and escaped else escaped


def _card(card: dict[str, Any], shows_labels: bool) -> str:
    """Return a card as a quotation, with what of it this client shows."""
    lines = [f"**{_SIGNS[card['indicator']]}: {card['summary']}**", "", *str(card.get("detail", "")).splitlines(), ""]
    for suggestion in card.get("suggestions", ()):
        actions = "; ".join(action["description"] for action in suggestion.get("actions", ()))
        text = f"{suggestion['label']} ({actions})" if shows_labels else actions
        lines.append(f"- [ {text} ]{' (advised)' if suggestion.get('isRecommended') else ''}")
    return "\n".join(f"> {line}".rstrip() for line in [*lines, "", _foot(card)])


def _foot(card: dict[str, Any]) -> str:
    topic = card["source"].get("topic", {}).get("code")
    links = "; ".join(link["label"] for link in card.get("links", ()))
    parts = (f"Source: {card['source']['label']}", topic and f"topic {topic}", links and f"links: {links}")
    return " · ".join(part for part in parts if part)
