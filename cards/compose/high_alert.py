"""The card of drafts that were not checked: of a name that is not recognized, or high-alert and in no rule.

One card names all of them, one line each, instead of a silence.

The lists: Institute for Safe Medication Practices, List of High-Alert Medications in Acute Care Settings (2018), and in
Community/Ambulatory Care Settings (2021); what the pages that were read leave out stands in ISMP's survey of 2003 and
list of 2004. Read on 2026-11-21; the update of 2024 was read only in part. The classes are found by ATC codes and by
our own classes (fhir/terminology/tables/high_alert.csv).
"""

import re
from collections.abc import Collection, Iterator, Sequence
from functools import cache
from typing import Final

from msgspec import Struct

from cards.card import HEADLINE_LENGTH, OVERRIDE_REASONS, TOPICS, Card, CardIdentity, Source
from cards.extension import CardExtension, Fact
from cards.finding import Finding, Repeat
from cards.rules.engine.finding import RuleFinding
from cards.rules.patient.orders import DraftMedication
from cards.text import capitalized, escape, first_few, joined, plain
from fhir.mapping.medications.identity import MedicationIdentity
from fhir.terminology.medications import Ingredient, atc_codes, classes_of, table_rows

_INJECTED = re.compile(
    r"\b(?:iv|im|sc|sq|subcut\w*|intraven\w*|intramusc\w*|intraosse\w*|inject\w*|inj|infus\w*|bag|vial|syringe|premix"
    r"|mini ?bag)\b",
    re.IGNORECASE,
)
_OVERRIDE_REASONS: Final = tuple(reason for reason in OVERRIDE_REASONS if reason.code != "recipient-does-not-trust")
_ISMP: Final = Source(
    label="ISMP List of High-Alert Medications (acute care 2018, community 2021)",
    url="https://www.ismp.org/recommendations/high-alert-medications-acute-list",
    topic=TOPICS["orders"],
)
NOT_COVERED: Final = "not-covered"
"""What the card of a high-alert drug that no rule is about has as its output."""
_NAMES: Final = Source(
    label="Names of drugs that this server knows (RxNorm, ATC and the site's own)", topic=TOPICS["orders"]
)
_MOST_NAMED = 3
_CHECKED = ("allergies", "duplicates")
_UNREADABLE: Final = "A part of the order cannot be read"
_TO_DO = "- **To do:** Check the order by other means, such as the label or a pharmacist."


class _HighAlert(Struct, frozen=True):
    """A row of tables/high_alert.csv: a class of ISMP's lists, and how its drugs are found.

    `values` are beginnings of ATC codes, our classes, names of ingredients or words; `left_out` are ATC codes that are
    in none of ISMP's classes (celecoxib is L01XX33). `injected`: only when it is injected or infused.
    """

    name: str
    kind: str
    values: tuple[str, ...]
    left_out: tuple[str, ...]
    injected: bool


def _read_high_alerts() -> tuple[_HighAlert, ...]:
    rows = []
    for row in table_rows("high_alert.csv"):
        values = row["values"].split(";")
        left_out = tuple(value[1:] for value in values if value.startswith("-"))
        included = tuple(value for value in values if not value.startswith("-"))
        rows.append(_HighAlert(row["name"], row["kind"], included, left_out, row["injected"] == "yes"))
    return tuple(rows)


_HIGH_ALERTS: Final[tuple[_HighAlert, ...]] = _read_high_alerts()


def high_alert_class(medication: MedicationIdentity) -> str | None:
    """Return the class of ISMP's lists of high-alert medications that a drug is in; None for others and local forms.

    A drug that is not recognized is in a class only where its words name it ("chemo", "TPN").
    """
    if medication.systemic is False:
        return None
    if not medication.recognised:
        words = medication.words.lower()
        word_classes = (high_alert for high_alert in _HIGH_ALERTS if high_alert.kind == "words")
        return next(
            (
                high_alert.name
                for high_alert in word_classes
                if any(re.search(rf"\b{re.escape(value)}\b", words) for value in high_alert.values)
            ),
            None,
        )
    is_injected = _INJECTED.search(f"{medication.route} {medication.dose_form} {medication.words}")
    for ingredient in medication.ingredients:
        for name, needs_injection in _classes_of_ingredient(ingredient):
            if is_injected or not needs_injection:
                return name
    return None


@cache
def _classes_of_ingredient(ingredient: Ingredient) -> tuple[tuple[str, bool], ...]:
    """Return the classes of ISMP's lists that an ingredient is in, each with whether that is so only when injected."""
    return tuple(
        (high_alert.name, high_alert.injected) for high_alert in _HIGH_ALERTS if _is_in(ingredient, high_alert)
    )


def _is_in(ingredient: Ingredient, high_alert: _HighAlert) -> bool:
    if high_alert.kind == "class":
        return not classes_of((ingredient,)).isdisjoint(high_alert.values)
    if high_alert.kind == "name":
        return ingredient.name in high_alert.values
    return high_alert.kind == "atc" and any(
        code.startswith(high_alert.values) and not code.startswith(high_alert.left_out)
        for code in atc_codes(ingredient)
    )


def uncovered_findings(
    drafted: DraftMedication, about: Collection[str] = (), *, in_pairs: bool = False
) -> Iterator[RuleFinding]:
    """Yield that a draft was not checked, as a finding of a rule called "not-covered": a site can switch it off.

    Nothing where its drug is recognized and no high-alert medication, if the order can be read. `about` are the
    families that have a rule of it, `in_pairs`: one of them is about a pair of drugs; none is about its dose or about
    who it is for.
    """
    medication = drafted.medication
    high_alert = high_alert_class(medication)
    if high_alert is None and medication.recognised and drafted.draft.fault is None:
        return
    key = "/".join(sorted(medication.rxcuis)) or plain(medication.words.lower(), 60)
    key = key if drafted.draft.fault is None else f"{drafted.draft.name} {key}"
    yield RuleFinding(
        NOT_COVERED,
        NOT_COVERED,
        "info",
        is_certain=True,
        priority=0,
        facts=(Fact("draft", plain(medication.words), key, source=drafted.draft.name),),
        summary=plain(medication.words, 40) or "an order without a drug name",
        detail=_what_was_checked(
            drafted,
            high_alert,
            [*_CHECKED, *(["interactions"] if in_pairs else []), *(["pregnancy"] if "pregnancy" in about else [])],
        ),
    )


def uncovered_card(findings: Sequence[RuleFinding], uuid: str) -> Card:
    """Return the one card that names the drafts that were not checked."""
    drug_names = list(dict.fromkeys(finding.summary for finding in findings))
    names = first_few(drug_names, _MOST_NAMED)
    unreadable = [_UNREADABLE in finding.detail for finding in findings]
    why = "order not readable" if all(unreadable) else "not recognized or not readable"
    why = why if any(unreadable) else "not recognized"
    unknown = f"{capitalized(names)}: {why}, nothing was checked."
    named = (re.search(r"Not checked: ([^.]*)\.", finding.detail) for finding in findings)
    unchecked = max((match[1] for match in named if match), key=len, default="")
    facts = tuple(fact for finding in findings for fact in finding.facts)
    parts = tuple(dict.fromkeys(str(fact.value) for fact in facts))
    # What nobody can read may be another fault the next time, so that it is said at each call until it is answered.
    repeat: Repeat = "until-answered" if any(unreadable) else "once"
    finding = Finding(NOT_COVERED, NOT_COVERED, repeat, parts=parts)
    known = f"{capitalized(names)}: high-alert; {unchecked} not checked here."
    known = known if len(known) <= HEADLINE_LENGTH else f"{capitalized(names)}: high-alert; not fully checked here."
    return CardIdentity(uuid).card(
        "info",
        known if unchecked else unknown,
        "\n".join([*dict.fromkeys(finding.detail for finding in findings[:_MOST_NAMED]), _TO_DO]),
        _ISMP if unchecked else _NAMES,
        CardExtension(finding=finding, output=NOT_COVERED, facts=facts),
        reasons=_OVERRIDE_REASONS,
    )


def _what_was_checked(drafted: DraftMedication, high_alert: str | None, checked: Sequence[str]) -> str:
    medication = drafted.medication
    listed = f"It is a high-alert medication (ISMP list: {high_alert}). " if high_alert else ""
    if drafted.draft.fault is not None:
        name = escape(medication.words, 60) or escape(drafted.draft.name, 60)
        return f"- **{name}**: {listed}{_UNREADABLE}: no dose, allergy or interaction was checked."
    reference = drafted.draft.resource.get("medicationReference")
    if not medication.words and isinstance(reference, dict):
        named = f"“{escape(str(reference.get('reference', '')), 60)}”"
        return f"- The order refers to {named}, which was not sent with it."
    name = escape(medication.words, 60) or "An order without a drug name"
    if not medication.recognised:
        return f"- **{name}**: {listed}No drug of this name is known here: no dose, allergy or interaction was checked."
    with_breastfeeding = ("pregnancy", "breastfeeding") if "pregnancy" not in checked else ()
    left_out = ["dose", "use", *(["interactions"] if "interactions" not in checked else ()), *with_breastfeeding]
    done = capitalized(joined(checked))
    return f"- **{name}**: {listed}Not checked: {joined(left_out)}. {done} were checked: each finding has its own card."
