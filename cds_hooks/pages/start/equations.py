"""The page of a published equation: what it is for, what goes in, how it is read, and its source attributes."""

import orjson
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cds_hooks.pages.server import PageServer
from cds_hooks.web.site import HEADERS, Failure, Refusal
from models_onnx.equations.calculate import limits
from models_onnx.equations.card import equation_card, source_attributes
from models_onnx.equations.declaration import Equation, EquationInput, find_equations

_NO_EQUATION = Failure(
    "No such equation", "Not found", "No equation of this name is here.", "The start page lists those there are."
)


class InputRow(Struct, frozen=True):
    """One input in words: its unit, its limits or choices, and the codes it is found by."""

    words: str
    unit: str
    limits: str
    codes: str


def routes(server: PageServer) -> list[Route]:
    """Return the addresses of the page and of its card."""

    def page(request: Request) -> Response:
        equation = _equation(request)
        inputs = [_input_row(item) for item in equation.inputs]
        attributes = source_attributes(equation)
        return server.page("start/equation.html", it=equation, inputs=inputs, attributes=attributes)

    def card(request: Request) -> Response:
        body = orjson.dumps(equation_card(_equation(request).id), option=orjson.OPT_INDENT_2)
        return Response(body, media_type="application/json", headers=HEADERS)

    return [
        server.route("/equations/{equation_id}", page),
        server.route("/equations/{equation_id}/card.json", card),
    ]


def _equation(request: Request) -> Equation:
    equation = find_equations().get(request.path_params["equation_id"])
    if equation is None:
        raise Refusal(_NO_EQUATION)
    return equation


def _input_row(item: EquationInput) -> InputRow:
    allowed = " or ".join(item.choices) if item.choices else "yes or no" if item.kind == "yes-no" else limits(item)
    codes = ", ".join(f"LOINC {code}" for code in item.loinc) or item.note
    return InputRow(item.words, "" if item.unit == "1" else item.unit, allowed, codes)
