"""The other medications beside a drafted one: the partner of a pair, and other orders of the same drug."""

from cards.extension import Fact
from cards.rules.language.trigger import CompiledTrigger, Selector
from cards.rules.patient.orders import CurrentMedication, DraftMedication
from cards.rules.patient.session import PatientSession
from cards.text import format_number
from fhir.mapping.medications.identity import MedicationIdentity
from fhir.record.resources import MedicationStatement
from fhir.terminology.medications import Ingredient

RECENT_START_DAYS = 30.0
"""What began within so many days is new to the patient (README of the rule tables, partner_new)."""


class PairContext:
    """The part of a rule's context that looks at other drugs; `partners` are those of the other side of a pair."""

    __slots__ = ("drafted", "fresh_only", "ingredient", "medication", "partners", "session", "trigger")

    def __init__(
        self,
        session: PatientSession,
        drafted: DraftMedication,
        ingredient: Ingredient,
        *,
        fresh_only: bool = False,
        partners: tuple[CurrentMedication, ...] = (),
        trigger: CompiledTrigger | None = None,
    ) -> None:
        self.session = session
        self.drafted = drafted
        self.medication = drafted.medication
        self.ingredient = ingredient
        self.fresh_only = fresh_only
        self.partners = partners
        self.trigger = trigger

    # The other side of a pair

    def pair_has(self, selector: Selector) -> bool:
        """Whether the draft or the partner that is looked at is such a drug."""
        if selector.matches(self.medication):
            return True
        return bool(self.partners) and selector.matches(self.partners[0].medication)

    @property
    def pair_is_new(self) -> bool | None:
        """Whether the draft or the partner was begun in the last 30 days; a renewal is no beginning."""
        answers = [self._is_recent(self.medication, self.drafted)]
        answers += [self._is_recent(one.medication, one.drafted) for one in self.partners[:1] if one.ended is None]
        return True if True in answers else None if None in answers else False

    def _is_recent(self, medication: MedicationIdentity, drafted: DraftMedication | None) -> bool | None:
        if drafted is not None and drafted.order.priorPrescription is not None:
            return False
        return self.session.is_recent_start(medication, RECENT_START_DAYS)

    def partner_facts(self) -> list[Fact]:
        """The partners with their dates and sources, the name of the ingredient that is meant as the value."""
        return [medication_fact(one, self._partner_name(one)) for one in self.partners]

    def partner_names(self) -> list[str]:
        """The ingredients of the partners that are meant, each once."""
        return list(dict.fromkeys(self._partner_name(one) for one in self.partners))

    def _partner_name(self, partner: CurrentMedication) -> str:
        if self.trigger is None or not self.trigger.sides:
            return partner.medication.name
        own = self.medication.rxcuis
        for mine, other in ((0, 1), (1, 0)):
            if self.trigger.is_on(mine, self.medication):
                meant = [one for one in self.trigger.members(other, partner.medication) if one.rxcui not in own]
                if meant:
                    return "/".join(one.name for one in meant)
        return partner.medication.name

    def side_names(self, position: int) -> list[str]:
        """What stands on one side of the pair (0 or 1), by ingredient: the draft, or the partners."""
        if self.trigger is None or not self.partners:
            return []
        other = self.trigger.members(1 - position, self.partners[0].medication)
        is_draft = self.trigger.is_on(position, self.medication) and any(
            one.rxcui not in self.medication.rxcuis for one in other
        )
        if is_draft:
            return [one.name for one in self.trigger.members(position, self.medication)][:1]
        return self.partner_names()

    # Doses of a drug, drafted or active

    def drug_daily_mg(self, rxcui: str) -> float | None:
        """Milligrams a day of a drug: of the drafted order, else the most of one active order."""
        own = self.drafted.dose.daily(rxcui)
        if self.medication.has(rxcui):
            return own.high if own is not None else None
        doses = [self._daily_of(one, rxcui) for one in self.session.medications_beside(self.drafted, (rxcui,))]
        known = [one for one in doses if one is not None]
        return max(known) if known and len(known) == len(doses) else None

    def daily_total_mg(self, rxcui: str) -> tuple[float, bool]:
        """Milligrams a day of a drug in the draft and all that is taken beside it, and whether that is all of it."""
        doses = [self._daily_of(one, rxcui) for one in self.session.medications_beside(self.drafted, (rxcui,))]
        if self.medication.has(rxcui):
            own = self.drafted.dose.daily(rxcui)
            doses.append(own.high if own is not None else None)
        return sum(one for one in doses if one is not None), None not in doses

    def _daily_of(self, taken: CurrentMedication, rxcui: str) -> float | None:
        daily = taken.dose.daily(rxcui)
        if daily is not None:
            return daily.high
        if taken.drafted is not None or taken.dose.certainty != "unknown" or _has_dosage(taken):
            return None
        # The rule tables: an active order without a dosage counts as one unit of its product a day.
        for ingredient, strength in zip(taken.medication.ingredients, taken.medication.strengths, strict=True):
            if ingredient.rxcui == rxcui and strength is not None and strength.per == "unit":
                return strength.milligrams
        return None

    def drug_facts(self, rxcui: str) -> list[Fact]:
        """Every order of the drug beside the draft, with its date, source and daily dose."""
        facts = []
        for one in self.session.medications_beside(self.drafted, (rxcui,)):
            dose = self._daily_of(one, rxcui)
            said = f", {format_number(dose)} mg/day" if dose is not None else ""
            facts.append(medication_fact(one, one.medication.name, said))
        return facts


def medication_fact(one: CurrentMedication, name: str, more: str = "") -> Fact:
    """`name` is what stands in a sentence; the text has the chart's words."""
    ended = f" (ended {one.ended.date})" if one.ended is not None else ""
    words = one.medication.said or one.medication.name
    return Fact("medication", f"{words}{more}{ended}", name, effective=one.since, source=one.source)


def meant_name(selector: Selector, one: CurrentMedication) -> str:
    """The ingredients of the medication that the selector means."""
    return "/".join(part.name for part in selector.members(one.medication)) or one.medication.name


def _has_dosage(taken: CurrentMedication) -> bool:
    order = taken.order
    return bool(order.dosage if isinstance(order, MedicationStatement) else order.dosageInstruction)
