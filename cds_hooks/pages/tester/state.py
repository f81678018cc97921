"""What the tester's page knows: the choices of the form, the request, the answers and what followed from them."""

import hashlib
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from cds_hooks.kit.simulator.chart import Resource
from cds_hooks.pages.tester.exchange import Exchanged, Sent
from cds_hooks.pages.tester.feedback import Change
from cds_hooks.pages.tester.orders import Dosing, Orderable
from cds_hooks.protocol.body import is_nested_deeper
from cds_hooks.web.forms import Form

SAMPLE, FILE = "sample:", "file"
ALL: Final = "*"
"""In place of a service: all services of the hook."""
FIRST_SAMPLE, FIRST_DRAFT = "ckd4-metformin", "metformin-ckd4-coded"
"""The patient and the draft that the page opens with."""


class UnusableForm(ValueError):
    """The form, or a file in it, cannot be read; the message says what to do."""


class Carried(Struct):
    """What one form hands on to the next in a hidden field."""

    drafts: list[Resource] = []
    exchanges: list[Exchanged] = []
    feedback: list[Sent] = []
    changes: list[Change] = []
    subject: str = ""
    """Whom drafts and answers are about (`Bench.subject`)."""


class Problem(NamedTuple):
    """Why the last press did nothing: the field that it is about, a sentence, and the part of the page to which it led.

    `at` is "answer", "drafts", "request" or "top": there the sentence stands, because the browser goes there.
    """

    field: str
    text: str
    at: str = "answer"


@dataclass(slots=True)
class Bench:
    """The page between two presses of a button."""

    patient: str = f"{SAMPLE}{FIRST_SAMPLE}"
    upload: str = ""
    """The Bundle or request that was opened, where `patient` is a file."""
    call: str = "order-select/order-safety-select"
    request: str = ""
    service: str = ""
    """The service to which `request` belongs."""
    token: str = ""
    """The client's token for the next call; it is never written into the page."""
    order: str = ""
    dosing: Dosing = field(default_factory=Dosing)
    carried: Carried = field(default_factory=Carried)
    matches: list[Orderable] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Service and JSON of every request that was sent with this press, where there are several."""
    problem: Problem | None = None
    note: str = ""

    @property
    def hook(self) -> str:
        """The hook that is chosen."""
        return self.call.partition("/")[0]

    @property
    def chosen(self) -> str:
        """The service that is chosen, or ALL."""
        return self.call.partition("/")[2]

    @property
    def subject(self) -> str:
        """Whom the page is about now: a digest of the sample or of the opened file."""
        chosen = self.upload if self.patient == FILE else ""
        return hashlib.sha256(f"{self.patient} {chosen}".encode("utf-8", "replace")).hexdigest()

    def keep_to_patient(self) -> None:
        """Drop the drafts, the request and the answers of another patient than the one who is chosen now."""
        if self.carried.subject not in ("", self.subject):
            self.carried = Carried()
            self.request = self.service = ""
            self.note = "Drafts and answers about the patient before were dropped."
        self.carried.subject = self.subject

    def forget_answers(self) -> None:
        """Before another call is made."""
        self.carried.exchanges, self.carried.feedback, self.carried.changes = [], [], []


def bench_of(form: Form) -> Bench:
    """Return the page as its form says it.

    Raises:
        UnusableForm: the hidden field is not what this page writes.
    """
    fresh = Bench()
    try:
        carried = msgspec.json.decode(form.get("carried") or "{}", type=Carried)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise UnusableForm("The form is not one of this page; open /try again.") from error
    dosing = Dosing(
        form.get("dose", ""),
        form.get("unit", "tablet"),
        form.get("frequency", "1d"),
        form.get("as_needed") == "yes",
        form.get("days", ""),
    )
    return Bench(
        patient=form.get("patient", fresh.patient),
        upload=form.get("upload", ""),
        call=form.get("call", fresh.call),
        request=form.get("request", "").replace("\r\n", "\n"),
        service=form.get("service", ""),
        token=form.get("token", "").strip(),
        order=form.get("order", "").strip(),
        dosing=dosing,
        carried=carried,
    )


def object_in(text: str, what: str) -> dict[str, Any]:
    """Return the JSON object in a text.

    Raises:
        UnusableForm: it is no JSON object; the message says `what` it should be and where it is wrong.
    """
    try:
        document = msgspec.json.decode(text.lstrip("\ufeff"))
    except (msgspec.DecodeError, RecursionError) as error:
        raise UnusableForm(f"{what} is not JSON: {error}.") from error
    if not isinstance(document, dict):
        raise UnusableForm(f"{what} is JSON but no object.")
    if is_nested_deeper(document):
        raise UnusableForm(f"{what} is nested deeper than any FHIR resource.")
    return document
