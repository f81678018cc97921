"""Whole answers to the calls of `tests/cases/calls.jsonl`: which rule spoke at which level about which drug.

    python -m tests.pinned_answers            # shows the calls that are answered otherwise than the list says
    python -m tests.pinned_answers --write    # accepts the answers of today: the commit says why they changed

Each call goes to every service that discovery lists for its hook, as an EHR sends it. The list has a line for each
card, named by its rules, model or equation, and one for each reason for silence, without the sentences and without the
service: the same finding may come from another service or in other words. A rule that looked and found nothing has no
line.
"""

import asyncio
import json
import re
import sys
import tempfile
from collections.abc import Iterator
from difflib import unified_diff
from pathlib import Path
from typing import Any, Final

from tests.cds_hooks.call.services.chart_cases import AS_OF
from tests.cds_hooks.calls import client
from tests.conftest import ROOT
from tests.written_calls import requests_for, written_calls

Json = dict[str, Any]
FILE: Final = ROOT / "tests" / "cases" / "answers.txt"
_OURS: Final = "org.cds-hooks-onnx"
_LOOKED: Final = {"within-limits", "scope", "no-partner", "no-pair"}
"""Reasons for silence that say only that a rule was asked."""
_PARTS: Final = ("vaccines", "preventive", "coverage", "results")
"""What a card that is neither of a rule nor of a model has in its extension."""


def current_answers() -> str:
    """Return the list as the server answers today."""
    with tempfile.TemporaryDirectory() as folder:
        return "".join(f"{line}\n" for line in asyncio.run(_lines(Path(folder))))


async def _lines(folder: Path) -> list[str]:
    lines = []
    async with client(folder, as_of=AS_OF, services=None) as server:
        for number, call in enumerate(written_calls(), 1):
            lines.append(f"{number} {' '.join(call[name] for name in ('hook', 'name', 'of', 'draft') if name in call)}")
            told = set()
            for address, request in requests_for(call):
                reply = await server.post(f"/cds-services/{address}", json=_of_own_patient(request, number))
                told |= set(_told(reply.status_code, json.loads(reply.text.replace(f"-call-{number}", ""))))
            lines += [f"    {line}" for line in _together(told)]
    return lines


def _together(told: set[str]) -> Iterator[str]:
    """Yield the cards, and for each reason for silence one line with all that it is about."""
    silent: dict[str, list[str]] = {}
    for line in sorted(told):
        if line.startswith("silent "):
            reason, _, subject = line.partition(": ")
            silent.setdefault(reason, []).append(subject)
        else:
            yield line
    yield from (f"{reason}: {' '.join(subjects)}" for reason, subjects in sorted(silent.items()))


def _of_own_patient(request: Json, number: int) -> Json:
    """Give each call a patient of its own: what one call was told is not held back from the next."""
    patient = re.escape(request["context"]["patientId"])
    renamed: Json = json.loads(re.sub(rf'"((?:Patient/)?{patient})"', rf'"\1-call-{number}"', json.dumps(request)))
    return renamed | {"extension": {_OURS: {"version": 1}}}  # which lists every reason


def _told(status: int, answer: Json) -> Iterator[str]:
    """Yield a line for each card and each silence of an answer."""
    if status != 200:
        yield f"status {status}"
        return
    for card in answer["cards"]:
        own = card.get("extension", {}).get(_OURS, {})
        drugs = sorted({str(fact["value"]) for fact in own.get("facts", []) if fact["name"] == "draft"})
        yield " ".join(["card", card["indicator"], "+".join(_sources(card, own)), " and ".join(drugs)]).rstrip()
    for silence in answer.get("extension", {}).get(_OURS, {}).get("silence", []):
        if silence["reason"] not in _LOOKED:
            yield f"silent {silence['reason']}: {silence['subject']}"


def _sources(card: Json, own: Json) -> list[str]:
    """Return what made the card: its rules with the band of each, its model or equation, or what it is about."""
    sources = [f"{finding['rule']}/{finding['band']}" for finding in own.get("findings", [])]
    sources += [own["model"]["id"]] if "model" in own else []
    sources += [part for part in _PARTS if part in own]
    return sources or [own.get("output") or card["source"]["label"]]


def differences(accepted: str, current: str) -> list[str]:
    """Return the lines that came and went, below the call to which they belong."""
    lines = unified_diff(accepted.splitlines(), current.splitlines(), n=1000, lineterm="")
    shown, heading = [], ""
    for line in list(lines)[3:]:
        if line.startswith(" ") and not line.startswith("     "):
            heading = line
        elif line[0] in "+-":
            shown += [heading, line] if heading else [line]
            heading = ""
    return shown


def main(write: bool) -> int:
    """Shows what differs from the list, or accepts it."""
    accepted, current = FILE.read_text(encoding="utf-8") if FILE.exists() else "", current_answers()
    different = differences(accepted, current)
    if write:
        FILE.write_text(current, encoding="utf-8")
    print("\n".join(different) or "The answers are those of the list.")
    return 0 if write or not different else 1


if __name__ == "__main__":
    raise SystemExit(main("--write" in sys.argv))
