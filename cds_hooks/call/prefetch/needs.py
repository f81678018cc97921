"""Derives the prefetch templates of a service from the data that it needs."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from difflib import get_close_matches
from math import ceil
from typing import Any

from msgspec import Struct

from cds_hooks.call.prefetch.state import Templates
from cds_hooks.call.prefetch.template import PRESSURE, PRESSURE_PANELS, KeyPolicy, Template
from fhir.mapping.features.feature import Feature
from fhir.mapping.pregnancy import LONGEST_DAYS
from fhir.terminology.analytes import ANALYTES, LOINC
from fhir.terminology.medications import table_rows
from models_onnx.errors import DeclarationError

_PATIENT = "patient={{context.patientId}}"
_BODY = frozenset({"bmi", "body_weight", "body_height"})
_TOBACCO = frozenset({"smoking_status"})
_PREGNANCY = frozenset({"pregnancy_signs", "sex_at_birth"})
_GENOMICS = frozenset({"genomics"})
_SCREENING = frozenset({"screening"})
# SNOMED CT: cigarette pack-years, as US Core lets them be coded.
_PACK_YEARS = "http://snomed.info/sct|401201003,http://snomed.info/sct|782516008"
_IMPLICATION = "http://hl7.org/fhir/uv/genomics-reporting/CodeSystem/tbd-codes-cs|therapeutic-implication"
_DIRECTIVES = ",".join(
    sorted(f"{LOINC}|{row['code']}" for row in table_rows("directive_codes.csv") if row["system"] == LOINC)
)
# The category of notes in US Core, of which servers in the United States search by category and date.
_NOTE_CATEGORY = "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category|clinical-note"
_PROCEDURE_DAYS = max(ceil(LONGEST_DAYS), 3 * 366)

_REQUIRED = KeyPolicy("fail")
# Without the deliveries a pregnancy goes on for longer, without the tests one is suggested twice: nothing unsafe. An
# order whose product is not known is named by the rules themselves.
_UNSAID = KeyPolicy("omit")


def _search(key: str, resource: str, words: str, parameters: str = "", **more: Any) -> Template:
    """Return the template of a search for what is about the patient."""
    return Template(key, f"{resource}?{_PATIENT}{parameters}", resource, words, **more)


def _by_id(key: str, resource: str, words: str, path: str, **more: Any) -> Template:
    """Return the template of the resources that references at this path name (TOK-08 to 14)."""
    return Template(key, f"{resource}?_id={{{{{path}.ofType({resource}).id}}}}", resource, words, **more)


_SEARCHES = (
    _search("conditions", "Condition", "problems"),
    _search("medications", "MedicationRequest", "medication orders", "&_sort=-authoredon&_count=200"),
    _search("statements", "MedicationStatement", "medications taken"),
    _search("dispenses", "MedicationDispense", "medications given out", "&_count=100", policy=_UNSAID),
    _search(
        "administrations",
        "MedicationAdministration",
        "medications given",
        "&_sort=-effective-time&_count=100",
        policy=_UNSAID,
        # What was given longer ago says nothing of today (fhir/mapping/medications/active.py).
        since=("effective-time", 3),
    ),
    _search("allergies", "AllergyIntolerance", "allergies"),
    _search("encounters", "Encounter", "visits and stays", "&_sort=-date&_count=50"),
    _search(
        "procedures",
        "Procedure",
        "procedures",
        "&_sort=-date&_count=100",
        policy=_UNSAID,
        # Who reads them is known (a test watches that): the end of a pregnancy, this stay, a liver assessment,
        # a stem cell transplant (vaccines are given again 6 to 12 months after it).
        since=("date", _PROCEDURE_DAYS),
    ),
    _search("reports", "DiagnosticReport", "reports of studies", "&_sort=-date&_count=100", policy=_UNSAID),
    _search("tests", "ServiceRequest", "ordered tests", "&_sort=-authored&_count=50", policy=_UNSAID),
    _search("appointments", "Appointment", "booked visits", "&_sort=-date&_count=20", policy=_UNSAID),
    _search("devices", "Device", "implants and devices", "&_count=50", policy=_UNSAID),
    # A whole life of vaccinations; a child has about 30 doses, of combined vaccines fewer entries.
    _search("immunizations", "Immunization", "vaccinations given", "&_sort=-date&_count=200"),
    # What tells of hospice care and of a living will, where no problem does (fhir/mapping/conditions.py).
    _search("carePlans", "CarePlan", "plans of care", "&status=active&_count=50", policy=_UNSAID),
    # The kinds of advance directives (HL7 PACIO) among documents, most of which are notes.
    _search(
        "documents", "DocumentReference", "advance directives", f"&status=current&type={_DIRECTIVES}", policy=_UNSAID
    ),
    _search("relatives", "FamilyMemberHistory", "health of relatives", "&_count=50", policy=_UNSAID),
    # What a payer's service asks for (cds_hooks/call/services/coverage_requirements.py).
    _search("coverages", "Coverage", "insurance coverage", "&status=active"),
    _search(
        "authorizations",
        "ClaimResponse",
        "answers to prior authorizations",
        "&_sort=-created&_count=50",
        policy=_UNSAID,
    ),
    _search("answers", "QuestionnaireResponse", "completed forms", "&_sort=-authored&_count=50", policy=_UNSAID),
    _search("deviceOrders", "DeviceRequest", "ordered devices", "&_sort=-authored-on&_count=50", policy=_UNSAID),
    # What published knowledge may read (services/_knowledge.py); no service of this package asks for them.
    _search("careTeams", "CareTeam", "care teams", "&_count=50"),
    _search("goals", "Goal", "goals", "&_count=50"),
    _search("communications", "Communication", "communications", "&_sort=-sent&_count=50"),
    _search("tasks", "Task", "tasks", "&_sort=-authored-on&_count=50"),
    _search("risks", "RiskAssessment", "risk assessments", "&_sort=-date&_count=50"),
    # Only where the site asks for them (CDS_OPT_OUT_FLAGS). R4 has no search of flags by their status.
    _search("consents", "Consent", "what the patient denies", "&status=active&_count=50"),
    _search("flags", "Flag", "flags of the chart", "&_count=50"),
)
SEARCHED = frozenset(search.resource for search in _SEARCHES)
"""The resource types that a service can ask for by the patient alone, beside Observation."""
# What the user works as decides which orders are offered (hold_back/checks.py). A client has a value for one
# of the two: the user of a call is a Practitioner or a PractitionerRole.
USER_ROLES = (
    Template(
        "userRoles",
        "PractitionerRole?practitioner={{userPractitionerId}}",
        "PractitionerRole",
        "roles of the user",
        policy=_UNSAID,
    ),
    Template(
        "userRole",
        "PractitionerRole/{{userPractitionerRoleId}}",
        "PractitionerRole",
        "role of the user",
        policy=_UNSAID,
    ),
)
_NOTES = _search(
    "notes",
    "DocumentReference",
    "clinical notes",
    f"&status=current&category={_NOTE_CATEGORY}&_sort=-date&_count=10",
    policy=_UNSAID,
)

# The products behind orders that name them by reference, as Epic's do. Up to 2.0.1 no template can ask for them, and a
# client that cannot follow the path leaves the key out: then they are fetched by their ids.
_PRODUCT = "entry.resource.ofType(MedicationRequest).medication.resolve()"
_ORDERED = _by_id(
    "orderedProducts", "Medication", "products that orders refer to", f"%medications.{_PRODUCT}", policy=_UNSAID
)
_DRAFTED = _by_id(
    "draftedProducts", "Medication", "products that drafts refer to", f"context.draftOrders.{_PRODUCT}", policy=_UNSAID
)
# Who pays for a coverage, and where and by whom drafts and appointments are to be done. What only some orders need is
# read by the token, and not asked of every client (CRD 2.0.1, requirement 42).
_REFERRED = tuple(
    _by_id(key, resource, words, f"{path}.resolve()", policy=_UNSAID, is_always_read=True)
    for key, resource, words, path in (
        ("payors", "Organization", "payers", "%coverages.entry.resource.payor"),
        ("draftedPerformers", "Organization", "performers of drafts", "context.draftOrders.entry.resource.performer"),
        ("draftedPlaces", "Location", "places of drafts", "context.draftOrders.entry.resource.locationReference"),
        ("bookedPlaces", "Location", "places of appointments", "context.appointments.entry.resource.participant.actor"),
    )
)
# order-dispatch brings references only, and the orders themselves may be older than the newest fifty.
_DISPATCHED = _by_id(
    "dispatched",
    "ServiceRequest",
    "orders that are dispatched",
    "context.dispatchedOrders.resolve()",
    policy=_REQUIRED,
    is_always_read=True,
)


class Needs(Struct, frozen=True):
    """What a service reads: analytes (keys of ANALYTES) and resource types, beyond the Patient.

    `required` are the prefetch keys without which it gives no advice; it asks for them with
    `PrefetchState.require` at the point where it needs them. The Patient is always required.
    """

    analytes: frozenset[str]
    resources: frozenset[str]
    required: frozenset[str] = frozenset()
    whole_history: frozenset[str] = frozenset()
    """Resource types of which nothing is too old: clients of CDS Hooks 3.0 are asked for all of them."""
    lab_codes: frozenset[str] = frozenset()
    """LOINC codes of further laboratory results, of which only the day and the value as charted are read."""
    newest_results: bool = False
    """Whether the newest results of any code are read: a study may have no code that could be asked for."""
    named_results: int = 0
    """How many of the newest laboratory results of any code are read: one may have a name and no code of LOINC."""
    notes: bool = False
    """Whether the newest clinical notes are read with their texts."""

    @staticmethod
    def of(
        features: Iterable[Feature] = (),
        analytes: Iterable[str] = (),
        resources: Iterable[str] = (),
        required: Iterable[str] = (),
        whole_history: Iterable[str] = (),
        lab_codes: Iterable[str] = (),
        *,
        newest_results: bool = False,
        named_results: int = 0,
        notes: bool = False,
    ) -> "Needs":
        """Return the needs of these features together with these analytes and resource types.

        Raises:
            DeclarationError: a text stands where a tuple belongs, a feature is given by its name, or an analyte is not
                known.
        """
        for member, values in (("analytes", analytes), ("resources", resources), ("required", required)):
            if isinstance(values, str):
                text = f"{member} is {values!r}; a tuple of one entry is written with a comma, ({values!r},)"
                raise DeclarationError(text, values)
        declared_features = tuple(features)
        if not_features := [item for item in declared_features if not isinstance(item, Feature)]:
            text = f"features are objects, not {not_features[0]!r}: write features_named(({not_features[0]!r},))"
            raise DeclarationError(text, str(not_features[0]))
        analytes = tuple(analytes)
        if unknown := sorted(set(analytes) - set(ANALYTES)):
            near = get_close_matches(unknown[0], ANALYTES, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            text = f"analyte {unknown[0]!r} is not in fhir/terminology/tables/analytes.csv{hint}"
            raise DeclarationError(text, unknown[0])
        measured = {analyte for feature in declared_features for analyte in feature.analytes}
        read = {resource for feature in declared_features for resource in feature.resources}
        return Needs(
            frozenset(measured | set(analytes)),
            frozenset(read | set(resources)),
            frozenset(required),
            frozenset(whole_history),
            frozenset(lab_codes),
            newest_results,
            named_results,
            notes,
        )


def union_of(all_needs: Iterable[Needs]) -> Needs:
    """Return what several advisors read together; required is only what each of them requires."""
    first, *others = all_needs
    for needs in others:
        first = Needs(
            first.analytes | needs.analytes,
            first.resources | needs.resources,
            first.required & needs.required,
            first.whole_history | needs.whole_history,
            first.lab_codes | needs.lab_codes,
            first.newest_results or needs.newest_results,
            max(first.named_results, needs.named_results),
            first.notes or needs.notes,
        )
    return first


def templates_for(needs: Needs, *, has_drafts: bool = False, has_dispatched: bool = False) -> Templates:
    """Return the templates that bring what is needed, `patient` first; those that need others last.

    `has_drafts`: whether the context of every hook of the service brings draft orders; `has_dispatched`: whether it
    names orders that are dispatched.
    """
    templates = [Template("patient", "Patient/{{context.patientId}}", "Patient", "the patient", policy=_REQUIRED)]
    labs = needs.analytes - _BODY - PRESSURE - _TOBACCO - _PREGNANCY - _GENOMICS - _SCREENING
    for key, words, analytes, count in (
        ("labs", "laboratory results", labs, 500),
        ("pressures", "blood pressures", needs.analytes & PRESSURE, 50),
        ("body", "weight and height", needs.analytes & _BODY, 50),
        ("tobacco", "tobacco use", needs.analytes & _TOBACCO, 10),
    ):
        if analytes:
            query = _observations(analytes, count, needs.lab_codes if key == "labs" else ())
            templates.append(Template(key, query, "Observation", words, frozenset(analytes)))
    if needs.lab_codes and not labs:
        query = _observations((), 50, needs.lab_codes)
        templates.append(Template("labs", query, "Observation", "laboratory results", policy=_UNSAID))
    if needs.newest_results:
        query = f"Observation?{_PATIENT}&_sort=-date&_count=200"
        templates.append(Template("newestResults", query, "Observation", "newest results", policy=_UNSAID))
    if needs.named_results:
        query = f"Observation?{_PATIENT}&category=laboratory&_sort=-date&_count={needs.named_results}"
        templates.append(Template("namedResults", query, "Observation", "results by name", policy=_UNSAID))
    if needs.notes:
        templates.append(_NOTES)
    if signs := needs.analytes & _PREGNANCY:
        # A pregnancy is on the problem list first; these tell of one that is not there yet, and its week.
        words = "pregnancy tests and dates" if len(signs) > 1 else "sex at birth"
        templates.append(Template("pregnancy", _observations(signs, 30), "Observation", words, signs, policy=_UNSAID))
    if genes := needs.analytes & _GENOMICS:
        query = f"{_observations(genes, 100)}".replace("&_sort", f",{_IMPLICATION}&_sort")
        templates.append(Template("genomics", query, "Observation", "genetic results", genes))
    if tests := needs.analytes & _SCREENING:
        query = f"{_observations(tests, 100)}".replace("&_sort", f",{_PACK_YEARS}&_sort")
        templates.append(Template("screening", query, "Observation", "screening tests", tests))
        query = f"Observation?{_PATIENT}&category=imaging,procedure,exam&_sort=-date&_count=50"
        templates.append(Template("studies", query, "Observation", "results of studies", policy=_UNSAID))
    brought = {template.resource for template in (*_SEARCHES, *_REFERRED)}
    unknown = needs.resources - {"Patient", "Observation"} - brought
    if unknown:
        raise ValueError(_without_template(sorted(unknown)))
    templates += [_without_date(search, needs) for search in _SEARCHES if search.resource in needs.resources]
    templates += [template for template in _REFERRED if template.resource in needs.resources]
    if "MedicationRequest" in needs.resources:
        templates += [_ORDERED, _DRAFTED] if has_drafts else [_ORDERED]
    if has_dispatched:
        templates.append(_DISPATCHED)
    not_there = needs.required - {template.key for template in templates}
    if not_there:
        text = ", ".join(template.key for template in templates)
        raise ValueError(f"required={sorted(not_there)}: the service has no such prefetch keys; it has {text}")
    return Templates(
        replace(template, policy=_REQUIRED) if template.key in needs.required else template for template in templates
    )


def _without_template(unknown: list[str]) -> str:
    resource_types = ("Patient", "Observation", *(search.resource for search in (*_SEARCHES, *_REFERRED)))
    near = [match for name in unknown for match in get_close_matches(name, resource_types, n=1)]
    hint = f"did you mean {' and '.join(near)}? A" if near else "a"
    table = f"{__name__}._SEARCHES"
    return f"no prefetch template brings {', '.join(unknown)}; {hint} new resource type needs an entry in {table}"


def _without_date(template: Template, needs: Needs) -> Template:
    """Without a date where a service reads all of them: a colonoscopy counts for ten years, an operation for good."""
    is_whole = template.since is not None and template.resource in needs.whole_history
    return replace(template, since=None, policy=KeyPolicy()) if is_whole else template


def _observations(analytes: Iterable[str], count: int, more: Collection[str] = ()) -> str:
    codes = [code for key in sorted(analytes) for code in ANALYTES[key].loinc]
    codes += sorted(set(more) - set(codes))
    if PRESSURE & set(analytes):
        codes = [*PRESSURE_PANELS, *codes]
    tokens = ",".join(f"{LOINC}|{code}" for code in codes)
    return f"Observation?{_PATIENT}&code={tokens}&_sort=-date&_count={count}"
