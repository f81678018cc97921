"""The routes of a payer's forms: POST Questionnaire/$questionnaire-package (Da Vinci DTR 2.0) and GET Questionnaire/ID.

They stand below the address of the service, are for its clients only, and hold nothing of a patient. The forms are
made by cards/coverage/questionnaire.py; the service itself is cds_hooks/call/services/coverage_requirements.py.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cds_hooks.call.components import ServerComponents
from cds_hooks.call.routes.entrance import ReportIntake
from cds_hooks.errors import BadRequest, NotFound

SERVICE: Final = "coverage-requirements"
_MOST_BYTES: Final = 1024 * 1024
_FHIR: Final = "application/fhir+json"


def coverage_routes(components: ServerComponents, intake: ReportIntake) -> list[Route]:
    """Return the routes of the forms of payers."""
    base = f"{components.settings.public_url}/cds-services/{SERVICE}"

    async def package(request: Request) -> Response:
        client = await intake.client_of(request)
        client.require({SERVICE})
        async with intake.body(request, client, _MOST_BYTES) as body:
            from cards.coverage import questionnaire as forms  # by the first request for one
            from cards.coverage.store import policies

            names = list(_names(_decoded(body)))
        answer = forms.package(base, policies(), names)
        if answer is None:
            raise NotFound("No form of this server is named in questionnaire, or in an order's coverage-information.")
        return JSONResponse(answer, media_type=_FHIR)

    async def read(request: Request) -> Response:
        client = await intake.client_of(request)
        client.require({SERVICE})
        from cards.coverage import questionnaire as forms
        from cards.coverage.store import policies

        form = forms.find_criteria(policies(), request.path_params["name"])
        if form is None:
            raise NotFound("No form with this id exists here. The forms are named in the notes on an order.")
        return JSONResponse(forms.questionnaire(base, *form), media_type=_FHIR)

    prefix = f"/cds-services/{SERVICE}/Questionnaire"
    return [
        Route(f"{prefix}/$questionnaire-package", package, methods=["POST"]),
        Route(f"{prefix}/{{name}}", read, methods=["GET"]),
    ]


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRequest(
            "The body must be FHIR Parameters as JSON and cannot be read. No form was returned."
        ) from error


def _names(body: Any) -> Iterator[str]:
    """Yield the ids of the forms that the parameters name, by canonical or in the notes on an order."""
    if not isinstance(body, dict) or not isinstance(body.get("parameter"), list):
        raise BadRequest("The body must be FHIR Parameters with a `parameter` array. No form was returned.")
    from cards.coverage.annotation import parts_of
    from cards.coverage.questionnaire import names_in

    for parameter in body["parameter"]:
        if not isinstance(parameter, dict):
            continue
        if parameter.get("name") == "questionnaire":
            yield from names_in([parameter.get("valueCanonical")])
        order = parameter.get("resource")
        if parameter.get("name") == "order" and isinstance(order, dict):
            extensions = order.get("extension")
            for extension in extensions if isinstance(extensions, list) else ():
                parts = parts_of(extension) if isinstance(extension, dict) else ()
                yield from names_in(part.get("valueCanonical") for part in parts)
