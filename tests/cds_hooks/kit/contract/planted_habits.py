"""Faults of how calls, feedback and tokens are taken."""

from tests.cds_hooks.kit.contract.planting import Planted, habit

CALLS = tuple(
    habit(row, what)
    for row, what in (
        ("RESP-01", "never answers"),
        ("RESP-01", "mixes patients"),
        ("PRE-17", "slow"),
        ("GEN-10", "unknown members refused"),
        ("GEN-11", "charset refused"),
        ("GEN-11", "accept needed"),
        ("EXT-01", "an object as extension refused"),
        ("EXT-01", "any extension is taken"),
        ("REQ-03", "hookInstance only once"),
        ("REQ-03", "hookInstance lower case only"),
        ("REQ-07", "FHIR access refused"),
        ("HK-patient-view-userId", "practitioners only"),
        ("HK-patient-view-encounterId", "encounter needed"),
        ("HK-order-select-draftOrders", "drafts need a Bundle type"),
        ("REQ-14", "long ids fail"),
        ("HK-order-select-selections", "selections must be there"),
        ("REQ-02", "hook may be missing"),
        ("REQ-03", "hookInstance may be missing"),
        ("REQ-08", "context may be missing"),
        ("HK-patient-view-patientId", "required context may be missing"),
        ("HK-patient-view-patientId", "context of any type"),
        ("REQ-15", "an unknown hook is answered"),
        ("REQ-17", "before 1.0 is answered"),
        ("REQ-05", "any fhirAuthorization is taken"),
        ("FHIR-03", "any fhirAuthorization is taken"),
        ("FHIR-04", "any fhirAuthorization is taken"),
        ("FHIR-05", "any fhirAuthorization is taken"),
        ("GEN-01", "broken JSON is answered"),
        ("GEN-01", "XML is answered"),
        ("REQ-01", "GET on a service answered"),
        ("REQ-01", "an unknown service is answered"),
        ("RESP-04", "broken JSON is 500"),
        ("RESP-06", "errors as text"),
        ("RESP-06", "errors without severity"),
        ("RESP-06", "errors name the patient"),
        ("RESP-06", "stack trace"),
        ("PRE-02", "one missing key is 400"),
        ("PRE-05", "unknown keys refused"),
        ("PRE-06", "any prefetch is taken"),
        ("PRE-06", "a wrapper is 500"),
        ("PRE-06", "no resource is 500"),
        ("PRE-10", "null is missing"),
        ("PRE-10", "an empty Bundle is 500"),
        ("PRE-11", "an outcome is 500"),
        ("PRE-13", "missing data is 400"),
        ("RESP-05", "missing data is 400"),
        ("PRE-14", "a next link is 400"),
        ("PRE-04", "any patient is taken"),
        ("PRE-04", "anybody's drafts are taken"),
        ("CARD-01", "uuids are used again"),
        ("PRE-12", "nothing is fetched"),
        ("PRE-12", "fetches what it has"),
        ("PRE-15", "fetched data changes the advice"),
        ("FHIR-01", "nothing is fetched"),
        ("FHIR-02", "no token at FHIR"),
        ("FHIR-20", "401 at FHIR is 500"),
        ("FHIR-21", "foreign pages are followed"),
        ("PRE-14", "one page only"),
        ("CORS-01", "no CORS"),
        ("CORS-01", "any origin with credentials"),
        ("CORS-02", "preflight needs a token"),
        ("CORS-02", "authorization not allowed"),
        ("CORS-03", "errors without CORS"),
    )
)

MISSED = tuple(
    Planted(row, what, check=check, token=what == "401 without CORS", signed=row.startswith("SEC"))
    for row, what, check in (
        ("PRE-06", "a broken Bundle is taken", "a_bundle_is_a_bundle"),
        ("REQ-05", "file addresses are taken", "a_fhir_server_is_an_http_address"),
        ("GEN-11", "text/plain is taken", "json_under_another_content_type_is_refused"),
        ("ACT-05", "deletes what nobody sent", "an_action_is_on_something_that_the_client_has"),
        ("RESP-05", "a mistake is 412", "a_mistake_of_the_client_is_not_412"),
        ("RESP-04", "a mistake is 499", "a_status_is_one_that_http_defines"),
        ("CORS-03", "401 without CORS", "cors_headers_stand_on_every_answer"),
        ("GEN-01", "a member twice is 500", "repeated_members_do_not_break_the_server"),
        ("GEN-01", "half a surrogate is 500", "half_a_surrogate_does_not_break_the_server"),
        ("FHIR-02", "next page without token", "next_pages_are_asked_for_with_the_token"),
        ("FHIR-21", "redirects are followed", "redirects_are_not_followed_with_the_token"),
        ("HK-patient-view-patientId", "any patient id is taken", "a_patient_id_is_no_part_of_a_query"),
        ("HK-patient-view-patientId", "any patient id is taken", "a_patient_id_stays_one_value_of_a_query"),
        ("HK-patient-view-patientId", "an id is a path", "a_patient_id_stays_one_value_of_a_query"),
        ("SEC-19", "a jwk in the token is believed", "a_key_inside_the_token_is_not_believed"),
        ("SEC-19", "jku is followed", "a_key_set_of_a_stranger_is_neither_read_nor_believed"),
        ("SEC-14", "aud may be the host", "the_audience_is_not_only_the_host"),
        ("SEC-21", "HS256 with the public key", "symmetric_algorithms_are_refused"),
        ("ACT-04", "decimals are lost", "an_update_keeps_decimals_as_they_came"),
        ("FB-01", "no feedback", "cards_with_uuid_have_feedback"),
        ("FHIR-20", "waits for FHIR for ever", "a_stalled_fhir_server_does_not_stall_the_service"),
        ("GEN-01", "any size is read", "a_huge_body_is_refused"),
        ("RESP-01", "one call at a time", "one_caller_does_not_hold_up_the_others"),
        ("REQ-14", "drafts need an intent", "drafts_of_the_public_sandbox_are_taken"),
        ("REQ-14", "long ids are refused", "long_ids_of_drafts_are_taken"),
        ("REQ-14", "long ids of patients are refused", "long_ids_of_the_chart_are_taken"),
        ("REQ-14", "long ids of results are refused", "long_ids_of_the_chart_are_taken"),
        ("RESP-01", "a lock around slow calls", "calls_at_once_are_computed_side_by_side"),
        ("RESP-01", "a lock around FHIR", "one_callers_slow_fhir_server_does_not_hold_up_the_others"),
        ("CORS-03", "a bad token without CORS", "cors_headers_stand_on_every_answer"),
    )
)
"""Faults that an outside bench planted and the kit once missed; each with the check that finds it now."""

FEEDBACK = tuple(
    habit(row, what)
    for row, what in (
        ("FB-01", "feedback is 500"),
        ("FB-01", "any feedback address"),
        ("FB-04", "feedback is never read"),
        ("FB-04", "feedback as bare item"),
        ("FB-05", "card may be missing"),
        ("FB-06", "any outcome"),
        ("FB-07", "nothing accepted"),
        ("FB-07", "accepted is refused"),
        ("FB-08", "suggestions of any kind"),
        ("FB-09", "a reason is needed"),
        ("FB-10", "display needed"),
        ("FB-10", "any reason"),
        ("FB-11", "no comment alone"),
        ("FB-12", "any timestamp"),
        ("FB-12", "no fractions"),
        ("FB-15", "one item a call"),
        ("FB-17", "unknown cards refused"),
        ("FB-19", "an empty reason"),
        ("GEN-10", "feedback without unknown members"),
    )
)

SECURITY = tuple(
    Planted(row, what, token=True)
    for row, what in (
        ("SEC-01", "no token needed"),
        ("SEC-02", "feedback without token"),
        ("SEC-04", "signature not checked"),
        ("SEC-20", "alg none taken"),
        ("SEC-21", "HS256 taken"),
        ("SEC-29", "errors say why"),
    )
)

SIGNED = tuple(
    Planted(row, what, signed=True)
    for row, what in (
        ("SEC-15", "expired tokens taken"),
        ("SEC-16", "tokens of tomorrow taken"),
        ("SEC-25", "tokens live long"),
        ("SEC-17", "tokens taken twice"),
        ("SEC-12", "any issuer taken"),
        ("SEC-19", "any jku taken"),
        ("SEC-14", "any audience taken"),
        ("SEC-13", "aud as text only"),
        ("SEC-28", "unknown claims refused"),
        ("SEC-28", "nbf not read"),
        ("SEC-06", "kid not read"),
        ("SEC-07", "typ not read"),
        ("SEC-23", "any algorithm taken"),
        ("SEC-24", "claims may be missing"),
        ("DISC-16", "discovery with any token"),
    )
)
