"""Whole answers of the services to calls about samples and written charts, pinned: one line for each call.

    python -m tests.pinned_answers            # shows the calls whose answers are not those of the list
    python -m tests.pinned_answers --write    # you accept them: the commit says why they changed

A line has the call, the status, what the answer says in short, and a digest of each of its parts: cards, silences,
and the rest. `make test` asks every tenth call about a sample and all written ones, the slow tests ask all. To see how
an answer changed, compare two commits by `python -m benchmarks.answers`.
"""

import asyncio
import hashlib
import json
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from difflib import unified_diff
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.answers.exchange import normalised
from cds_hooks.kit.samples import list_samples
from cds_hooks.kit.simulator.chart import ChartError
from cds_hooks.services import find_services
from tests.cds_hooks.calls import client, request_for
from tests.cds_hooks.services.chart_cases import AS_OF
from tests.conftest import ROOT
from tests.written_calls import Written, written_calls

FILE: Final = ROOT / "tests" / "cases" / "answers.txt"
EVERY: Final = 10
"""`make test` asks every tenth call."""
_NUMBER: Final = re.compile(r"-call-\d+")
"""What was added to the id of a patient."""
_LONGEST: Final = 160


class Asked(NamedTuple):
    """A call about a sample patient."""

    service: str
    hook: str
    sample: str
    draft: str | None

    @property
    def name(self) -> str:
        """As the list names it."""
        return " ".join(filter(None, self))

    def request(self) -> dict[str, Any]:
        """Return the request at `AS_OF`."""
        return request_for(self.service, self.hook, self.sample, AS_OF, self.draft)


def asked_calls() -> list[Asked]:
    """Return every call of the list, in its order: each sample at each hook, each draft at signing."""
    drafts = sorted({order.draft for sample in list_samples() for order in sample.orders})
    calls = []
    for service in find_services().values():
        for hook in service.hooks:
            for sample in list_samples():
                own = [order.draft for order in sample.orders]
                chosen = {"order-select": own, "order-sign": drafts}.get(hook, [None])
                calls += [Asked(service.id, hook, sample.id, draft) for draft in chosen]
    return calls


def answered(calls: Sequence[Asked | Written]) -> dict[str, str]:
    """Return the line of each call that can be made, by its name; a sample without a stay has no discharge."""
    with tempfile.TemporaryDirectory() as folder:
        return dict(asyncio.run(_lines(calls, Path(folder))))


async def _lines(calls: Sequence[Asked | Written], folder: Path) -> list[tuple[str, str]]:
    lines = []
    async with client(folder, as_of=AS_OF) as server:
        for number, call in enumerate(calls):
            with suppress(ChartError):
                # a patient of its own for each call: what one was told is not held back from the next
                request = _renamed(call.request(), number)
                reply = await server.post(f"/cds-services/{call.service}", json=request)
                lines.append((call.name, _line(reply.status_code, _normal(reply.text))))
    return lines


def _renamed(request: dict[str, Any], number: int) -> dict[str, Any]:
    patient = request["context"]["patientId"]
    text = json.dumps(request).replace(f'"{patient}"', f'"{patient}-call-{number}"')
    renamed: dict[str, Any] = json.loads(text.replace(f'Patient/{patient}"', f'Patient/{patient}-call-{number}"'))
    return renamed


def _normal(text: str) -> dict[str, Any]:
    """The answer without what differs from run to run; it does not depend on which calls were asked before."""
    answer: dict[str, Any] = normalised(json.loads(_NUMBER.sub("", text)), request="", address="http://localhost")
    return answer


def _line(status: int, body: Mapping[str, Any]) -> str:
    extension = body.get("extension", {}).get("org.cds-hooks-onnx", {})
    cards, silences = body.get("cards", []), extension.get("silence", [])
    rest = {name: value for name, value in body.items() if name not in ("cards", "extension")}
    parts = (cards, silences, [rest, {name: value for name, value in extension.items() if name != "silence"}])
    digests = " ".join(hashlib.sha256(json.dumps(part, sort_keys=True).encode()).hexdigest()[:8] for part in parts)
    said = "; ".join(f"{card['indicator']}: {card['summary']}" for card in cards)
    words = said or "silent: " + ", ".join(sorted({silence["reason"] for silence in silences}))
    return f"{status} {digests} {words[:_LONGEST]}"


def read_list() -> dict[str, str]:
    """Return the lines that were accepted, by the name of their call."""
    lines = FILE.read_text(encoding="utf-8").splitlines()
    return dict(line.split("\t", 1) for line in lines)


def differences(accepted: Mapping[str, str], current: Mapping[str, str]) -> Iterator[str]:
    """Yields both lines of each call that is answered otherwise than was accepted."""
    before, after = ([f"{name}\t{line}" for name, line in lines.items()] for lines in (accepted, current))
    return (line for line in unified_diff(before, after, n=0, lineterm="") if line[:3] not in ("---", "+++", "@@ "))


def main(write: bool) -> int:
    """Shows what differs from the list, or accepts it."""
    current = answered([*asked_calls(), *written_calls()])
    different = list(differences(read_list() if FILE.exists() else {}, current))
    if write:
        FILE.write_text("".join(f"{name}\t{line}\n" for name, line in current.items()), encoding="utf-8")
    print("\n".join(different) or "The answers are those of the list.")
    return 0 if write or not different else 1


if __name__ == "__main__":
    raise SystemExit(main("--write" in sys.argv))
