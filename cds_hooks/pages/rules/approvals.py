"""What waits for a second signature, and the form of /rules that takes files of signed acts."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from cds_hooks.hold_back.acts import ApprovalRefused, Subject, waiver_subject, words_of
from cds_hooks.hold_back.approvals import ApprovalBook
from cds_hooks.hold_back.people import PeopleFileError
from cds_hooks.hold_back.releases import Releases
from cds_hooks.hold_back.submission import ActDesk, ServedHere, Taken
from cds_hooks.logs import log
from cds_hooks.monitor.versions import why_too_early
from cds_hooks.pages.committee.tables import SignatureRow, WaitingRow
from cds_hooks.pages.model_files import ModelFiles
from cds_hooks.pages.server import PageServer
from cds_hooks.web.site import Failure, Refusal
from models_onnx.artifact.release_file import Release

_NO_PEOPLE: Final = Failure(
    "The file of people cannot be used",
    "Failed",
    "The file that CDS_PEOPLE_FILE names was changed and cannot be read. Nothing was changed.",
    "Ask whoever keeps the file; the log and cds-hooks approve list say what is wrong with it.",
)
_NOT_NEEDED: Final = "in the development profile no signature counts and none is needed: nothing was recorded"


class Approvals:
    """What is signed, of one server."""

    def __init__(self, server: PageServer) -> None:
        self._server = server
        self._book = server.approvals
        self._releases = server.components.releases
        served = ServedHere(server.served, server.services, *_models(server.files), why_too_early)
        self._desk = ActDesk(server.settings.database_url, server.settings.people_file, served)

    def values(self) -> dict[str, Any]:
        """Return what the template shows where nothing was sent."""
        return self._values(self._book, self._releases)

    def take(self, text: str) -> tuple[dict[str, Any], int]:
        """Take a file of signed acts; return what the template shows of it, and the status of the answer.

        Raises:
            Refusal: the file of people cannot be read.
        """
        try:
            recorded = self._take(text)
        except (ApprovalRefused, ValueError) as fault:
            log().info("signed acts refused", status=400)
            return self.values() | {"problem": str(fault)}, 400
        except PeopleFileError as fault:
            log().error("file of people refused", status=503)
            raise Refusal(_NO_PEOPLE, 503) from fault
        # those of this process have what was recorded just now a moment later
        return self._values(*self._desk.on_record()) | {"taken": recorded}, 200

    def _take(self, text: str) -> list[Taken]:
        if not text.strip():
            raise ApprovalRefused("no file was chosen, or it is empty")
        if self._book is None:
            raise ApprovalRefused(_NOT_NEEDED)
        recorded = self._desk.take(text, self._server.actor, self._server.now())
        log().info("signed acts taken", count=len(recorded))
        return recorded

    def _values(self, book: ApprovalBook | None, releases: Releases) -> dict[str, Any]:
        return {
            "waiting": _waiting(book, releases),
            "refused": [*(book.refused if book is not None else ()), *releases.refused],
            "taken": [],
            "problem": "",
            "needs_approval": book is not None,
        }


def _waiting(book: ApprovalBook | None, releases: Releases) -> list[WaitingRow]:
    """What one person has signed and another one has to sign; the approvals first."""
    rows = []
    today = datetime.now(UTC).date()
    for signed in book.everything() if book is not None else ():
        statement = signed[0].statement
        missing = book.why_not_approved(statement.kind, statement.subject, today) if book is not None else None
        if missing is not None:
            by = [
                SignatureRow(signature.person.name, signature.person.role, signature.statement.at[:10], "")
                for signature in signed
            ]
            rows.append(WaitingRow(words_of(statement.kind, statement.subject), tuple(by), missing))
    for act in releases.waiting_for_second():
        by = [SignatureRow(act.by, act.role, act.at[:10], act.why)]
        rows.append(WaitingRow(act.words, tuple(by), "another person in another role signs the same"))
    return rows


def _models(files: ModelFiles) -> tuple[Callable[[str], Release | None], Callable[[str], list[Subject]]]:
    def waivers(model: str) -> list[Subject]:
        release, card = files.release(model), files.card(model) or {}
        written = card.get("product", {}).get("waivers", [])
        return [waiver_subject(model, release.version, waiver) for waiver in written] if release is not None else []

    return files.release, waivers
