"""Reads the services that a site declares as data: the files `NAME.service.toml` of the folder `CDS_MODELS_FOLDER`.

A file names a hook, a model of the folder or a published equation, for whom it is, its words and the order it offers
(docs/adding/model.md). What is wrong with a file is one error that names the file, the line and the fault.
"""

import string
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from cards.card import SUMMARY_LIMIT
from fhir.record.site_file import mistake_in
from fhir.terminology.conditions import CONDITION_GROUPS
from fhir.terminology.plain_file import no_folder
from fhir.terminology.toml_file import TomlFault, read_toml
from models_onnx.declarations import DeclaringFile
from models_onnx.errors import DeclarationError

SUFFIX = ".service.toml"
MODEL_PLACES = {"estimate": "99 in 100 had it (range 99–99)", "higher": "99"}
EQUATION_PLACES = {"value": "99.99 mL/min/1.73", "band": "x" * 20}

_TEXTS = ("title", "description", "usage_requirements", "summary", "seen", "alike", "closing")

_Words = Annotated[str, Meta(min_length=1, max_length=400)]
_Label = Annotated[str, Meta(min_length=1, max_length=80)]
_Id = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{2,63}$")]


class OfferedOrder(Struct, frozen=True, forbid_unknown_fields=True):
    """One order that a card offers as a draft: its label, what the draft says, and in how many days it is due."""

    label: _Label
    text: _Label
    in_days: Annotated[int, Meta(ge=0, le=366)] | None = None


class AlreadyDone(Struct, frozen=True, forbid_unknown_fields=True):
    """Words of orders, procedures and visits of the last `days` after which the service is silent."""

    words: Annotated[tuple[_Label, ...], Meta(min_length=1)]
    days: Annotated[int, Meta(ge=1, le=3660)]


class ServiceFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one file declares. Either `model` or `equation` is given; thresholds are of the one that is.

    `share` is the share of the model's reference cohort that gets a card (the model's own capacity where it is not
    given); `within_age_band` compares with people of the same age instead, or never (false). `least` is the value of
    the equation's `output` from which a card is shown.
    """

    id: _Id
    hook: Literal["patient-view", "encounter-discharge"]
    title: _Label
    description: _Words
    usage_requirements: _Words
    summary: Annotated[str, Meta(min_length=20, max_length=200)]
    orders: Annotated[tuple[OfferedOrder, ...], Meta(min_length=1, max_length=3)]
    model: str | None = None
    equation: str | None = None
    output: str | None = None
    share: Annotated[float, Meta(gt=0, le=0.5)] | None = None
    within_age_band: bool | None = None
    least: float | None = None
    seen: _Label = "had it"
    alike: _Label = "people with results like these"
    closing: _Words = "For planning, not for emergencies."
    only_with: tuple[str, ...] = ()
    not_with: tuple[str, ...] = ()
    already_done: AlreadyDone | None = None

    @property
    def is_at_discharge(self) -> bool:
        """Whether it shows cards when a stay ends; otherwise it is for people who are not in hospital."""
        return self.hook == "encounter-discharge"


def service_files(folder: Path) -> Iterator[tuple[ServiceFile, DeclaringFile]]:
    """Every service that the folder declares, in the order of the files, each with its file.

    Raises:
        DeclarationError: The folder is not there, or a file is wrong: which, where and what.
    """
    if not folder.is_dir():
        raise DeclarationError(f"CDS_MODELS_FOLDER: {no_folder(folder)}")
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        file = DeclaringFile(path.name.removesuffix(SUFFIX), path, path.name)
        yield _read(file), file


def _read(file: DeclaringFile) -> ServiceFile:
    try:
        document = read_toml(file.path)
    except TomlFault as error:
        raise file.fault(f"the file {error}") from error
    try:
        declared = msgspec.convert(document, ServiceFile)
    except msgspec.ValidationError as error:
        text, member = mistake_in(document, ServiceFile, error)
        raise file.fault(f"{text}. docs/adding/model.md lists the members", member) from error
    for text, about in _faults(declared):
        raise file.fault(text, about)
    return declared


def _faults(declared: ServiceFile) -> Iterator[tuple[str, str]]:
    """Yield what is wrong beyond the types, with the word of the file that it is about."""
    if (declared.model is None) == (declared.equation is None):
        yield "a service names either a model or an equation", "equation" if declared.equation else "id"
    if declared.model is not None:
        yield from ((f"{name} is for an equation", name) for name in ("output", "least") if getattr(declared, name))
        if len(declared.orders) > 1:
            yield "the card of a model offers one order", "orders"
        if declared.share is not None and declared.within_age_band:
            yield "share and within_age_band exclude each other: thresholds by age are those of the model", "share"
    elif declared.within_age_band:
        yield "within_age_band is for a model; an equation has least", "within_age_band"
    elif declared.share is not None:
        yield "share is for a model; an equation has least", "share"
    elif declared.least is None:
        yield "least is not given: the value of the equation from which a card is shown", "equation"
    yield from _condition_faults(declared)
    yield from _summary_faults(declared)
    yield from _unseen_faults(declared)


def _unseen_faults(declared: ServiceFile) -> Iterator[tuple[str, str]]:
    """Texts that nobody can read as they stand: blank, with hidden characters, or with a place that nobody fills."""
    texts = [(name, getattr(declared, name)) for name in _TEXTS]
    texts += [(name, getattr(order, name)) for order in declared.orders for name in ("label", "text")]
    texts += [("words", word) for word in (declared.already_done.words if declared.already_done is not None else ())]
    for name, text in texts:
        hidden = next((character for character in text if not character.isprintable()), None)
        if not text.strip():
            yield f"{name} has no words", name
        elif hidden is not None:
            yield f"{name} has a character that cannot be seen (U+{ord(hidden):04X})", name
        elif name != "summary" and {"{", "}"} & set(text):
            yield f"{name} has braces: only the summary has places for the result", name


def _condition_faults(declared: ServiceFile) -> Iterator[tuple[str, str]]:
    for name in ("only_with", "not_with"):
        for group in getattr(declared, name):
            if group not in CONDITION_GROUPS:
                groups = ", ".join(sorted(CONDITION_GROUPS))
                yield f"{name}: there is no group of conditions {group!r}; there are {groups}", group


def _summary_faults(declared: ServiceFile) -> Iterator[tuple[str, str]]:
    places = MODEL_PLACES if declared.model is not None else EQUATION_PLACES
    try:
        placeholders = {name for _, name, _, _ in string.Formatter().parse(declared.summary) if name is not None}
        strange = sorted(placeholders - set(places))
        longest = "" if strange else declared.summary.format(**places)
    except (ValueError, IndexError, KeyError, AttributeError) as error:
        yield f"summary: {error}", "summary"
        return
    if strange:
        yield f"summary has no place for {{{strange[0]}}}; there are {', '.join(places)}", "summary"
    elif not placeholders:
        yield (
            f"summary does not say the result: it has none of {', '.join(f'{{{name}}}' for name in places)}",
            "summary",
        )
    if len(longest) > SUMMARY_LIMIT:
        yield f"summary can be {len(longest)} characters long; {SUMMARY_LIMIT} is the most", "summary"
    if "consider" not in declared.summary.lower():
        yield "summary does not say 'consider': a card offers, it does not direct", "summary"
