"""Which medication an order, a statement or a Medication resource means: by code first, then by words, not by a guess.

What nothing matches comes back with `recognised` False and its words, so that the caller can say so."""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from fhir.record.datatypes import CodeableConcept, Dosage, Identifier, Quantity, Ratio, Reference, plain
from fhir.record.resources import (
    Medication,
    MedicationAdministration,
    MedicationDispense,
    MedicationIngredient,
    MedicationRequest,
    MedicationStatement,
)
from fhir.terminology.caching import remembered
from fhir.terminology.conditions import is_not_read
from fhir.terminology.dosing import (
    BY_PERCENT,
    PLACED,
    PUSHED,
    ROUTE_NAMES,
    RUN_IN,
    acts_on_whole_body,
    days_per_unit,
    dose_unit,
    is_local_route,
    said_place,
    said_route,
)
from fhir.terminology.imported import meaning_of_name
from fhir.terminology.medication_names import NameReading, is_local, medication_of_code, read_name, read_order_name
from fhir.terminology.medication_strength import MILLIGRAMS, Strength
from fhir.terminology.medications import (
    INGREDIENTS,
    MIMIC_GROUP,
    MIMIC_NAME,
    Ingredient,
    Product,
    classes_of,
    drug_system,
    product_of_atc_group,
    product_of_substance,
)

Order: TypeAlias = MedicationRequest | MedicationStatement | MedicationDispense | MedicationAdministration
Medications: TypeAlias = Mapping[str, Medication]
_NO_MEDICATIONS: Medications = {}
# A Medication may name a Medication that names a Medication; nobody needs more, and a circle must end.
_DEEPEST_REFERENCE = 4
_SLOW = re.compile(
    r"\b(?:extended|sustained|prolonged|controlled|modified|retard|continus|xr|er|sr|xl|la|cr|lp|mr)\b"
    r"|\b(?:12|24) ?h(?:ou)?r|contin\b"
    r"|\b(?:kadian|exalgo|hysingla|zohydro|xtampza|arymo|morphabond|embeda|avinza|conzip|dur[ao]gesic)\b"
    r"|\b(?:mst|mxl|zomorph|kapanol|longtec|oxygesic|targin(?:act|iq)?|jurnista|doltard|contalgin)\b"
    r"|\b(?:tramal|tramadolor) long\b|\b(?:gralise|horizant|enacarbil)\b|\bonce-daily gabapentin",
    re.IGNORECASE,
)
_INJECTED = re.compile(
    r"inject|infus|infiltrat|nerve block|intraven|intramusc|intrathec|subcut|prefilled syringe"
    r"|\b(?:iv|im|sc|sq|subq|iv drip|ivpb|ivp|ivpca|pca)\b|(?:flex|kwik|quick|solo|touch|\b)pen\b(?! ?v)"
    r"|\b(?:ozempic|wegovy)\b",
    re.IGNORECASE,
)
# Routes that are looked for beside a name; what is put where it acts is told by its form.
_ROUTES_IN_NAMES = {
    PUSHED,
    "intravenous",
    "intramuscular",
    "subcutaneous",
    "intrathecal",
    "epidural",
    "by mouth",
    "sublingual",
}
_POTASSIUM_CHLORIDE = "8591"
_POTASSIUM_NAMED = re.compile(r"pota|kalium|\bkcl\b", re.IGNORECASE)
# Beside polyethylene glycol 3350, sulfate or ascorbate it is of a bowel preparation, beside acetate or gluconate of a
# balanced fluid; with calcium chloride and lactate it is lactated Ringer's.
_OF_BOWEL = frozenset({"221147", "36721", "267366"})
_OF_FLUID = frozenset({"56443", "56476"})
_RINGER = frozenset({_POTASSIUM_CHLORIDE, "1901", "114202"})
_LACTATED_RINGER = "847630"
_INTO_VEIN = re.compile(r"\biv\b|intraven", re.IGNORECASE)
_INJECTED_GEL = re.compile(r"(?:intraven|intramusc|subcut).*\n.*\bgel\b", re.IGNORECASE)
"""A route and, in the next line, a name: what is injected as a gel is absorbed from there (Acthar Gel)."""


class MedicationIdentity(Struct, frozen=True, dict=True):
    """What a medication is: its ingredients, strengths, form and route.

    `strengths` stand beside `ingredients` (None: not stated); `systemic` is False for local forms and routes, None
    when not recognized; `millilitres` is the volume of one unit (a syringe) where the name states it; `rxnorm` is
    the RxNorm code that came with it; `doubt` is a sentence when code and words name different drugs or strengths.
    """

    words: str
    ingredients: tuple[Ingredient, ...] = ()
    strengths: tuple[Strength | None, ...] = ()
    dose_form: str = ""
    route: str = ""
    systemic: bool | None = None
    millilitres: float | None = None
    rxnorm: str | None = None
    doubt: str | None = None

    @property
    def recognised(self) -> bool:
        """Whether at least one ingredient was found."""
        return bool(self.ingredients)

    @cached_property
    def classes(self) -> frozenset[str]:
        """The classes of all its ingredients (tables/medication_classes.csv)."""
        return classes_of(self.ingredients)

    @cached_property
    def rxcuis(self) -> tuple[str, ...]:
        """The RxNorm codes of its ingredients."""
        return tuple(ingredient.rxcui for ingredient in self.ingredients)

    @cached_property
    def name(self) -> str:
        """The names of its ingredients, or its words when it is not recognized."""
        return "/".join(ingredient.name for ingredient in self.ingredients) or self.words

    @cached_property
    def plain_words(self) -> str:
        """Its words on one line, for a text."""
        return plain(self.words)

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The RxNorm codes of its ingredients and the names of its classes, each once."""
        return tuple(dict.fromkeys((*self.rxcuis, *sorted(self.classes))))

    @cached_property
    def is_injected(self) -> bool:
        """Whether it is injected or infused: by the route that is ordered, else by its form, else by its words."""
        return _INJECTED.search(self.route or self.dose_form or self.words) is not None

    @property
    def is_said_injected(self) -> bool:
        """Whether it is named as injected; that it runs, by a pump or a rate, names no route."""
        return self.is_injected and self.route != RUN_IN

    @cached_property
    def is_slow_release(self) -> bool:
        """Whether its form, words or brand say that it releases slowly; of brands those of opioids and gabapentin."""
        return _SLOW.search(f"{self.dose_form} {self.words}") is not None

    def has(self, rxcui: str) -> bool:
        """Whether this ingredient is in it."""
        return rxcui in self.rxcuis


def identify(order: Order, medications: Medications = _NO_MEDICATIONS) -> MedicationIdentity:
    """Return the medication of an order or a statement, given by the route that its instructions say."""
    return with_route(identify_product(order, medications), order.dosageInstruction)


def identify_product(order: Order, medications: Medications) -> MedicationIdentity:
    """Return the same, whatever its route; a reference is looked for in `contained`, then in `medications`."""
    concept, reference = order.medicationCodeableConcept, order.medicationReference
    if reference is None:
        return identify_concept(concept) if concept is not None else MedicationIdentity(words="")
    referred = _identify_reference(reference, medications, order.contained, _DEEPEST_REFERENCE)
    if concept is None:
        return referred
    named = identify_concept(concept)
    if named.recognised and referred.recognised and set(named.ingredients).isdisjoint(referred.ingredients):
        doubt = f"The order names {named.name} and refers to {referred.name}; no dose is computed from a strength."
        return replace(named, strengths=(None,) * len(named.ingredients), doubt=doubt)
    return named if named.recognised else referred


@remembered("medications", entries=2048, longest=400)
def identify_concept(concept: CodeableConcept) -> MedicationIdentity:
    """Return the medication that a concept means: the names of drugs repeat from order to order and call to call."""
    return _without_balance(_identify(concept))


def _without_balance(identity: MedicationIdentity) -> MedicationIdentity:
    """Return a bowel preparation or balanced fluid without potassium chloride: it replaces what is lost, no more."""
    if not identity.has(_POTASSIUM_CHLORIDE):
        return identity
    if _RINGER.issubset(identity.rxcuis):
        return replace(identity, ingredients=(INGREDIENTS[_LACTATED_RINGER],), strengths=(None,))
    is_fluid = not _OF_FLUID.isdisjoint(identity.rxcuis) and not _POTASSIUM_NAMED.search(identity.words)
    if not is_fluid and _OF_BOWEL.isdisjoint(identity.rxcuis):
        return identity
    parts = zip(identity.ingredients, identity.strengths, strict=True)
    kept = [(member, strength) for member, strength in parts if member.rxcui != _POTASSIUM_CHLORIDE]
    return replace(identity, ingredients=tuple(one for one, _ in kept), strengths=tuple(one for _, one in kept))


def _identify(concept: CodeableConcept, name: str = "") -> MedicationIdentity:
    """Return the same; `name` are words from elsewhere for a concept that is only a code.

    >>> _identify(CodeableConcept(text="Glucophage 500 mg")).name
    'metformin'
    """
    # A bare code is no words.
    words = concept.text or next((coding.display for coding in concept.coding if coding.display), None) or name
    product = rxnorm = None
    if is_not_read(words, [(coding.system, coding.code) for coding in concept.coding]):
        return MedicationIdentity(words=words)
    for coding in concept.coding:
        if rxnorm is None and drug_system(coding.system) == "rxnorm":
            rxnorm = coding.code or None
        if product is None:
            product = medication_of_code(coding.system, coding.code)
    if product is not None:
        identity = _identity(product, words, rxnorm)
        other = _contradicting(product, concept) if identity.doubt is None else None
        return (
            identity if other is None else replace(identity, doubt=f"One code means {identity.name}, another {other}.")
        )
    identity = _from_words(concept, words, rxnorm)
    if identity.recognised:
        return identity
    return _of_group(concept, words) or identity


def _contradicting(product: Product, concept: CodeableConcept) -> str | None:
    """Return the names of another drug that a further code of the concept stands for; None where the codes agree."""
    if len(concept.coding) < 2:
        return None
    ours = set(product.ingredients)
    products = (medication_of_code(coding.system, coding.code) for coding in concept.coding)
    others = (other.ingredients for other in products if other is not None and ours.isdisjoint(other.ingredients))
    return next((" and ".join(sorted(part.name for part in parts)) for parts in others if parts), None)


def _of_group(concept: CodeableConcept, words: str) -> MedicationIdentity | None:
    """Return what the group of an ATC code says (a penicillin, whichever it is), or ingredients without strength.

    These are of a code of a substance of SNOMED CT, or of an imported code or name.
    """
    lookups = (product_of_atc_group, product_of_substance)
    products = (lookup(coding.system, coding.code) for lookup in lookups for coding in concept.coding)
    product = next(filter(None, products), None)
    if product is None and (imported := meaning_of_name(words)) is not None and imported.ingredients:
        members = tuple([INGREDIENTS[rxcui] for rxcui in imported.ingredients])
        product = Product(members, (None,) * len(members))
    return _identity(product, words, None) if product is not None else None


def _from_words(concept: CodeableConcept, words: str, rxnorm: str | None) -> MedicationIdentity:
    for text in _texts(concept):
        reading = read_order_name(text)
        if reading.ingredients:
            return _identity_of_reading(reading, words or text, rxnorm)
    return MedicationIdentity(words=words or concept.words, rxnorm=rxnorm)


def _texts(concept: CodeableConcept) -> Iterator[str]:
    if concept.text:
        yield concept.text
    for coding in concept.coding:
        # The name of a drug's group ("Glucose Monitoring Test Supplies") is not the name of a drug.
        if coding.display and coding.system != MIMIC_GROUP:
            yield coding.display
        # In this system the code is the name.
        if coding.system == MIMIC_NAME and coding.code:
            yield coding.code


def _identity(product: Product, words: str, rxnorm: str | None) -> MedicationIdentity:
    identity = MedicationIdentity(
        words or product.name or "/".join(member.name for member in product.ingredients),
        product.ingredients,
        product.strengths,
        product.dose_form,
        systemic=product.systemic is not False,
        rxnorm=rxnorm,
    )
    # The tables' own name of the product first: it is what the code means. Then what the order says.
    if product.name:
        identity = _completed(identity, read_name(product.name))
    if not words:
        return identity
    reading = read_name(words)
    return _of_one_strength(_completed(identity, reading), reading)


# A salt and its base differ by less (metoprolol succinate 95 mg is sold as 100 mg of the tartrate).
_ANOTHER_STRENGTH = 1.2


def _of_one_strength(identity: MedicationIdentity, reading: NameReading) -> MedicationIdentity:
    """Return the medication without a strength that code and words state differently; it is in doubt then."""
    if identity.doubt is not None or set(identity.ingredients) != set(reading.ingredients):
        return identity
    stated = dict(zip(reading.ingredients, reading.strengths, strict=True))
    pairs = [(ours, stated[member]) for member, ours in zip(identity.ingredients, identity.strengths, strict=True)]
    differing = next(((ours, theirs) for ours, theirs in pairs if _differ(ours, theirs)), None)
    if differing is None:
        return identity
    ours, theirs = map(_strength_text, differing)
    doubt = f"The code means {identity.name} {ours}, the words say {theirs}; no dose is computed from a strength."
    strengths = tuple(None if _differ(ours, theirs) else ours for ours, theirs in pairs)
    return replace(identity, strengths=strengths, doubt=doubt)


def _differ(strength: Strength | None, other: Strength | None) -> bool:
    if strength is None or other is None or (strength.unit, strength.per) != (other.unit, other.per):
        return False
    low, high = sorted((strength.amount, other.amount))
    return high > low * _ANOTHER_STRENGTH


def _strength_text(strength: Strength | None) -> str:
    if strength is None:
        return ""
    amount, unit = strength.amount, strength.unit
    if unit == "mg" and amount < 1.0:
        amount, unit = amount * 1000.0, "mcg"
    return f"{amount:g} {unit}" + (f"/{strength.per}" if strength.per != "unit" else "")


def _completed(medication_identity: MedicationIdentity, reading: NameReading) -> MedicationIdentity:
    if not reading.ingredients:
        return medication_identity
    ours, theirs = set(medication_identity.ingredients), set(reading.ingredients)
    if not ours & theirs:
        names = " and ".join(sorted(ingredient.name for ingredient in theirs))
        return replace(medication_identity, doubt=f"The code means {medication_identity.name}, the words say {names}.")
    if ours != theirs:
        return replace(medication_identity, systemic=medication_identity.systemic and reading.systemic)
    if not any(medication_identity.strengths):
        by_ingredient = dict(zip(reading.ingredients, reading.strengths, strict=True))
        medication_identity = replace(
            medication_identity, strengths=tuple(by_ingredient[member] for member in medication_identity.ingredients)
        )
    return replace(
        medication_identity,
        dose_form=medication_identity.dose_form or reading.dose_form,
        systemic=medication_identity.systemic and reading.systemic,
        millilitres=medication_identity.millilitres or reading.millilitres,
    )


def _identity_of_reading(reading: NameReading, words: str, rxnorm: str | None = None) -> MedicationIdentity:
    return MedicationIdentity(
        words,
        reading.ingredients,
        reading.strengths,
        reading.dose_form,
        systemic=reading.systemic,
        millilitres=reading.millilitres,
        rxnorm=rxnorm,
    )


def _identify_reference(
    reference: Reference, medications: Medications, contained: Iterable[object], depth: int
) -> MedicationIdentity:
    medication = resolve_medication(reference.reference, medications, contained)
    if medication is not None and depth:
        identity = identify_medication(medication, medications, depth - 1)
        if identity.recognised or not reference.display:
            return identity
    words = reference.display or reference.reference
    reading = read_order_name(reference.display) if reference.display else NameReading()
    return _identity_of_reading(reading, words) if reading.ingredients else MedicationIdentity(words=words)


def resolve_medication(reference: str, medications: Medications, contained: Iterable[object]) -> Medication | None:
    """Find the Medication a reference points to: "#id" among the contained ones, else by address or 'Medication/id'."""
    if reference.startswith("#"):
        inside = (
            resource
            for resource in contained
            if isinstance(resource, Medication) and resource.id in (reference, reference[1:])
        )
        return next(inside, None)
    medication = medications.get(reference)
    if medication is None and "/" in reference:
        path = reference.split("/_history/", 1)[0].rsplit("/", 2)
        medication = medications.get("/".join(path[-2:]))
    return medication


def identify_medication(
    medication: Medication, medications: Medications = _NO_MEDICATIONS, depth: int = _DEEPEST_REFERENCE
) -> MedicationIdentity:
    """Identify the medication of a Medication resource: its code, its name among the identifiers, its ingredients.

    Orders of many patients refer to the same resources of a formulary: such a one is read once for its content.
    """
    if any(part.itemReference is not None for part in medication.ingredient):
        return _read_medication(medication, medications, depth)
    return _medication_of(medication.identifier, medication.code, medication.form, medication.ingredient)


@remembered("Medication resources", entries=2048, longest=400)
def _medication_of(
    identifier: tuple[Identifier, ...],
    code: CodeableConcept | None,
    form: CodeableConcept | None,
    ingredient: tuple[MedicationIngredient, ...],
) -> MedicationIdentity:
    content = Medication(identifier=identifier, code=code, form=form, ingredient=ingredient)
    return _read_medication(content, _NO_MEDICATIONS, _DEEPEST_REFERENCE)


def _read_medication(medication: Medication, medications: Medications, depth: int) -> MedicationIdentity:
    # MIMIC keeps the name among the identifiers, not in the code.
    name = next(
        (
            identifier.value
            for identifier in medication.identifier
            if identifier.system == MIMIC_NAME and identifier.value
        ),
        "",
    )
    identity = _identify(medication.code or CodeableConcept(), name)
    if not identity.recognised:
        identity = _from_identifiers(medication, name) or identity
    identity = _with_ingredients(identity, medication, medications, depth)
    if medication.form is None or not identity.recognised:
        return identity
    form = medication.form.words
    local = is_local(identity.ingredients, form)
    return replace(identity, dose_form=identity.dose_form or form, systemic=identity.systemic and not local)


def _from_identifiers(medication: Medication, name: str) -> MedicationIdentity | None:
    for identifier in medication.identifier:
        product = medication_of_code(identifier.system, identifier.value)
        if product is not None:
            return _identity(product, name, None)
    reading = read_order_name(name) if name else NameReading()
    return _identity_of_reading(reading, name) if reading.ingredients else None


def _with_ingredients(
    identity: MedicationIdentity, medication: Medication, medications: Medications, depth: int
) -> MedicationIdentity:
    parts = [
        _identify_part(part, medication, medications, depth)
        for part in medication.ingredient
        if part.isActive is not False
    ]
    if not parts:
        return identity
    strength_by_ingredient = dict(zip(identity.ingredients, identity.strengths, strict=True))
    for part in parts:
        for ingredient, strength in zip(part.ingredients, part.strengths, strict=True):
            strength_by_ingredient[ingredient] = strength_by_ingredient.get(ingredient) or strength
    if not strength_by_ingredient:
        return replace(identity, words=identity.words or "; ".join(part.words for part in parts))
    return replace(
        identity,
        words=identity.words or "; ".join(part.words for part in parts),
        ingredients=tuple(strength_by_ingredient),
        strengths=tuple(strength_by_ingredient.values()),
        # A mixture acts on the whole body as soon as one part of it does.
        systemic=any(part.systemic for part in (identity, *parts)),
    )


def _identify_part(
    part: MedicationIngredient, medication: Medication, medications: Medications, depth: int
) -> MedicationIdentity:
    if part.itemCodeableConcept is not None:
        identity = identify_concept(part.itemCodeableConcept)
    elif part.itemReference is not None:
        identity = _identify_reference(part.itemReference, medications, medication.contained, depth)
    else:
        return MedicationIdentity(words="")
    stated = _strength_of_ratio(part.strength) if part.strength is not None else None
    return replace(identity, strengths=(stated,)) if stated is not None and len(identity.ingredients) == 1 else identity


def _strength_of_ratio(ratio: Ratio) -> Strength | None:
    top, bottom = ratio.numerator, ratio.denominator
    if top is None or top.value is None:
        return None
    factor = MILLIGRAMS.get((top.code or top.unit).lower())
    if factor is None:
        return None
    amount = top.value * factor / (bottom.value if bottom is not None and bottom.value else 1.0)
    per = (bottom.code or bottom.unit) if bottom is not None else ""
    days = days_per_unit(per)
    if days is not None:
        return Strength(amount / (24.0 * days), "mg", "h")  # what a patch gives off
    unit = dose_unit(per)
    if unit is None or unit.kind not in ("mL", "actuation", "mg"):
        return Strength(amount, "mg")
    return Strength(amount / unit.factor, "mg", unit.kind)


def with_route(identity: MedicationIdentity, dosages: tuple[Dosage, ...]) -> MedicationIdentity:
    """Return the medication given by the route that the instructions say."""
    routes = tuple([dosage.route for dosage in dosages if dosage.route is not None])
    if not routes:
        route = _said_by_all(identity, dosages)
        return _routed(identity, (CodeableConcept(text=route),), True, False) if route is not None else identity
    # A route code says "intravenous" only; that it is pushed stands in the words.
    is_pushed = any(said_route(dosage.text) == PUSHED for dosage in dosages)
    # Several instructions: local only when every one of them is.
    return _routed(identity, routes, len(routes) == len(dosages), is_pushed)


@remembered("medications by route", entries=2048, longest=1000)
def _routed(
    identity: MedicationIdentity, routes: tuple[CodeableConcept, ...], is_whole: bool, is_pushed: bool
) -> MedicationIdentity:
    local = is_whole and all(_is_local(route, identity) for route in routes)
    name = ROUTE_NAMES.get(routes[0].words, routes[0].words)
    return _given_by(identity, f"{name}, {PUSHED}" if is_pushed else name, local)


def _said_by_all(identity: MedicationIdentity, dosages: tuple[Dosage, ...]) -> str | None:
    """Return the route from the words of the instructions, where all of them name the same: "2 mg IV q3h".

    Where they name none, it may stand beside the name: "Potassium chloride 40 mEq IV push".
    """
    routes = {said_route(dosage.text) for dosage in dosages} or {None}
    route = routes.pop() or _route_in_name(identity)
    if routes:
        return None
    if route is None and dosages and stands_beside_name(dosages[0], identity):
        return "intravenous"
    if route is not None:
        return route
    is_by_percent = {strength.unit if strength is not None else "" for strength in identity.strengths} == {"%"}
    only = [*PLACED.intersection(identity.rxcuis), *[BY_PERCENT] * is_by_percent]
    places = {said_place(dosage.text, only) for dosage in dosages} if only else set()
    if len(places) == 1 and (place := places.pop()) is not None:
        return place
    rates = (part.rateQuantity for dosage in dosages for part in dosage.doseAndRate)
    return next((RUN_IN for rate in rates if rate is not None and _says_it_runs(rate)), None)


def _says_it_runs(rate: Quantity) -> bool:
    """Whether nothing but a drip has such a unit: mL or mEq an hour."""
    return said_route(f"{rate.value} {rate.unit or rate.code}") == RUN_IN


# "Norepinephrine 5 mcg/kg/min" with "continuous, titrate to MAP 65": the rate stands beside the name.
_GOES_ON = re.compile(r"(?:iv )?(?:continuous|titrat|drip|infusion)", re.IGNORECASE)
_RATE = re.compile(r"\d ?(?:mcg|mg|units?|meq|ng) ?/ ?(?:kg ?/ ?)?(?:min|h)", re.IGNORECASE)


def stands_beside_name(dosage: Dosage, identity: MedicationIdentity) -> bool:
    """Whether the instruction says only that it runs, and the rate is a part of the name."""
    return _GOES_ON.match(dosage.text) is not None and _RATE.search(identity.words) is not None


def _route_in_name(identity: MedicationIdentity) -> str | None:
    route = said_route(identity.words)
    return route if route in _ROUTES_IN_NAMES else None


def _given_by(identity: MedicationIdentity, route: str, local: bool) -> MedicationIdentity:
    # A bare name ("lidocaine 100 mg") that stands for a local form acts on the whole body when it goes into a vein.
    into_vein = identity.systemic is False and not identity.dose_form and _INTO_VEIN.search(route) is not None
    into_vein = into_vein and not is_local(identity.ingredients, f"{identity.words} iv")
    is_gel = _INJECTED_GEL.search(f"{route}\n{identity.dose_form} {identity.words}") is not None
    return replace(identity, route=route, systemic=(identity.systemic or into_vein or is_gel) and not local)


def _is_local(route: CodeableConcept, identity: MedicationIdentity) -> bool:
    """Whether one of the route's names is that of a local route, by which this medication only acts there."""
    ways = [(coding.system, coding.code, coding.display) for coding in route.coding]
    names = [ingredient.name for ingredient in identity.ingredients]
    return any(
        is_local_route(system, code, words) and not any(acts_on_whole_body(names, word) for word in _words(code, words))
        for system, code, words in (*ways, (None, None, route.text))
    )


def _words(code: str | None, words: str | None) -> list[str]:
    """Return the code of a route and the words of its name."""
    return [*([code] if code else []), *re.split(r"[^\w]+", words or "")]
