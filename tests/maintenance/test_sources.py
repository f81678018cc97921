"""What a committee can check: no warning rests on a page that is no source, and none on the label of a third drug."""

import csv
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from cards.rules.engine.rule_book import whole_book
from cards.rules.families.dose.knowledge import LIMITS, evidence_of
from cards.rules.families.pairs.family import PAIRS
from cards.rules.language.rule import SET_ID, Evidence
from maintenance.sources import HEAD, source_lines
from tests.conftest import ROOT

_LANGUAGE = ROOT / "cards" / "rules" / "language"
_URL = re.compile(r'\burl"?\s*[:=]\s*"(https?://[^"]+)"')


def test_no_warning_rests_on_a_lead_or_on_the_label_of_a_third_drug() -> None:
    lines = [dict(zip(HEAD, line, strict=True)) for line in source_lines()]
    assert len(lines) > 10_000
    assert not [line for line in lines if line["class"] in {"D", "E"} or line["label"] == "other"]


def _rows(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader((_LANGUAGE / name).read_text("utf-8").splitlines()))


def _documents() -> Iterator[Evidence]:
    for compiled in whole_book().rules:
        yield from compiled.declared.evidence
    yield from (pair.evidence for pairs in PAIRS.values() for pair in pairs)
    yield from (evidence_of(limit) for limits in LIMITS.values() for limit in limits)


def _links_of_other_cards() -> Iterator[str]:
    for folder in ("cards/compose", "cards/preventive", "cds_hooks/call/services"):
        for path in (path for end in ("py", "json", "toml") for path in (ROOT / folder).glob(f"*.{end}")):
            yield from _URL.findall(path.read_text("utf-8"))


def _host(url: str) -> str:
    return (urlsplit(url).hostname or "").removeprefix("www.")


def test_a_card_links_to_who_publishes_a_document_and_to_a_label_at_its_authority() -> None:
    publishers = {row["host"]: row["of"] for row in _rows("link_hosts.csv")}
    documents = list(_documents())
    links = [evidence.link for evidence in documents if evidence.link]
    others = list(_links_of_other_cards())
    assert len(links) > 6_000
    assert len(others) > 100
    assert not {url for url in (*links, *others) if _host(url) not in publishers}
    labels = [evidence for evidence in documents if evidence.basis == "label"]
    assert not {label.link for label in labels if label.link and publishers[_host(label.link)] != "authority"}
    of_one = [(label, *numbers) for label in labels if len(numbers := set(SET_ID.findall(label.document))) == 1]
    assert not {label.label for label, number in of_one if not (label.link or "").endswith(f"setid={number}")}


def test_no_page_that_is_no_source_is_one_to_link_to() -> None:
    publishers = {row["host"]: row["of"] for row in _rows("link_hosts.csv")}
    pages = {row["words"] for row in _rows("source_classes.csv") if row["class"] in {"D", "E"}}
    copies = {row["page"].split("/")[0] for row in _rows("label_copies.csv")}
    assert not publishers.keys() & pages
    assert {publishers[page] for page in copies & publishers.keys()} <= {"authority"}
