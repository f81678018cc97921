"""How the good server reads a call."""

import json
import re
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request

from tests.cds_hooks.tools.kit.contract.habits import Habits, Json, Refusal

REQUIRED: dict[str, dict[str, type]] = {
    "patient-view": {"userId": str, "patientId": str},
    "order-select": {"userId": str, "patientId": str, "selections": list, "draftOrders": dict},
    "order-sign": {"userId": str, "patientId": str, "draftOrders": dict},
    "com.example.other": {"patientId": str},
}


def read_call(habits: Habits, request: Request, body: bytes, hooks: list[str]) -> Json:
    _check_headers(habits, request)
    call = _parse(habits, body)
    if not isinstance(call, dict):
        raise Refusal(202 if habits.has("any JSON is taken") else 400, "the body is not an object")
    _required(habits, call, "hook", str)
    _required(habits, call, "hookInstance", str)
    if habits.has("hookInstance only once"):
        if call["hookInstance"] in habits.seen:
            raise Refusal(409, "seen before")
        habits.seen.add(call["hookInstance"])
    if habits.has("hookInstance lower case only") and call["hookInstance"] != call["hookInstance"].lower():
        raise Refusal(400, "hookInstance")
    _required(habits, call, "context", dict)
    if habits.has("before 1.0 is answered"):
        old = {"patientId": call.get("patient"), "userId": call.get("user")}
        call["context"] = {key: value for key, value in old.items() if value} | call["context"]
    _check_strange(habits, call)
    if not habits.has("any patient id is taken", "an id is a path") and not re.fullmatch(
        r"[\w.-]+", str(call["context"].get("patientId", "x"))
    ):
        raise Refusal(400, "patientId is no id")
    if call.get("hook") not in hooks:
        if habits.has("an unknown hook is answered"):
            call["hook"] = hooks[0]
        else:
            raise Refusal(400, "this service does not answer that hook")
    _check_context(habits, call)
    _check_access(habits, call)
    return call


def _check_headers(habits: Habits, request: Request) -> None:
    declared = request.headers.get("content-type", "")
    if habits.has("charset refused") and declared != "application/json":
        raise Refusal(415, "application/json only")
    kind = declared.split(";")[0].strip().lower()
    taken = habits.has("XML is answered") or (kind == "text/plain" and habits.has("text/plain is taken"))
    if kind != "application/json" and not taken:
        raise Refusal(415, "application/json only")
    if habits.has("accept needed") and "application/json" not in request.headers.get("accept", ""):
        raise Refusal(406, "say that you accept application/json")


def _parse(habits: Habits, body: bytes) -> Any:
    if habits.has("broken JSON is 500") and not body.strip().endswith(b"}"):
        raise Refusal(500, "JSONDecodeError")
    try:
        call = json.loads(body.decode("utf-8"), parse_constant=_refused, parse_float=_number(habits))
        if habits.has("half a surrogate is 500"):
            json.dumps(call, ensure_ascii=False).encode()
        if habits.has("a member twice is 500"):
            json.loads(body.decode("utf-8"), object_pairs_hook=_once)
        return call
    except (UnicodeEncodeError, KeyError) as error:
        raise Refusal(500, type(error).__name__) from error
    except (ValueError, RecursionError) as error:
        if habits.has("broken JSON is answered", "XML is answered"):
            return {
                "hook": "patient-view",
                "hookInstance": "1",
                "context": {"userId": "Practitioner/1", "patientId": "1", "draftOrders": {}, "selections": []},
                "prefetch": {"patient": None},
            }
        trace = 'Traceback (most recent call last):\n  File "/srv/app.py", line 1' if habits.has("stack trace") else ""
        raise Refusal(400, f"no JSON {trace}") from error


def _required(habits: Habits, call: Json, name: str, kind: type) -> None:
    missing = name not in call or call[name] is None
    if missing and habits.has(f"{name} may be missing"):
        call[name] = {"context": {"userId": "Practitioner/1", "patientId": "1"}}.get(name, "patient-view")
    elif missing or not isinstance(call[name], kind):
        raise Refusal(400, f"{name} is required")


def _check_strange(habits: Habits, call: Json) -> None:
    known = {"hook", "hookInstance", "context", "prefetch", "fhirServer", "fhirAuthorization", "extension"}
    if habits.has("unknown members refused") and set(call) - known:
        raise Refusal(400, "unknown member")
    if habits.has("an object as extension refused") and "extension" in call:
        raise Refusal(422, "extension has to be an array")
    if habits.has("triggers refused") and '"27"' in json.dumps(call.get("extension")):
        raise Refusal(400, "trigger")
    if not isinstance(call.get("extension", {}), dict) and not habits.has("any extension is taken"):
        raise Refusal(400, "extension is not an object")
    if not isinstance(call.get("prefetch", {}), dict):
        if not habits.has("any prefetch is taken"):
            raise Refusal(400, "prefetch is not an object")
        call["prefetch"] = {"patient": None}


def _check_context(habits: Habits, call: Json) -> None:
    context = call["context"]
    for name, kind in REQUIRED[call["hook"]].items():
        value = context.get(name)
        if (value is None and habits.has("required context may be missing")) or (
            value is not None and not isinstance(value, kind) and habits.has("context of any type")
        ):
            context[name] = kind()
        elif not isinstance(value, kind):
            raise Refusal(400, f"context.{name} is required")
    if habits.has("long ids of patients are refused") and len(context["patientId"]) > 64:
        raise Refusal(400, "patientId")
    if habits.has("practitioners only") and not context["userId"].startswith("Practitioner/"):
        raise Refusal(400, "userId")
    if habits.has("encounter needed") and "encounterId" not in context:
        raise Refusal(400, "encounterId is required")
    _check_drafts(habits, context)


def _check_drafts(habits: Habits, context: Json) -> None:
    bundle = context.get("draftOrders", {})
    if not is_bundle(bundle) and not habits.has("a broken Bundle is taken"):
        raise Refusal(400, "draftOrders is no Bundle")
    if not isinstance(bundle.get("entry", []), list):
        bundle["entry"] = []
    entries = [each for each in bundle.get("entry", []) if isinstance(each, dict)]
    if habits.has("drafts need a Bundle type") and bundle and "type" not in bundle:
        raise Refusal(422, "Bundle.type")
    subjects = {str(each["resource"].get("subject", {}).get("reference", "")) for each in entries}
    strangers = subjects - {"", f"Patient/{context['patientId']}"}
    if strangers and not habits.has("anybody's drafts are taken"):
        raise Refusal(400, "a draft is for another patient")
    if habits.has("long ids fail") and any(len(each["resource"].get("id", "")) > 64 for each in entries):
        raise Refusal(500, "value too long")
    if habits.has("long ids are refused") and any(len(each["resource"].get("id", "")) > 64 for each in entries):
        raise Refusal(400, "id")
    if habits.has("a draft without id is 500") and any("id" not in each["resource"] for each in entries):
        raise Refusal(500, "KeyError")
    if habits.has("drafts need an intent") and any("intent" not in each["resource"] for each in entries):
        raise Refusal(422, "intent")
    if habits.has("selections must be there"):
        names = {f"{each['resource']['resourceType']}/{each['resource'].get('id')}" for each in entries}
        if not set(context.get("selections", [])) <= names:
            raise Refusal(400, "selection")


def _check_access(habits: Habits, call: Json) -> None:
    if "fhirAuthorization" not in call or habits.has("any fhirAuthorization is taken"):
        return
    if habits.has("FHIR access refused"):
        raise Refusal(400, "fhirServer is not on the list")
    access = call["fhirAuthorization"]
    if habits.has("a token without its server is put off") and "fhirServer" not in call:
        raise Refusal(202, "fhirServer is missing")
    scheme = urlsplit(str(call.get("fhirServer", "https://"))).scheme
    if scheme not in ("http", "https") and not habits.has("file addresses are taken"):
        raise Refusal(400, "fhirServer is not an http address")
    if not isinstance(access, dict) or not isinstance(access.get("access_token"), str):
        raise Refusal(400, "fhirAuthorization needs access_token")
    if access.get("token_type") != "Bearer" or "fhirServer" not in call:
        raise Refusal(400, "fhirAuthorization needs token_type Bearer and fhirServer")


def is_bundle(value: Any) -> bool:
    """Whether this is a Bundle whose entry is an array, or nothing at all."""
    return value == {} or (value.get("resourceType") == "Bundle" and isinstance(value.get("entry", []), list))


def _number(habits: Habits) -> Any:
    """How a decimal is read: digit for digit, as text between marks that is written back as it was."""
    return float if habits.has("decimals are lost") else lambda digits: f"@decimal {digits}@"


def _once(pairs: list[tuple[str, Any]]) -> Json:
    if len({name for name, _ in pairs}) < len(pairs):
        raise KeyError("twice")
    return dict(pairs)


def _refused(constant: str) -> Any:
    raise ValueError(constant)
