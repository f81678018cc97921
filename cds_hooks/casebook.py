"""Case files: the short cases of one rule, or one complete request with its expected findings, through the server."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import orjson

from cards.casebook.cases import faults_of_case, missing_cases
from cards.rules.governance import every_version

Json = dict[str, Any]

_SERVICE = "order-safety"
_EXTENSION = "org.cds-hooks-onnx"


class CaseFault(Exception):
    """The file holds no case; the message says what it should hold."""


@dataclass(frozen=True, slots=True)
class Checked:
    """One case and what is wrong with the answer to it."""

    name: str
    faults: tuple[str, ...]


def check_file(path: Path) -> list[Checked]:
    """Every case of a file; CaseFault where it holds none."""
    try:
        document = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise CaseFault("is no JSON file that can be read") from error
    if isinstance(document, list) and all(isinstance(case, dict) and "kind" in case for case in document):
        return _short_cases(path.stem, document)
    if isinstance(document, dict) and "expected" in document and "request" in document:
        return [Checked(str(document.get("id", path.stem)), tuple(_faults_of_request(document)))]
    raise CaseFault("holds neither a list of short cases nor a request with what is expected")


def _short_cases(rule: str, cases: list[Json]) -> list[Checked]:
    if rule not in every_version():
        raise CaseFault(f"is named after no rule: there is none called {rule}")
    checked = [Checked(f"{rule}: {case.get('id')}", tuple(_faults_of_short_case(rule, case))) for case in cases]
    lacking = missing_cases(rule, cases)
    return [*checked, Checked(f"{rule}: all cases", tuple(lacking))] if lacking else checked


def _faults_of_short_case(rule: str, case: Json) -> list[str]:
    try:
        return faults_of_case(rule, case)
    except (KeyError, ValueError, TypeError) as error:
        return [f"the case cannot be read ({type(error).__name__}: {error})"]


def _faults_of_request(case: Json) -> list[str]:
    """Compares the server's answer with the findings, silences and rules that must not speak."""
    answer = asyncio.run(_answer(case))
    if answer.status_code != 200:
        return [f"answered {answer.status_code}"]
    cards = answer.json()["cards"]
    found = {
        (one["rule"], one["band"], card["indicator"])
        for card in cards
        for one in card["extension"][_EXTENSION].get("findings", ())
    }
    expected = case["expected"]
    wanted = [_bands(one) for one in expected.get("findings", ())]
    rules = {pair for bands in wanted for pair in bands}
    pairs = {one[:2] for one in found}
    # Findings about one order share a card, whose indicator is that of the worst of them.
    faults = [f"no finding {'/'.join(bands[0])}" for bands in wanted if not pairs.intersection(bands)]
    loudest = {one["indicator"] for one in expected.get("findings", ())}
    if "critical" in loudest and "critical" not in {one[2] for one in found}:
        faults.append("no critical card")
    also = set(expected.get("allowed_also", ()))
    alone = len(found) == 1
    for rule, band, indicator in sorted(found):
        if (rule, band) in rules:
            continue
        never = any(_forbids(each, rule, band, indicator, alone=alone) for each in expected.get("must_not_fire", ()))
        if never or (expected.get("silent") and not {rule, f"{rule}/{band}"} & also):
            faults.append(f"{rule}/{band} ({indicator}) must not speak")
    return faults


def _bands(expected: Json) -> list[tuple[str, str]]:
    """The band that a case names, and those it allows in its place ("lt30 shown as warning")."""
    others = (each.split()[0] for each in expected.get("band_alternatives", ()))
    return [(expected["rule"], band) for band in (expected["band"], *others)]


def _forbids(words: str, rule: str, band: str, indicator: str, *, alone: bool) -> bool:
    """Whether "rule", "rule/band", "rule critical" or "rule as a separate card" means this finding."""
    name, _, rest = words.partition(" ")
    if name not in (rule, f"{rule}/{band}"):
        return False
    if "separate card" in rest:
        return alone
    return indicator == "critical" if rest.startswith("critical") else True


async def _answer(case: Json) -> httpx.Response:
    from cds_hooks.app import create_app
    from cds_hooks.settings import Settings

    with TemporaryDirectory() as folder:
        as_of = datetime.fromisoformat(case["as_of"]) if "as_of" in case else None
        settings = Settings(database_url=f"sqlite:///{folder}/decisions.sqlite3", as_of=as_of, trust_file=None)
        transport = httpx.ASGITransport(app=create_app(settings), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://cases") as client:
            return await client.post(f"/cds-services/{_SERVICE}", json=case["request"])
