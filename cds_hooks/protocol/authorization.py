"""The right to read from the client's FHIR server that a call brings: held for the call, shown to nobody."""

from typing import Final

from msgspec import Struct

from cds_hooks.errors import BadRequest

_PLACE: Final = "fhirAuthorization"


class FhirAuthorization(Struct, frozen=True, gc=False):
    """`fhirAuthorization` of a request (checklist rows FHIR-03 to FHIR-10). The token is in no representation of it."""

    access_token: str
    token_type: str
    scope: str
    """Scopes granted, of SMART v1 or v2, divided by spaces. The FHIR server is who judges by them."""
    subject: str
    """Our client id at the client's authorization server."""
    expires_in: int | None = None
    """Seconds. Required by the specification and missing in practice (TRAP-41): the token is used at once or never."""
    patient: str | None = None
    """The one patient that the token is limited to."""

    def __repr__(self) -> str:
        return "FhirAuthorization(…)"


def check_authorization(authorization: FhirAuthorization | None, fhir_server: str | None, patient_id: str) -> None:
    """BadRequest where the parts do not go together; no message holds a value of them."""
    if authorization is None:
        return
    if not (fhir_server or "").strip():
        raise BadRequest("fhirAuthorization came without fhirServer: a token is of use at one server only.", _PLACE)
    if authorization.token_type != "Bearer":  # noqa: S105 - the one word that CDS Hooks allows here
        raise BadRequest("fhirAuthorization.token_type is not Bearer.", f"{_PLACE}.token_type")
    for name in ("access_token", "scope", "subject"):
        if not getattr(authorization, name).strip():
            raise BadRequest(f"fhirAuthorization.{name} is blank; it is required.", f"{_PLACE}.{name}")
    if authorization.patient is not None and authorization.patient.removeprefix("Patient/") != patient_id:
        raise BadRequest(
            "fhirAuthorization.patient is another patient than context.patientId; nothing was computed.",
            f"{_PLACE}.patient",
        )
