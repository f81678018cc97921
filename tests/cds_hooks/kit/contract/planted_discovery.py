"""Faults of discovery and of prefetch templates."""

from typing import Any

from tests.cds_hooks.kit.contract.planting import GONE, Planted, discovery, habit, put, template, three


def _twice(document: Any) -> Any:
    return put("services", lambda services: [*services, services[0]])(document)


def _two_versions(document: Any) -> Any:
    first = document["services"][0]
    document["services"] += [first | {"hookVersion": "1.0"}, first | {"hookVersion": "1.1"}]
    return document


DISCOVERY = (
    habit("DISC-01", "discovery is 404"),
    habit("DISC-14", "discovery is 201"),
    habit("DISC-01", "discovery changes"),
    habit("DISC-01", "HEAD fails"),
    habit("GEN-11", "discovery as HTML"),
    habit("GEN-07", "discovery with a trailing comma"),
    habit("REQ-01", "POST on discovery answered"),
    habit("DISC-07", "a listed service is 404"),
    habit("DISC-13", "registry by id alone"),
    Planted("DISC-02", "a bare array", discovery=lambda document: document["services"]),
    Planted("DISC-02", "services as an object", discovery=put("services", {})),
    Planted("DISC-02", "no services", discovery=put("services", GONE)),
    Planted("DISC-02", "a string among services", discovery=put("services.0", "greeter")),
    discovery("DISC-04", "no hook", "hook", GONE),
    discovery("DISC-04", "a number as hook", "hook", 3),
    discovery("DISC-04", "a hook with a typing error", "hook", "patient_view"),
    discovery("DISC-05", "no title", "title", GONE),
    discovery("DISC-05", "a number as title", "title", 3),
    discovery("DISC-06", "no description", "description", GONE),
    discovery("DISC-07", "no id", "id", GONE),
    discovery("DISC-07", "an id with a space", "id", "green er"),
    discovery("DISC-07", "an id with a slash", "id", "a/b"),
    discovery("DISC-08", "prefetch as an array", "prefetch", ["Patient/{{context.patientId}}"]),
    discovery("DISC-08", "a template as an object", "prefetch.more", {"query": "Patient/1"}),
    discovery("DISC-08", "a blank key", "prefetch. ", "Patient/{{context.patientId}}"),
    discovery("DISC-09", "usageRequirements as an array", "usageRequirements", ["none"]),
    discovery("DISC-10", "the service's own version", "version", "build 17"),
    discovery("DISC-11", "a hookVersion that nobody published", "hookVersion", "9.9"),
    Planted("DISC-12", "two versions of a hook under one id", discovery=_two_versions),
    Planted("DISC-13", "an entry twice", discovery=_twice),
    discovery("GEN-10", "a member of a service", "name", "Greeter"),
    discovery("DISC-17", "a URL of its own", "url", "https://elsewhere.example/greeter"),
    discovery("EXT-01", "an array as extension", "extension", [{"url": "x", "valueString": "y"}]),
    discovery("EXT-02", "a short name in a service's extension", "extension", {"version": 2}),
    discovery("GEN-04", "an empty prefetch", "prefetch", {}),
    discovery("GEN-04", "an empty title", "title", ""),
    discovery("GEN-03", "null usageRequirements", "usageRequirements", None),
    discovery("GEN-06", "a blank description", "description", "  "),
)

TEMPLATES = (
    template("PRE-01", "https://ehr.example/fhir/Patient/{{context.patientId}}"),
    template("PRE-01", "/Patient/{{context.patientId}}"),
    template("PRE-01", "Patients/{{context.patientId}}"),
    template("PRE-01", "Patient"),
    template("PRE-01", " "),
    template("PRE-01", "Observation?code=1"),
    template("TOK-01", "Patient/{context.patientId}"),
    template("TOK-01", "Patient/{{context.patientId}"),
    template("TOK-02", "Patient/{{patient}}"),
    template("TOK-02", "Observation?patient={{context.patientID}}"),
    template("TOK-02", "Encounter/{{context.visitId}}"),
    template("TOK-03", "Patient/{{patientId}}"),
    Planted(
        "TOK-04",
        "draftOrders as token",
        discovery=put("services.1.prefetch.more", "Medication?_id={{context.draftOrders}}"),
    ),
    template("TOK-04", "Observation?patient={{context.patientId}}&date=ge{{today() - 90 days}}"),
    template("TOK-19", "Practitioner?_id={{%patient.generalPractitioner.resolve().id}}"),
    template("TOK-07", "{{userPractitionerId}}"),
    template("TOK-07", "Practitioner/{{context.userId}}"),
    template("TOK-03", "Observation?patient={{ context.patientId }}"),
    template("QRY-01", "Observation?patient={{context.patientId}}&code"),
    three("TOK-11", a="Medication?_id={{context.draftOrders.entry.resource.ofType(Pill).id}}"),
    three("TOK-14", a="Practitioner?_id={{%nobody.resolve().id}}"),
    three("TOK-15", a="Practitioner?_id={{%b.generalPractitioner.resolve().id}}", b="Patient/{{context.patientId}}"),
    three("TOK-16", a="Medication?_id={{%b.id}}", b="Medication?_id={{%a.id}}"),
    three("TOK-08", a="Patient/1", b="Patient?_id={{%a.id}}", c="Patient?_id={{%b.id}}", d="Patient?_id={{%c.id}}"),
    three("TOK-17", a="Patient?_id={{context.patientId|}}"),
    three("TOK-18", a="Medication?_id={{context.draftOrders.entry.where(true).id}}"),
    template("QRY-02", "Patient/{{context.patientId}}/_history/1"),
    template("QRY-03", "Patient/{{context.patientId}}/Observation?code=1"),
    template("QRY-03", "Patient/{{context.patientId}}/$everything"),
    template("QRY-04", "Observation?patient:Patient={{context.patientId}}"),
    template("QRY-05", "Observation?patient={{context.patientId}}&code:not=1"),
    template("QRY-05", "Condition?patient={{context.patientId}}&code:text=gout"),
    template("QRY-06", "Observation?patient={{context.patientId}}&date=ne2020"),
    template("QRY-07", "Observation?patient={{context.patientId}}&_count=all"),
    template("QRY-08", "Observation?patient={{context.patientId}}&sort:desc=date"),
    template("QRY-08", "Observation?patient={{context.patientId}}&_sort:desc=date"),
    template("QRY-09", "Observation?patient={{context.patientId}}&_maxresults=1"),
    template("QRY-10", "MedicationRequest?patient={{context.patientId}}&_include=MedicationRequest:medication"),
    template("QRY-10", "Observation?subject.name=Smith"),
    template("QRY-10", "Observation?patient={{context.patientId}}&value-quantity=gt5"),
    template("QRY-01", "Observation?patient={{context.patientId}}&_summary=true"),
)
