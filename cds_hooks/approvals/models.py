"""Whether a model may show cards at a site: its release, and behind a trust file the keys of two people."""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Final

from cds_hooks.approvals.book import ApprovalBook
from cds_hooks.approvals.statements import ended, model_subject, waiver_subject, words_of
from cds_hooks.settings import ModelState
from cds_hooks.trusted_models import why_withheld
from models_onnx.artifact.release_file import Release
from models_onnx.model_card.embed import read_card
from models_onnx.serving.runtime import Model

_BY_TWO_PEOPLE: Final = ("approved", "active")


class ModelApprovals:
    """What one server asks of a model before it shows its cards.

    Without approvals (the development profile) the signed release is enough. With them a state from `approved` on needs
    the signatures of two people, and a waiver must be in force and, where the site names its people, be signed by two.
    """

    def __init__(self, lowest_state: ModelState, book: ApprovalBook | None, today: Callable[[], date]) -> None:
        self._lowest_state = lowest_state
        self._book = book
        self._today = today
        self._waivers: dict[Model, list[Mapping[str, Any]]] = {}

    def why_withheld(self, model: Model) -> str | None:
        """Why this model shows no cards here, in one sentence; None where it does."""
        withheld = why_withheld(model, self._lowest_state)
        release = model.artifact.release
        if withheld is not None or self._book is None or release is None:
            return withheld
        today = self._today()
        if self._lowest_state in _BY_TWO_PEOPLE:
            missing = self._book.why_not_approved("model", model_subject(release), today)
            if missing is not None:
                return f"{missing[0].upper()}{missing[1:]}."
        return self._waiver_fault(model, release, today, self._book)

    def _waiver_fault(self, model: Model, release: Release, today: date, book: ApprovalBook) -> str | None:
        for gate in release.gates.waived if release.gates is not None else ():
            faults = [why_waiver_is_none(book, each, today) for each in self._of_gate(model, release, gate)]
            if None not in faults:
                fault = faults[0] if faults else f"its card has no waiver of {gate}"
                return f"{release.id} {release.version} is withheld: {fault}."
        return None

    def _of_gate(self, model: Model, release: Release, gate: str) -> list[Mapping[str, Any]]:
        if model not in self._waivers:  # the card is inside the model file, which is parsed once
            waivers = read_card(model.artifact.content)["product"].get("waivers", [])
            self._waivers[model] = [waiver_subject(release.id, release.version, each) for each in waivers]
        return [each for each in self._waivers[model] if each["gate"] == gate]


def why_waiver_is_none(book: ApprovalBook, waiver: Mapping[str, Any], today: date) -> str | None:
    """Why a waiver excuses nothing at this site, in a sentence; None where it does.

    Where the site does not say who may approve, the signature of whoever published the model stands for it.
    """
    if book.asks_people:
        return book.why_not_approved("waiver", waiver, today)
    return f"the {words_of('waiver', waiver)} is not in force on {today}" if ended(waiver, today) else None
