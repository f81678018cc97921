"""Hypothesis strategies for ugly FHIR R4 resources: each is valid (`fhir.resources` takes it), few are pleasant.

They make what feeds really send: no birth date, dates to the year only, future dates, offsets, open periods, units that
nobody knows, no unit, concepts without a coding, codes without a system, the same result twice, statuses that take a
resource back or are absent, components that could not be measured, contained resources that point at each other,
references to nothing, numbers far too large or small, names in every script.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from tests.elements import (
    ABSENT,
    CONDITION_CODES,
    RXNORM,
    SNOMED,
    UCUM,
    Json,
    concepts,
    date_times,
    dates,
    ids,
    instants,
    least,
    never_empty,
    one_of_elements,
    periods,
    quantities,
    references,
    resource_about,
    some,
    status_or_absent,
    statuses,
    words,
)
from tests.medication_strategies import medication_dispenses, medication_requests, medication_statements, medications

LOINC = "http://loinc.org"
CVX = "http://hl7.org/fhir/sid/cvx"
ICD10 = "http://hl7.org/fhir/sid/icd-10-cm"

# Codes that the features and rules look for, so that what is made here reaches them and is not only passed over.
_LAB_CODES = (
    "2160-0", "14682-9", "3094-0", "2345-7", "1751-7", "6768-6", "1975-2", "6690-2", "789-8", "787-2", "788-0",
)  # fmt: skip
_VITAL_CODES = ("29463-7", "8302-2", "39156-5", "8867-4", "8310-5", "8480-6", "8462-4")
_ICD10_CODES = ("N18.4", "I48.91", "E11.9", "Z95.2", "Z99.2", "N179", "C50")


def patients(patient_id: str = "p") -> SearchStrategy[Json]:
    names = st.lists(never_empty(some(family=words(), given=st.lists(words(), min_size=1)), {"text": "?"}), min_size=1)
    plain = least(
        {"resourceType": "Patient", "id": patient_id},
        birthDate=dates(),
        gender=st.sampled_from(("male", "female", "other", "unknown")),
        name=names,
        multipleBirthInteger=st.integers(1, 3),
        link=st.just([{"other": {"reference": f"Patient/{patient_id}"}, "type": "seealso"}]),
    )
    died = one_of_elements(deceasedBoolean=st.booleans(), deceasedDateTime=date_times())
    return st.builds(lambda patient, death: patient | death, plain, died)


_OBSERVATION_STATUS = "registered preliminary final final final amended corrected cancelled entered-in-error unknown"


def _values() -> SearchStrategy[Json]:
    return one_of_elements(
        valueQuantity=quantities(),
        valueCodeableConcept=concepts(SNOMED, ("10828004", "260385009", "449868002")),
        valueString=words(),
        valueInteger=st.integers(-10, 400),
    )


def _absent_reasons() -> SearchStrategy[Json]:
    return one_of_elements(dataAbsentReason=statuses("unknown error not-performed"))


def components() -> SearchStrategy[Json]:
    code = concepts(LOINC, ("8480-6", "8462-4"))
    return st.builds(
        lambda code, value, absent, rest: {"code": code} | value | ({} if value else absent) | rest,
        code,
        _values(),
        _absent_reasons(),
        some(interpretation=st.lists(statuses("H L N"), min_size=1, max_size=2)),
    )


def observations(patient_id: str = "p") -> SearchStrategy[Json]:
    codes = concepts(LOINC, (*_LAB_CODES, *_VITAL_CODES, "85354-9"), ("Creatinine", "Kreatinin", "BP"))
    made = one_of_elements(effectiveDateTime=date_times(), effectiveInstant=instants(), effectivePeriod=periods())
    return resource_about(
        "Observation",
        patient_id,
        status_or_absent(_OBSERVATION_STATUS),
        codes.map(lambda code: {"code": code}),
        made,
        st.one_of(_values(), date_times().map(lambda when: {"valueDateTime": when})),
        some(
            issued=instants(),
            interpretation=st.lists(statuses("H L N"), min_size=1, max_size=2),
            note=st.lists(words().map(lambda text: {"text": text}), min_size=1, max_size=2),
            component=st.lists(components(), min_size=1, max_size=3),
            dataAbsentReason=statuses("unknown error"),
            referenceRange=st.just([{"text": "normal"}]),
        ),
    )


def conditions(patient_id: str = "p") -> SearchStrategy[Json]:
    codes = st.one_of(concepts(SNOMED, CONDITION_CODES), concepts(ICD10, _ICD10_CODES))
    return resource_about(
        "Condition",
        patient_id,
        one_of_elements(onsetDateTime=date_times(), onsetPeriod=periods(), onsetString=words(), onsetAge=_age()),
        one_of_elements(abatementDateTime=date_times(), abatementPeriod=periods(), abatementString=words()),
        some(
            clinicalStatus=statuses("active recurrence inactive remission resolved"),
            verificationStatus=statuses("unconfirmed provisional confirmed refuted entered-in-error"),
            code=codes,
            encounter=references("Encounter/e"),
            recordedDate=date_times(),
        ),
    )


def _age() -> SearchStrategy[Json]:
    return st.integers(0, 100).map(lambda years: {"value": years, "unit": "a", "system": UCUM, "code": "a"})


def encounters(patient_id: str = "p") -> SearchStrategy[Json]:
    classes = st.sampled_from(("AMB", "IMP", "EMER", "HH")).map(lambda code: {"class": {"code": code}})
    return resource_about(
        "Encounter",
        patient_id,
        status_or_absent("planned arrived triaged in-progress onleave finished cancelled entered-in-error unknown"),
        classes,
        some(
            type=st.lists(concepts(SNOMED, ("185349003", "183452005")), min_size=1, max_size=2),
            period=periods(),
            reasonCode=st.lists(concepts(SNOMED, CONDITION_CODES), min_size=1, max_size=2),
            hospitalization=some(dischargeDisposition=statuses("home exp hosp snf")).map(
                lambda stay: stay or {"extension": [ABSENT]}
            ),
        ),
    )


def procedures(patient_id: str = "p") -> SearchStrategy[Json]:
    return resource_about(
        "Procedure",
        patient_id,
        status_or_absent("preparation in-progress not-done on-hold stopped completed entered-in-error unknown"),
        one_of_elements(performedDateTime=date_times(), performedPeriod=periods(), performedString=words()),
        some(code=concepts(SNOMED, ("265764009", "180325003"))),
    )


def diagnostic_reports(patient_id: str = "p") -> SearchStrategy[Json]:
    return resource_about(
        "DiagnosticReport",
        patient_id,
        status_or_absent("registered partial preliminary final amended corrected appended cancelled entered-in-error"),
        one_of_elements(effectiveDateTime=date_times(), effectivePeriod=periods()),
        st.builds(dict, code=concepts(LOINC, ("24606-6", "18746-8"))),
        some(issued=instants()),
    )


def service_requests(patient_id: str = "p") -> SearchStrategy[Json]:
    return resource_about(
        "ServiceRequest",
        patient_id,
        status_or_absent("draft active on-hold revoked completed entered-in-error unknown"),
        st.just({"intent": "order"}),
        one_of_elements(occurrenceDateTime=date_times(), occurrencePeriod=periods()),
        some(code=concepts(LOINC, ("2160-0", "51990-0")), authoredOn=date_times(), doNotPerform=st.booleans()),
    )


def allergies(patient_id: str = "p") -> SearchStrategy[Json]:
    codes = st.one_of(concepts(SNOMED, ("91936005", "91939003")), concepts(RXNORM, ("1191", "723")))
    reactions = least(
        {"manifestation": st.lists(concepts(SNOMED, ("41291007",), ("Hives", "Anaphylaxis")), min_size=1, max_size=2)},
        substance=codes,
        severity=st.sampled_from(("mild", "moderate", "severe")),
        onset=date_times(),
        description=words(),
    )
    return resource_about(
        "AllergyIntolerance",
        patient_id,
        one_of_elements(onsetDateTime=date_times(), onsetString=words()),
        some(
            clinicalStatus=statuses("active inactive resolved"),
            verificationStatus=statuses("unconfirmed confirmed refuted entered-in-error"),
            type=st.sampled_from(("allergy", "intolerance")),
            category=st.lists(
                st.sampled_from(("food", "medication", "environment", "biologic")), min_size=1, max_size=2
            ),
            criticality=st.sampled_from(("low", "high", "unable-to-assess")),
            code=codes,
            recordedDate=date_times(),
            note=st.lists(words().map(lambda text: {"text": text}), min_size=1, max_size=2),
            reaction=st.lists(reactions, min_size=1, max_size=2),
        ),
        about="patient",
    )


def appointments(patient_id: str = "p") -> SearchStrategy[Json]:
    participant = {"actor": {"reference": f"Patient/{patient_id}"}, "status": "accepted"}
    return st.builds(
        lambda *parts: {name: value for part in parts for name, value in part.items()},
        st.just({"resourceType": "Appointment", "id": "a", "participant": [participant]}),
        st.builds(dict, status=st.sampled_from(("booked", "pending", "cancelled", "noshow", "entered-in-error"))),
        some(start=instants(), description=words()),
    )


def immunizations(patient_id: str = "p") -> SearchStrategy[Json]:
    return resource_about(
        "Immunization",
        patient_id,
        status_or_absent("completed entered-in-error not-done"),
        st.one_of(st.builds(dict, occurrenceDateTime=date_times()), st.builds(dict, occurrenceString=words())),
        st.builds(dict, vaccineCode=concepts(CVX, ("03", "21", "165", "9999"))),
        some(
            manufacturer=references("Organization/maker"),
            expirationDate=dates(),
            isSubpotent=st.booleans(),
            lotNumber=ids(),
        ),
        about="patient",
    )


def devices(patient_id: str = "p") -> SearchStrategy[Json]:
    return resource_about(
        "Device",
        patient_id,
        status_or_absent("active inactive entered-in-error unknown"),
        st.builds(dict, type=concepts(SNOMED, ("14106009", "72506001"), ("Cardiac pacemaker", "Infusion pump"))),
        some(
            deviceName=st.lists(words().map(lambda text: {"name": text, "type": "other"}), min_size=1, max_size=2),
            modelNumber=words(),
            safety=st.lists(words().map(lambda text: {"text": text}), min_size=1, max_size=2),
            note=st.lists(words().map(lambda text: {"text": text}), min_size=1, max_size=2),
        ),
        about="patient",
    )


def consents(patient_id: str = "p") -> SearchStrategy[Json]:
    """Rules within rules, as R4 has them, for purposes that are read and others."""
    purposes = st.sampled_from(("TREATDS", "TREAT", "HMARKT")).map(
        lambda code: {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": code}
    )
    rule = some(
        type=st.sampled_from(("deny", "permit")), period=periods(), purpose=st.lists(purposes, min_size=1, max_size=3)
    ).map(lambda made: made or {"type": "permit"})
    rules = st.builds(lambda outer, inner: outer | ({"provision": inner} if inner else {}), rule, st.lists(rule))
    about = {
        "scope": {"coding": [{"code": "patient-privacy"}]},
        "category": [{"text": "opting out"}],
        "policyRule": {"text": "the policy"},
    }
    return resource_about(
        "Consent",
        patient_id,
        status_or_absent("draft proposed active active rejected inactive entered-in-error"),
        st.just(about),
        some(provision=rules, dateTime=date_times()),
        about="patient",
    )


def coverages(patient_id: str = "p") -> SearchStrategy[Json]:
    return resource_about(
        "Coverage",
        patient_id,
        status_or_absent("active active cancelled draft"),
        st.builds(dict, payor=st.lists(references("Organization/payer"), min_size=1, max_size=2)),
        some(period=periods()),
        about="beneficiary",
    )


def flags(patient_id: str = "p") -> SearchStrategy[Json]:
    codes = concepts("http://example.org/flags", ("no-cds", "fall-risk"), ("Wants no estimates", "Falls"))
    return resource_about(
        "Flag",
        patient_id,
        status_or_absent("active active inactive entered-in-error"),
        st.builds(dict, code=codes),
        some(period=periods()),
    )


def practitioner_roles() -> SearchStrategy[Json]:
    codes = concepts("http://nucc.org/provider-taxonomy", ("163W00000X", "207R00000X"), ("Registered Nurse", "Doctor"))
    optional = some(
        active=st.booleans(),
        period=periods(),
        practitioner=references("Practitioner/1"),
        code=st.lists(codes, min_size=1, max_size=2),
        specialty=st.lists(codes, min_size=1, max_size=2),
    )
    return optional.map(lambda members: {"resourceType": "PractitionerRole", "id": "r1", **members})


def care_plans(patient_id: str = "p") -> SearchStrategy[Json]:
    details: SearchStrategy[Json] = st.builds(
        dict, status=st.just("in-progress"), code=words().map(lambda text: {"text": text})
    )
    return resource_about(
        "CarePlan",
        patient_id,
        status_or_absent("active completed revoked entered-in-error"),
        st.just({"intent": "plan"}),
        some(
            title=words(),
            category=st.lists(words().map(lambda text: {"text": text}), min_size=1, max_size=2),
            period=periods(),
            activity=st.lists(details.map(lambda detail: {"detail": detail}), min_size=1, max_size=2),
        ),
    )


def relatives(patient_id: str = "p") -> SearchStrategy[Json]:
    conditions_of_relative = words().map(lambda text: {"code": {"text": text}})
    return resource_about(
        "FamilyMemberHistory",
        patient_id,
        status_or_absent("partial completed entered-in-error health-unknown"),
        words().map(lambda text: {"relationship": {"text": text}}),
        some(condition=st.lists(conditions_of_relative, min_size=1, max_size=2)),
        about="patient",
    )


def documents(patient_id: str = "p") -> SearchStrategy[Json]:
    content = [{"attachment": {"title": "a document"}}]
    return resource_about(
        "DocumentReference",
        patient_id,
        status_or_absent("current superseded entered-in-error"),
        st.just({"content": content}),
        some(type=words().map(lambda text: {"text": text}), description=words()),
    )


def resources(patient_id: str = "p") -> SearchStrategy[Json]:
    """Any resource about the patient that the record reads, and Medications, which are about nobody."""
    made = (observations, conditions, medication_requests, medication_statements, allergies, encounters, procedures)
    orders = (service_requests, medication_dispenses, immunizations, devices)
    return st.one_of(*(make(patient_id) for make in (*made, *orders)), medications())


@st.composite
def bundles(draw: DrawFn, patient_id: str = "p", at_most: int = 8) -> Json:
    """A Patient and resources about them, some twice over, addressed as servers, exporters and nobody do."""
    held = [draw(patients(patient_id)), *draw(st.lists(resources(patient_id), max_size=at_most))]
    if draw(st.booleans()):
        held.append(held[-1])
    entries = []
    for number, resource in enumerate(held):
        address = draw(st.sampled_from(("server", "uuid", "none")))
        url = {
            "server": f"https://fhir.example/r4/{resource['resourceType']}/{resource['id']}",
            "uuid": f"urn:uuid:5d1f0b3a-0000-4000-8000-{number:012}",
        }.get(address)
        entries.append({"resource": resource} | ({"fullUrl": url} if url else {}))
    kind = draw(st.sampled_from(("collection", "searchset")))
    return {"resourceType": "Bundle", "type": kind, "entry": entries} | draw(_bundle_links())


def _bundle_links() -> SearchStrategy[Json]:
    return st.sampled_from(({}, {"link": [{"relation": "next", "url": "https://fhir.example/r4?page=2"}]}))
