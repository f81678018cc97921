"""The model card as a type, and the check of a card against it.

The sections follow from the table of attributes. The check names every blank attribute by its number.
"""

import re
from collections.abc import Iterator
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, create_model

from models_onnx.errors import CardIncomplete
from models_onnx.model_card.attributes import CARD_FORMAT, PREDICTIVE, Attribute, Card, attribute_of

# An answer that says nothing is blank: the rule wants content, not a filled field.
_NOTHING = re.compile(
    r"\W*(?:(?:to ?do|tbd|fixme)\b.*|tba|n/?a|none|null|unknown|not (?:applicable|available|specified|known)|xxx+|"
    r"lorem ipsum.*|placeholder.*|fill (?:me )?in.*|<[^>]*>)?\W*",
    re.IGNORECASE | re.DOTALL,
)
_TO_DO = re.compile(r"\bTODO\b")
NOT_RECORDED = "not recorded"
"""What a card says of an axis, such as race, that its hospital does not record; who signs the card answers for it."""
# A funding of "None." or a population of "none" is such an answer; these may say it in a sentence.
_SHORTEST = 3


def card_problems(card: Card) -> list[str]:
    """Return what is wrong with the card, one sentence each, by number and name; empty where it is whole."""
    blanks = [problem for attribute in PREDICTIVE if (problem := _blank(attribute, card)) is not None]
    blanks += [f"product.{path} is still to do" for path in still_to_do(card.get("product"))]
    if blanks:
        return blanks
    try:
        _CARD.model_validate(card)
    except ValidationError as error:
        return [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
    return []


def refuse_incomplete_card(card: Card) -> None:
    """CardIncomplete with every problem, each attribute by number and name."""
    if problems := card_problems(card):
        name = card.get("model", {}).get("id", "the card") if isinstance(card.get("model"), dict) else "the card"
        raise CardIncomplete(f"the model card of {name} is incomplete: {'; '.join(problems)}")


def still_to_do(part: Any, path: str = "") -> Iterator[str]:
    """Yield where in dicts, lists and tuples a text has the word TODO."""
    if isinstance(part, dict):
        for name, value in part.items():
            yield from still_to_do(value, f"{path}.{name}" if path else str(name))
    elif isinstance(part, list | tuple):
        for value in part:
            yield from still_to_do(value, path)
    elif isinstance(part, str) and _TO_DO.search(part):
        yield path


def _blank(attribute: Attribute, card: Card) -> str | None:
    value = attribute_of(card, attribute.path)
    name = f"{attribute.title} ({attribute.path}, attribute {attribute.number}, {attribute.cite})"
    if "not_available" in value:
        if not attribute.may_be_unavailable:
            return f"{name} may not be 'not available'"
        return None if _says(value["not_available"]) and value.get("as_of") else f"{name}: reason and date are missing"
    return None if _says(value.get("words")) else f"{name} is blank"


def _says(words: object) -> bool:
    return isinstance(words, str) and len(words.strip()) >= _SHORTEST and not _NOTHING.fullmatch(words.strip())


def _is_date(text: str) -> str:
    date.fromisoformat(text)
    return text


Text = Annotated[str, Field(min_length=1)]
Sentence = Annotated[str, Field(min_length=10)]
Date = Annotated[str, AfterValidator(_is_date)]
Share = Annotated[float, Field(gt=0, le=1)]
Hours = Annotated[float, Field(gt=0)]
_ABSENT: Any = None
"""The default of what a card need not have; where it is there, it is not null."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Answer(_Part):
    """What the card says of an attribute."""

    words: Annotated[str, Field(min_length=3, description="The answer in sentences; Markdown is not used.")]
    figures: Annotated[Any, Field(description="The same as data, where there are figures.")] = None
    origin: Literal["computed", "declared", "computed and declared"] = Field(default=_ABSENT, alias="from")


class Unavailable(_Part):
    """An attribute of which nothing can be said yet: why, and as of when."""

    not_available: Annotated[str, Field(min_length=3)]
    as_of: Date


class CardModel(_Part):
    """The model that the card is of."""

    id: Text
    version: Text
    title: Text
    core_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] = _ABSENT


class Waiver(_Part):
    """A fault of a gate that somebody accepts for a time."""

    gate: Annotated[str, Field(pattern="^fairness$")]
    covers: Annotated[list[Text], Field(description="The axes of fairness whose gaps it covers.")]
    at_most: Share = _ABSENT
    reason: Annotated[str, Field(min_length=20)]
    by: Text
    granted: Date
    expires: Date


class LabelAudit(_Part):
    """The column of need that the label is audited against, and by which axis."""

    need: Text
    words: Text
    axis: Text


class Label(_Part):
    """What was predicted, and what it stands for."""

    kind: Literal["outcome", "utilisation", "cost", "judgement"]
    words: Text
    stands_for: Text
    audit: LabelAudit = _ABSENT


class InputAnswer(_Part):
    """Why an input that tells much of the outcome is known before it, and who says so."""

    why: Sentence
    by: Text


class RiskReview(_Part):
    """Intervention risk management: the eight characteristics, when they were last reviewed, and who answers what."""

    reviewed: Date
    by: Text
    for_professionals: Annotated[bool, Field(description="Do only health care professionals read its estimates?")]
    informs: Annotated[bool, Field(description="Does it inform a decision that a clinician makes, and replace none?")]
    wording: Annotated[
        bool,
        Field(
            description="Do its cards give people in 100, the time, the comparison, the observed range and what is "
            "missing, in plain words, without an instruction, a claimed effect or an alarm?"
        ),
    ]
    validity: Text
    reliability: Text
    robustness: Text
    fairness: Text
    intelligibility: Text
    safety: Text
    security: Text
    privacy: Text


DECLARED = {name: str(field.description) for name, field in RiskReview.model_fields.items() if field.annotation is bool}
"""The questions that the review of the risks answers, by name."""


class Product(_Part):
    """What the rule does not ask for but the gates and the page need (responsible-ai.md 1.4).

    Cards signed before 30 November 2026 repeat reference cohort, training data and thresholds of the manifest.
    """

    horizon_hours: Hours
    acting_window_hours: Hours
    time_critical: bool
    output_type: Literal["score", "alarm", "classification", "list"]
    indications: Annotated[list[Text], Field(min_length=1)] = _ABSENT
    device_status: Literal["non-device-cds", "enforcement-discretion", "cleared", "administrative"]
    clearance: Annotated[
        str | None,
        Field(pattern=r"^(K\d{6}|DEN\d{6}|P\d{6}(/S\d+)?)$", description="The number that the FDA gave it."),
    ] = None
    signals: Annotated[list[Text], Field(description="Signals, images or sequences used as inputs.")] = _ABSENT
    setting: Literal["outpatient", "discharge", "inpatient", "population"]
    data_last_year: Annotated[int, Field(ge=1900)]
    label: Label
    fairness_axes: dict[str, Literal["all", "calibration", "none", "not recorded"]] = _ABSENT
    auroc_floor: Annotated[float, Field(ge=0.5, le=1)] = _ABSENT
    one_option_rationale: str = _ABSENT
    input_evidence: dict[str, Sentence] = _ABSENT
    answers: dict[str, InputAnswer] = _ABSENT
    stress_move_at_most: Share = _ABSENT
    waivers: list[Waiver] = _ABSENT
    explanation: dict[str, Any]
    irm: RiskReview
    section_1557: Sentence
    statement: Sentence
    security: Sentence
    reference_cohort: str = _ABSENT
    bibliography: str = _ABSENT
    consent: str = _ABSENT
    discontinue_if: str = _ABSENT
    foundation_models: str = _ABSENT
    regulatory: str = _ABSENT
    reimbursement: str = _ABSENT
    stakeholders: str = _ABSENT
    third_party: str = _ABSENT
    keywords: list[Text] = _ABSENT
    training_data: dict[str, Any] = _ABSENT
    thresholds: list[dict[str, Any]] = _ABSENT


PRODUCT_NAMES = frozenset(Product.model_fields)
"""Every name that the product of a card may have."""


def _attribute(attribute: Attribute) -> Any:
    described = Field(description=f"{attribute.number} {attribute.cite}: {attribute.title}")
    return Annotated[Answer | Unavailable if attribute.may_be_unavailable else Answer, described]


def _section(name: str) -> type[BaseModel]:
    fields: Any = {each.key: (_attribute(each), ...) for each in PREDICTIVE if each.section == name}
    return create_model(name.title(), __base__=_Part, **fields)


def _card_type() -> type[BaseModel]:
    """Return the type of a card: a section for each that the table of attributes names, and the product."""
    fields: Any = {
        "format": (Literal[CARD_FORMAT], ...),
        "kind": (Literal["predictive"], ...),
        "model": (CardModel, ...),
        **{name: (_section(name), ...) for name in dict.fromkeys(each.section for each in PREDICTIVE)},
        "product": (Product, ...),
    }
    return create_model("ModelCard", __base__=_Part, **fields)


_CARD = _card_type()
