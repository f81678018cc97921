"""Every fault that is planted in the good server, each with the row whose check has to find it."""

from tests.cds_hooks.kit.contract.planted_discovery import DISCOVERY, TEMPLATES
from tests.cds_hooks.kit.contract.planted_habits import CALLS, FEEDBACK, MISSED, SECURITY, SIGNED
from tests.cds_hooks.kit.contract.planted_responses import ACTIONS, EPIC, RESPONSES

ALL = (*DISCOVERY, *TEMPLATES, *RESPONSES, *ACTIONS, *CALLS, *MISSED, *FEEDBACK, *SECURITY, *SIGNED, *EPIC)

OUTSIDE_BENCH = {
    "accept-bad-bundle": [("PRE-06", "a broken Bundle is taken")],
    "accept-file-url": [("REQ-05", "file addresses are taken")],
    "accept-text-plain": [("GEN-11", "text/plain is taken")],
    "action-on-stranger": [("ACT-05", "deletes what nobody sent")],
    "bad-fhir-resource": [("ACT-03", "a resource without status"), ("ACT-03", "an id with a space")],
    "bad-fhir-type": [("ACT-03", "a type that R4 has not")],
    "bad-request-is-412": [("RESP-05", "a mistake is 412")],
    "bad-status-code": [("RESP-04", "a mistake is 499")],
    "cors-not-on-401": [("CORS-03", "401 without CORS")],
    "crash-on-duplicate-keys": [("GEN-01", "a member twice is 500")],
    "crash-on-surrogate": [("GEN-01", "half a surrogate is 500")],
    "drops-token-on-next": [("FHIR-02", "next page without token")],
    "follows-redirect-with-token": [("FHIR-21", "redirects are followed")],
    "id-injection": [
        ("HK-patient-view-patientId", "any patient id is taken"),
        ("HK-patient-view-patientId", "an id is a path"),
    ],
    "jwt-embedded-jwk": [("SEC-19", "a jwk in the token is believed")],
    "jwt-follows-jku": [("SEC-19", "jku is followed")],
    "jwt-host-aud-ok": [("SEC-14", "aud may be the host")],
    "jwt-hs-confusion": [("SEC-21", "HS256 with the public key")],
    "loses-decimals": [("ACT-04", "decimals are lost")],
    "no-feedback": [("FB-01", "no feedback")],
    "no-fhir-timeout": [("FHIR-20", "waits for FHIR for ever")],
    "no-size-limit": [("GEN-01", "any size is read")],
    "one-at-a-time": [("RESP-01", "one call at a time")],
    "reject-draft-like-sandbox": [("REQ-14", "drafts need an intent")],
    "rejects-long-ids": [("REQ-14", "long ids are refused")],
    "two-choices": [("ACT-03", "two of a choice")],
}
"""The faults that an outside bench planted and the kit once missed, by its names: row and habit that stand for each."""

HARDEST = OUTSIDE_BENCH | {
    "slow-answers": [("PRE-17", "slow")],
    "mixes-patients": [("RESP-01", "mixes patients")],
    "never-answers": [("RESP-01", "never answers")],
    "no-token-at-fhir": [("FHIR-02", "no token at FHIR")],
    "foreign-next-page": [("FHIR-21", "foreign pages are followed")],
    "first-page-only": [("PRE-14", "one page only")],
    "uuids-again": [("CARD-01", "uuids are used again")],
    "fetched-differs": [("PRE-15", "fetched data changes the advice")],
    "any-patient": [("PRE-04", "any patient is taken")],
    "phi-in-errors": [("RESP-06", "errors name the patient")],
    "preflight-with-token": [("CORS-02", "preflight needs a token")],
}
"""With eleven that one good call does not show, of our choice but for slow answers: the bench had 37, and of ten of
them, which the kit always found, nobody wrote down the names."""
