"""How the good server reads prefetch, and fetches what is missing."""

import json
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from tests.cds_hooks.tools.kit.contract.good_calls import is_bundle
from tests.cds_hooks.tools.kit.contract.habits import PREFETCH, Habits, Json, Refusal, is_outcome, resources


def read_prefetch(habits: Habits, call: Json) -> Json:
    prefetch = dict(call.get("prefetch", {}))
    if habits.has("unknown keys refused") and set(prefetch) - set(PREFETCH):
        raise Refusal(400, "unknown prefetch key")
    if habits.has("one missing key is 400") and len(prefetch) < len(PREFETCH):
        raise Refusal(400, "prefetch is incomplete")
    if habits.has("null for everything is 500") and prefetch and not any(prefetch.values()):
        raise Refusal(500, "NoneType")
    if habits.has("null is missing") and None in prefetch.values():
        raise Refusal(412, "no data")
    if habits.has("fetches what it has") and "fhirServer" in call:
        prefetch.clear()
    for key, template in PREFETCH.items():
        if key not in prefetch:
            found, value = _fetched(habits, call, template)
            if found:
                prefetch[key] = value
    if "patient" not in prefetch or is_outcome(prefetch["patient"]):
        if habits.has("missing data is 400"):
            raise Refusal(400, "patient is missing")
        if habits.has("missing data is silent"):
            prefetch["patient"] = None
        else:
            raise Refusal(412, "patient is missing")
    _check_values(habits, call, prefetch)
    return prefetch


def _check_values(habits: Habits, call: Json, prefetch: Json) -> None:
    for value in prefetch.values():
        bundle = isinstance(value, dict) and value.get("resourceType") == "Bundle"
        if bundle and not is_bundle(value) and not habits.has("a broken Bundle is taken"):
            raise Refusal(400, "prefetch holds a Bundle that is none")
        if habits.has("an empty Bundle is 500") and bundle and not value.get("entry"):
            raise Refusal(500, "entry")
        if habits.has("an outcome is 500") and is_outcome(value):
            raise Refusal(500, "OperationOutcome")
        if habits.has("a next link is 400") and bundle and value.get("link"):
            raise Refusal(400, "paged")
        if habits.has("a wrapper is 500") and isinstance(value, dict) and "resource" in value:
            raise Refusal(500, "resource")
        if habits.has("no resource is 500") and value is not None and not isinstance(value, dict):
            raise Refusal(500, "resource")
        if habits.has("long ids of results are refused") and any(
            len(str(each.get("id"))) > 64 for each in resources(value)
        ):
            raise Refusal(400, "id")
        if habits.has("4101 is 500") and bundle and "4101" in json.dumps(value):
            raise Refusal(500, "4101")
        if habits.has("category has to be an array") and isinstance(
            next(resources(value), {}).get("category", []), dict
        ):
            raise Refusal(400, "category")
    if not habits.has("any patient is taken"):
        _check_patients(habits, call["context"]["patientId"], prefetch)


def _check_patients(habits: Habits, patient: str, prefetch: Json) -> None:
    for value in prefetch.values():
        for resource in resources(value):
            reference = resource["subject"].get("reference") if isinstance(resource.get("subject"), dict) else None
            named = str(reference or patient).rpartition("/")[2]
            if resource.get("resourceType") == "Patient":
                named = str(resource.get("id"))
            if named != patient and "Group/" not in str(reference):
                raise Refusal(400, "prefetch is about another patient")


def _fetched(habits: Habits, call: Json, template: str) -> tuple[bool, Any]:
    access = call.get("fhirAuthorization")
    base = str(call.get("fhirServer", "")).rstrip("/")
    local = urlsplit(base).hostname == "127.0.0.1"
    if not isinstance(access, dict) or not local or habits.has("nothing is fetched"):
        return False, None
    token = "" if habits.has("no token at FHIR") else f"Bearer {access['access_token']}"
    patient = str(call["context"]["patientId"])
    patient = quote(patient) if habits.has("an id is a path") else patient  # which leaves / as it is
    url: str | None = f"{base}/{template.replace('{{context.patientId}}', patient)}"
    pages: list[Json] = []
    while url:
        sent = "" if pages and habits.has("next page without token") else token
        try:
            answer = habits.client.get(
                url,
                headers={"authorization": sent} if sent else {},
                follow_redirects=habits.has("redirects are followed"),
                timeout=None if habits.has("waits for FHIR for ever") else 2.0,
            )
        except httpx.TimeoutException:
            return False, None
        if answer.status_code == 401 and habits.has("401 at FHIR is 500"):
            raise Refusal(500, "FHIR said 401")
        if answer.status_code != 200:
            return False, None
        pages.append(answer.json())
        url = _next(habits, pages[-1], base)
    pages[0]["entry"] = [each for page in pages for each in page.get("entry", [])]
    return True, {key: value for key, value in pages[0].items() if value != []}


def _next(habits: Habits, page: Json, base: str) -> str | None:
    for link in page.get("link", []):
        same = str(link["url"]).startswith(base)
        if link["relation"] == "next" and (same or habits.has("foreign pages are followed")):
            return None if habits.has("one page only") else str(link["url"])
    return None
