"""The content of the analyst's sheet of one vendor."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from cards.card import OVERRIDE_REASONS, TOPICS
from cards.rules.engine.rule_book import MISSING, rule_book
from cds_hooks.commands.build_sheet.document import Block, BulletList, CardBlock, Heading, Paragraph, TableBlock
from cds_hooks.commands.build_sheet.sample_cards import SAMPLE_CALLS, sample_cards
from cds_hooks.dialects import ClientProfile, Dialect
from cds_hooks.dialects._dialect import IntegrationSheet
from cds_hooks.dialects._profile import scopes_for
from cds_hooks.dialects._shape import host_of
from cds_hooks.services import Service

_WITHOUT = {"fail": "no advice (412)", "say": "said on the card", "omit": "changes no advice"}
_CODE = frozenset(
    {"Key", "Query", "Address", "Code", "System", "Host", "Claim", "Scopes, SMART v1", "Scopes, SMART v2"}
)


def sheet_blocks(
    dialect: Dialect, sheet: IntegrationSheet, services: Iterable[Service], public_url: str, as_of: datetime
) -> Iterator[Block]:
    """The whole sheet; its cards are those of sample patients at `as_of`."""
    services = list(services)
    client = ClientProfile("sheet", dialect, dialect.version, dialect.markdown)
    yield Heading(1, f"CDS Hooks build sheet: {dialect.title}")
    yield Paragraph(f"For the analyst who sets the services of {public_url} up. {sheet.reads_discovery}")
    yield from _endpoints(services, sheet, public_url, client)
    yield from _prefetch(services, client)
    yield from _authentication(services, sheet, public_url)
    yield from _scopes(services, sheet, client)
    yield from _links(public_url)
    yield from _topics(dialect)
    yield from _override_reasons()
    yield Heading(2, f"What is particular to {dialect.title}")
    yield BulletList(sheet.notes)
    yield from _cards(dialect, sheet, public_url, as_of)


def _endpoints(
    services: list[Service], sheet: IntegrationSheet, public_url: str, client: ClientProfile
) -> Iterator[Block]:
    yield Heading(2, "Services")
    yield TableBlock(
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
        _CODE,
    )
    yield BulletList(
        tuple(f"`{service.id}`: {service.description} {service.usage_requirements}" for service in services)
    )


def _prefetch(services: list[Service], client: ClientProfile) -> Iterator[Block]:
    yield Heading(2, "Prefetch")
    yield Paragraph(
        "Each key with its query, letter by letter. Other names of keys are understood as well: what arrives is "
        "recognised by what it holds."
    )
    for service in services:
        yield Heading(3, f"Prefetch of {service.id}")
        prefetch = service.discovery(client)[0]["prefetch"]
        without = {
            template.key: _WITHOUT[template.policy.if_missing]
            for template in service.templates_for_version(client.version)
        }
        yield TableBlock(
            ("Key", "Query", "Without it"),
            tuple((key, query, without[key]) for key, query in prefetch.items()),
            _CODE,
        )


def _authentication(services: list[Service], sheet: IntegrationSheet, public_url: str) -> Iterator[Block]:
    yield Heading(2, "The token of each call (JWT)")
    yield Paragraph("Sent as `Authorization: Bearer`. A call whose token fails one of these checks is answered 401.")
    yield TableBlock(("Claim", "What it must be"), sheet.authentication, _CODE)
    yield TableBlock(
        ("Service", "Address"),
        tuple((f"aud for {service.id}", f"{public_url}/cds-services/{service.id}") for service in services)
        + tuple(
            (f"aud for feedback on {service.id}", f"{public_url}/cds-services/{service.id}/feedback")
            for service in services
        ),
        _CODE,
    )


def _scopes(services: list[Service], sheet: IntegrationSheet, client: ClientProfile) -> Iterator[Block]:
    yield Heading(2, "Scopes of the access token (`fhirAuthorization`)")
    yield Paragraph("The least that is needed to read what prefetch did not bring; nothing is ever written.")
    rows = []
    for service in services:
        queries = service.discovery(client)[0]["prefetch"].values()
        rows.append((service.id, " ".join(scopes_for(queries, 1)), " ".join(scopes_for(queries, 2))))
    yield TableBlock(("Service", "Scopes, SMART v1", "Scopes, SMART v2"), tuple(rows), _CODE)
    if sheet.apis:
        yield Paragraph("And the vendor's own:")
        yield BulletList(sheet.apis)


def _links(public_url: str) -> Iterator[Block]:
    hosts = {host_of(public_url): "why a card is there: one page for each decision"}
    for rule in rule_book().rules:
        for evidence in rule.declared.evidence:
            if evidence.url is not None:
                hosts.setdefault(host_of(evidence.url), f"document behind a rule: {evidence.label}")
    yield Heading(2, "Links that cards carry")
    yield TableBlock(("Host", "What for"), tuple(hosts.items()), _CODE)


# Whose cards carry findings of rules, which Epic's topics name.
_OF_RULES = ("discharge", "orders")


def _topics(dialect: Dialect) -> Iterator[Block]:
    yield Heading(2, "Topic codes (`source.topic.code`)")
    yield Paragraph(f"System `{TOPICS['orders'].system}`. A code stays as it is as long as the advice does.")
    rows: list[tuple[str, ...]] = []
    for name, topic in TOPICS.items():
        if name not in _OF_RULES or dialect.topic is None:
            rows.append((_topic(dialect, topic.code, ()), topic.display or "", ""))
            continue
        for rule, band, indicator in _bands():
            rows.append((_topic(dialect, topic.code, ((rule, band),)), f"{topic.display}: {rule}, {band}", indicator))
    yield TableBlock(("Code", "About", "Indicator"), tuple(rows), _CODE)


def _topic(dialect: Dialect, code: str, findings: Iterable[tuple[str, str]]) -> str:
    return dialect.topic(code, findings) if dialect.topic is not None else code


def _bands() -> Iterator[tuple[str, str, str]]:
    for rule in rule_book().rules:
        for band in rule.declared.bands:
            if band.indicator != "silent":
                yield rule.id, band.id, band.indicator
        if rule.declared.missing_data:
            yield rule.id, MISSING, "info"


def _override_reasons() -> Iterator[Block]:
    reasons = dict.fromkeys(OVERRIDE_REASONS)
    for rule in rule_book().rules:
        reasons |= dict.fromkeys(rule.override_reasons)
    yield Heading(2, "Override reasons")
    yield Paragraph("Map them to the reasons that exist there; others may be sent back and are kept.")
    rows = tuple((reason.code, reason.display or "", reason.system) for reason in reasons)
    yield TableBlock(("Code", "CardBlock", "System"), rows, _CODE)


def _cards(dialect: Dialect, sheet: IntegrationSheet, public_url: str, as_of: datetime) -> Iterator[Block]:
    yield Heading(2, "What the cards look like")
    yield Paragraph("Invented patients of this release, written as this client gets them.")
    shown: list[tuple[Any, list[dict[str, Any]]]] = list(
        zip(SAMPLE_CALLS, sample_cards(dialect.id, as_of, public_url), strict=True)
    )
    for specimen, cards in shown:
        yield Heading(3, f"{specimen.service} at {specimen.hook}: {specimen.story}")
        yield from (CardBlock(card, sheet.shows_labels) for card in cards)
