"""What waits for a second person, and the forms of /rules by which people approve, switch and release."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from msgspec import Struct
from pydantic import TypeAdapter

from cds_hooks.hold_back.act_desk import APPROVED, ActDesk, LoggedIn, Recorded, ServedHere, Wanted, waiver_version
from cds_hooks.hold_back.acts import Act, ApprovalRefused, Statement, Subject, waiver_subject, words_of
from cds_hooks.hold_back.approvals import ApprovalBook
from cds_hooks.hold_back.releases import Releases
from cds_hooks.hold_back.rules_file import RulesFileError, read_review
from cds_hooks.hold_back.terminology import whole_indexes
from cds_hooks.logs import log
from cds_hooks.monitor.versions import why_too_early
from cds_hooks.pages.model_files import ModelFiles
from cds_hooks.pages.server import PageServer
from cds_hooks.web.visitor import visiting
from models_onnx.artifact.folder import VERSION_SIGN
from models_onnx.artifact.release_file import Release

_WANTED: Final = TypeAdapter(Wanted)
MOST_BYTES: Final = 1_000_000
"""Of a form: a reviewed list of every rule has some 20,000."""
_NOT_NEEDED: Final = "in the development profile no approval counts and none is needed: nothing was recorded"
_NOBODY: Final = "people who have logged in approve and release, so set CDS_LOGIN: nothing was recorded"


class Approvals:
    """What people approve, switch and release at one server."""

    def __init__(self, server: PageServer) -> None:
        self._server = server
        self._book = server.approvals
        self._releases = server.components.releases
        indexes = partial(whole_indexes, server.settings)
        served = ServedHere(server.served, server.services, *_models(server.files), why_too_early, indexes)
        self._desk = ActDesk(server.settings.database_url, served)

    def values(self) -> dict[str, Any]:
        """Return what the template shows where nothing was sent."""
        return self._values(self._book, self._releases)

    def take(self, form: Mapping[str, str]) -> tuple[dict[str, Any], int]:
        """Take what somebody clicked; return what the template shows of it, and the status of the answer."""
        try:
            recorded = self._take(form)
        except (ApprovalRefused, RulesFileError) as fault:
            log().info("act refused", status=400)
            text = "; ".join(fault.problems) if isinstance(fault, RulesFileError) else str(fault)
            return self.values() | {"problem": text}, 400
        # those of this process have what was recorded just now a moment later
        return self._values(*self._desk.on_record()) | {"taken": recorded}, 200

    def _take(self, form: Mapping[str, str]) -> list[Recorded]:
        visitor = visiting().visitor
        if self._book is None:
            raise ApprovalRefused(_NOT_NEEDED)
        if visitor is None:
            raise ApprovalRefused(_NOBODY)
        person = LoggedIn(visitor.name, visitor.actor, visitor.issuer, visitor.roles)
        recorded = self._desk.take(_wanted(form), person, datetime.now(UTC))
        log().info("acts recorded", count=len(recorded))
        return recorded

    def _values(self, book: ApprovalBook | None, releases: Releases) -> dict[str, Any]:
        return {
            "waiting": _waiting(book, releases, self._server.files),
            "refused": [*(book.refused if book is not None else ()), *releases.refused],
            "taken": [],
            "problem": "",
            "needs_approval": book is not None,
        }


def _wanted(form: Mapping[str, str]) -> list[Wanted]:
    """Return what a form asks for: one act, or the approval of every rule of a reviewed list."""
    if "reviewed" in form:
        return [Wanted("rule", rule, APPROVED, digest, note) for rule, digest, note in read_review(form["reviewed"])]
    return [_WANTED.validate_python(form)]


class WaitingRow(Struct, frozen=True):
    """Something that one person did and that does not count yet: by whom, and what is missing; `wanted` repeats it."""

    what: str
    by: Statement | Act
    note: str
    missing: str
    wanted: dict[str, str]


def _waiting(book: ApprovalBook | None, releases: Releases, files: ModelFiles) -> list[WaitingRow]:
    """Return what one person did and another one has to; the approvals first."""
    if book is None:
        return []
    rows = []
    today = datetime.now(UTC).date()
    for statement in book.everything():
        kind, subject = statement.kind, statement.subject
        missing = book.why_not_approved(kind, subject, today)
        if missing is not None:
            wanted = {"kind": kind, "state": APPROVED, **_version(statement, files)}
            rows.append(WaitingRow(words_of(kind, subject), statement, statement.note, missing, wanted))
    for act in releases.waiting_for_second():
        wanted = {
            "kind": act.kind,
            "state": act.state,
            "name": act.name,
            "version": act.version,
            "share": f"{act.share}",
        }
        rows.append(WaitingRow(act.words, act, act.why, "another person in another role does the same", wanted))
    return rows


def _version(statement: Statement, files: ModelFiles) -> dict[str, str]:
    """Return name and version of what was approved, as the forms name them."""
    subject = statement.subject
    version = waiver_version(subject) if statement.kind == "waiver" else str(subject["digest"])
    name = str(subject["rule" if statement.kind == "rule" else "model"])
    beside = f"{name}{VERSION_SIGN}{subject.get('version')}"
    return {"name": beside if files.folder(beside) else name, "version": version}


def _models(files: ModelFiles) -> tuple[Callable[[str], Release | None], Callable[[str], list[Subject]]]:
    def waivers(model: str) -> list[Subject]:
        release, card = files.release(model), files.card(model) or {}
        written = card.get("product", {}).get("waivers", [])
        return [waiver_subject(model, release.version, waiver) for waiver in written] if release is not None else []

    return files.release, waivers
