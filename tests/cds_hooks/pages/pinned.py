"""Pages of a short day on a server, whole, as texts: what a reader sees, and every address, field and drawing.

python -m tests.cds_hooks.pages.pinned --write    # review the difference before you commit it
"""

import asyncio
import re
import sys
import tempfile
from datetime import UTC, datetime
from difflib import unified_diff
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

import httpx

from tests.cds_hooks.calls import ORDERS, client, ours, request_for
from tests.cds_hooks.kit.samples.reading import AS_OF
from tests.cds_hooks.pages.test_decisions import decided
from tests.conftest import ROOT

PINNED: Final = ROOT / "tests" / "cases" / "pages.txt"
_LEFT_OUT: Final = frozenset({"head", "nav", "footer", "header", "style", "script", "svg"})
_VOID: Final = frozenset({"meta", "link", "br", "img", "input", "hr", "path", "rect", "line", "circle", "use"})
_ATTRIBUTES: Final = (
    "action",
    "checked",
    "disabled",
    "href",
    "id",
    "max",
    "method",
    "min",
    "name",
    "selected",
    "value",
)
_OF_A_RUN: Final = (
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}(-[0-9a-f]{4}-[0-9a-f]{12})?", "UUID"),
    (r"[0-9a-f]{12,64}", "DIGEST"),
    (r"[0-9a-f]{8}:DIGEST", "USER"),
    (r"(TODAY|\d{4}-\d\d-\d\d)[T ]\d\d:\d\d(:\d\d(\.\d+)?)?", "TIME"),
    (r", for the chart as of\nTIME UTC\n\.", "."),
    (r"(?m)^([\d,.]+ ms|[\d,]+\.?\d*)$", "NUMBER"),
    (r"[\d,.]+ (ms|seconds|KB|MB|bytes)\b", "SOME \\1"),
    (r"(?m)^NUMBER(\nNUMBER)+$", "NUMBERS"),
    (r"metformin: looked for(.|\n)*?(?=\n(Decision|<a href=)|\Z)", "WHAT THE RULES LOOKED FOR"),
    (r"Where the time of the call went(.|\n)*?(?=Prefetch keys)", ""),
)
"""What differs from run to run, and numbers that stand alone in a cell: tests of their own say what these are."""


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._skipped: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _LEFT_OUT and tag not in _VOID:
            self._skipped.append(tag)
        attributes = [f'{name}="{value}"' if value else name for name, value in attrs if name in _ATTRIBUTES]
        if attributes and not self._skipped:
            self.lines.append(f"<{tag} {' '.join(attributes)}>")

    def handle_endtag(self, tag: str) -> None:
        if self._skipped and self._skipped[-1] == tag:
            self._skipped.pop()

    def handle_data(self, data: str) -> None:
        if data.strip() and not self._skipped:
            self.lines.append(" ".join(data.split()))


def as_text(html: str) -> str:
    """Return what a page says, without the frame that all pages share and without what differs in every run."""
    reader = _Reader()
    reader.feed(html)
    text = "\n".join(reader.lines) + "\n"
    text = text.replace(f"{datetime.now(UTC):%Y-%m-%d}", "TODAY")
    for pattern, word in _OF_A_RUN:
        text = re.sub(pattern, word, text)
    return text


_BROWSER: Final = {"accept": "text/html", "origin": "http://localhost", "sec-fetch-site": "same-origin"}


async def _visit(calls: httpx.AsyncClient) -> dict[str, str]:
    planning = await decided(calls, "planning-talk")
    order = await decided(calls, "ckd4-metformin", "metformin-ckd4-coded")
    infant = await decided(calls, "infant")
    request = request_for("statin-discussion", "patient-view", "diabetes-no-statin", AS_OF)
    answer = await calls.post("/cds-services/statin-discussion", json=request)
    statin, (card,) = ours(answer)["decision"], answer.json()["cards"]
    pages, whole = dict[str, str](), dict[str, str]()

    async def keep(name: str, path: str, like: str = "", **fields: str) -> None:
        answered = await (
            calls.post(path, data=fields, headers=_BROWSER) if fields else calls.get(path, headers=_BROWSER)
        )
        location = re.sub(_OF_A_RUN[0][0], "UUID", answered.headers.get("location", ""))
        page = f"{answered.status_code} {location}\n{as_text(answered.text)}"
        whole[name] = page
        pages[name] = _changes(page, whole[like]) if like else page

    async def told(card_id: str, **feedback: object) -> None:
        time = {"outcomeTimestamp": "2026-11-20T09:30:00Z"}
        sent = {"feedback": [{"card": card_id, **feedback, **time}]}
        pages[f"feedback {len(pages)}"] = (
            f"{(await calls.post(f'/cds-services/{ORDERS}/feedback', json=sent)).status_code}\n"
        )

    await keep("start", "/")
    await told(order["card"], outcome="overridden", overrideReason={"reason": {"code": "benefit"}})
    await told(order["card"], outcome="accepted", acceptedSuggestions=[{"id": order["suggestion"]}])
    for name, decision in (
        ("planning", planning["id"]),
        ("order", order["id"]),
        ("infant", infant["id"]),
        ("statin", statin),
    ):
        await keep(f"decision {name}", f"/decisions/{decision}")
        await keep(f"explain {name}", f"/explain/{decision}", f"decision {name}")
        await keep(f"replay {name}", f"/decisions/{decision}", f"decision {name}", act="replay")
    await keep("a what-if", f"/explain/{statin}", "explain statin", **{"act": "ask", "to-sbp": "120"})
    await keep("a what-if that cannot be", f"/explain/{statin}", "explain statin", **{"act": "ask", "to-sbp": "220"})
    await keep(
        "an answer that is none", f"/explain/{statin}", "explain statin", act="answer", card=card["uuid"], answer="r99"
    )
    await keep("an answer", f"/explain/{statin}", act="answer", card=card["uuid"], answer="r0")
    await keep("explain answered", f"/explain/{statin}", "explain statin")
    await keep("decisions", "/decisions")
    for number, query in enumerate(
        (
            "outcome=cards",
            "outcome=silent&service=x",
            "since=2026-11-20&until=2026-11-21",
            "since=yesterday",
            "rule=renal-metformin",
            "patient=infant",
        )
    ):
        await keep(f"decisions {number}", f"/decisions?{query}", "decisions")
    for name in ("approvals", "simulations", "interfaces", "worklist", "committee", "login"):
        await keep(name, f"/{name}")
    await keep("no such decision", "/decisions/01a209ba-69d7-7d1b-bff1-8640ad250000")
    await keep("no decision", "/explain/nothing")
    return pages


def text() -> str:
    """Return the texts of the pages, one after the other."""

    async def visit(folder: Path) -> dict[str, str]:
        async with client(folder, as_of=AS_OF, counts_file=folder / "counts.sqlite3") as calls:
            return await _visit(calls)

    with tempfile.TemporaryDirectory() as folder:
        pages = asyncio.run(visit(Path(folder)))
    return "\n".join(f"# {name}: {page}" for name, page in pages.items())


def _changes(page: str, other: str) -> str:
    """Return the lines in which a page differs from another one, the first line always."""
    first, rest = page.split("\n", 1)
    lines = unified_diff(other.split("\n")[1:], rest.split("\n"), lineterm="", n=0)
    return "\n".join([first, *(line for line in lines if not line.startswith(("---", "+++", "@@")))]) + "\n"


if __name__ == "__main__" and "--write" in sys.argv:
    PINNED.write_text(text(), encoding="utf-8")
