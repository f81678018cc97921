"""Cases of rules, and what is wrong with the answers to them.

A file is a list of short cases of the rule it is named after, or one complete request with what is expected of it,
which goes through a server of its own, with the settings that are handed in.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import orjson

from cards.card import SEVERITY
from cards.casebook.cases import faults_of_case, missing_cases
from cards.extension import EXTENSION_KEY
from cards.rules.engine.governance import all_rule_versions
from cards.rules.engine.rule_book import rule_book
from cds_hooks.settings import Settings, with_settings

Json = dict[str, Any]

_SERVICE = "order-safety"


class CaseFault(Exception):
    """The file holds no case; the message says what it should hold."""


class NoCaseFile(CaseFault):
    """The file is of another kind: a folder of cases may hold tables and charts, too."""


@dataclass(frozen=True, slots=True)
class Checked:
    """One case and what is wrong with the answer to it."""

    name: str
    faults: tuple[str, ...]


def check_file(path: Path, configured: Settings) -> list[Checked]:
    """Every case of a file; CaseFault where it holds none."""
    try:
        document = orjson.loads(path.read_bytes())
    except OSError as error:
        raise CaseFault(f"cannot be read: {error.strerror}") from error
    except orjson.JSONDecodeError as error:
        raise CaseFault(f"line {error.lineno} is not valid JSON ({error.msg})") from error
    if isinstance(document, list) and all(isinstance(case, dict) and "kind" in case for case in document):
        return _short_cases(path.stem, document)
    if isinstance(document, dict) and "expected" in document and "request" in document:
        return [Checked(str(document.get("id", path.stem)), tuple(_faults_of_request(document, configured)))]
    raise NoCaseFile("holds neither a list of short cases nor a request with what is expected")


def _short_cases(rule: str, cases: list[Json]) -> list[Checked]:
    rule_book()  # a rule that cannot be used stops the command with a sentence, and is no fault of a case
    if rule not in all_rule_versions():
        raise CaseFault(f"is named after no rule: there is none called {rule}")
    for number, case in enumerate(cases, 1):
        lacks = [name for name in ("kind", "about") if not isinstance(case.get(name), str)]
        if lacks:
            raise CaseFault(f"case {number} lacks {' and '.join(lacks)}, each a string")
    checked = [Checked(f"{rule}: {case.get('id')}", tuple(_faults_of_short_case(rule, case))) for case in cases]
    lacking = missing_cases(rule, cases)
    return [*checked, Checked(f"{rule}: all cases", tuple(lacking))] if lacking else checked


def _faults_of_short_case(rule: str, case: Json) -> list[str]:
    try:
        return faults_of_case(rule, case)
    except (KeyError, ValueError, TypeError) as error:
        return [f"the case cannot be read ({type(error).__name__}: {error})"]


def _faults_of_request(case: Json, configured: Settings) -> list[str]:
    """Compare the server's answer with the findings, silences and rules that must not be found."""
    try:
        return _compare(asyncio.run(_answer(case, configured)), case)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        return [f"the case cannot be read ({type(error).__name__}: {error})"]


def _compare(answer: httpx.Response, case: Json) -> list[str]:
    if answer.status_code != 200:
        return [f"answered {answer.status_code}"]
    cards = answer.json()["cards"]
    findings = {
        (finding["rule"], finding["band"], card["indicator"])
        for card in cards
        for finding in card["extension"][EXTENSION_KEY].get("findings", ())
    }
    expected = case["expected"]
    wanted = [_bands(finding) for finding in expected.get("findings", ())]
    rules = {pair for bands in wanted for pair in bands}
    pairs = {finding[:2] for finding in findings}
    # Findings about one order share a card, whose indicator is that of the worst of them.
    faults = [f"no finding {'/'.join(bands[0])}" for bands in wanted if not pairs.intersection(bands)]
    indicators = {finding["indicator"] for finding in expected.get("findings", ())}
    if "critical" in indicators and "critical" not in {finding[2] for finding in findings}:
        faults.append("no critical card")
    also = set(expected.get("allowed_also", ()))
    about = {words.partition("-")[0] for words in expected.get("must_not_fire", ()) if "-" in words.partition(" ")[0]}
    alone = len(findings) == 1
    for rule, band, indicator in sorted(findings):
        if (rule, band) in rules:
            continue
        never = any(
            _forbids(finding, rule, band, indicator, alone=alone) for finding in expected.get("must_not_fire", ())
        )
        # A case about the dose says nothing about what another family finds in the same order.
        is_about = not about or rule.partition("-")[0] in about
        allowed = {rule, f"{rule}/{band}", f"{rule} {indicator}"} & also
        if never or (expected.get("silent") and is_about and not allowed):
            faults.append(f"found {rule}/{band} ({indicator}), which must not be found")
    return faults


def _bands(expected: Json) -> list[tuple[str, str]]:
    """Return the band that a case names, and those it allows in its place ("lt30 shown as warning")."""
    others = (band.split()[0] for band in expected.get("band_alternatives", ()))
    return [(expected["rule"], band) for band in (expected["band"], *others)]


def _forbids(words: str, rule: str, band: str, indicator: str, *, alone: bool) -> bool:
    """Whether "rule", "rule/band", "rule critical", "critical" or "rule as a separate card" means this finding."""
    name, _, rest = words.partition(" ")
    if words in SEVERITY:
        return indicator == words
    if name not in (rule, f"{rule}/{band}"):
        return False
    if "separate card" in rest:
        return alone
    first_word = rest.partition(" ")[0]
    return indicator == first_word if first_word in SEVERITY else True


async def _answer(case: Json, configured: Settings) -> httpx.Response:
    from cds_hooks.app import create_app  # short cases need no server

    with TemporaryDirectory() as folder:
        as_of = datetime.fromisoformat(case["as_of"]) if "as_of" in case else None
        changed = {"database_url": f"sqlite:///{folder}/decisions.sqlite3", "as_of": as_of, "trust_file": None}
        app = create_app(with_settings(configured, changed))
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.post(f"/cds-services/{_SERVICE}", json=case["request"])
