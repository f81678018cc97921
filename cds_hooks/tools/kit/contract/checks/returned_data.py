"""Checks of chart data that comes back in an answer: updates are complete, text from the chart is escaped."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from cds_hooks.tools.kit.contract.document import SHOULD, Node, NotTested, observe
from cds_hooks.tools.kit.contract.registry import Faults, check_service
from cds_hooks.tools.kit.contract.target import Call, Service

_KEPT: Final = {
    "identifier": [{"system": "https://example.org/contract-kit", "value": "kept"}],
    "extension": [{"url": "https://example.org/contract-kit", "valueString": "kept"}],
    "note": [{"text": "Contract kit: kept."}],
}
_DECIMALS: Final = ("1.10", "0.1234567890123456789", "1E3")
_MARK: Final = "contractkit"
_HOSTILE: Final = f"<b onclick={_MARK}()>[{_MARK}](https://{_MARK}.example)"
# A backslash before < or [ makes plain text of it in GFM.
_RAW: Final = re.compile(rf"(?<!\\)<b onclick={_MARK}|(?<!\\)\[{_MARK}(?<!\\)\]\(https://{_MARK}")
_WORDS: Final = ("text", "display", "family")


@check_service("ACT-04")
def an_update_keeps_what_it_does_not_change(service: Service) -> Faults:
    """Start from the client's copy and keep all of it: identifiers, notes, extensions, elements you do not know."""
    call = _updating_call(service)
    request = service.as_new(call.sent)
    for entry in request["context"]["draftOrders"]["entry"]:
        entry["resource"].update(_KEPT)
    exchange = service.send(request, "a draft with identifier, note and extension")
    for update in _updates(Call(call.about, call.chart, request, exchange)):
        for name, entries in _KEPT.items():
            returned = update.at(name).value
            if not isinstance(returned, list) or any(entry not in returned for entry in entries):  # more may be added
                yield exchange.fault(f"{name} of the draft is lost or changed", update.location)


def _updating_call(service: Service) -> Call:
    """Return the first call that was answered with an update of one of its drafts; NotTested where there is none."""
    for call in service.calls:
        if any(_updates(call)):
            return call
    raise NotTested(f"{service.id} updates none of the drafted orders")


def _updates(call: Call) -> Iterator[Node]:
    """Yield the resources of update actions that are drafts of this call."""
    drafts = call.sent["context"].get("draftOrders", {})
    ids = {entry["resource"].get("id") for entry in drafts.get("entry", [])} if isinstance(drafts, dict) else set()
    for action in call.exchange.actions:
        if action.text("type") == "update" and action.at("resource").text("id") in ids:
            yield action.at("resource")


@check_service("CARD-05", level=SHOULD)
def text_from_the_chart_is_escaped(service: Service) -> Faults:
    """Escape text of the chart before it goes into detail: it is data, neither HTML nor a link of yours."""
    observe(service.base.exchange.cards, f"{service.id} has no card for any of these patients")
    request = service.as_new(_hostile(service.request()))
    exchange = service.send(request, "texts of the chart hold HTML and a link")
    observe(exchange.cards is not None, "the call with such texts was not answered with cards")
    is_quoted = False
    for card in exchange.response.objects("cards"):
        is_quoted = is_quoted or _MARK in card.text("detail")
        if _RAW.search(card.text("detail")):
            yield exchange.fault("detail holds HTML or a link from the chart", card.at("detail").location)
    observe(is_quoted, "no text of the chart came back in detail")


def _hostile(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: f"{member} {_HOSTILE}" if name in _WORDS and isinstance(member, str) else _hostile(member)
            for name, member in value.items()
        }
    return [_hostile(item) for item in value] if isinstance(value, list) else value


@check_service("ACT-04", "GEN-08", level=SHOULD)
def an_update_keeps_decimals_as_they_came(service: Service) -> Faults:
    """Give numbers back digit for digit: 1.10 says more than 1.1, and FHIR asks to keep the precision."""
    call = _updating_call(service)
    request = service.as_new(call.sent)
    for entry in request["context"]["draftOrders"]["entry"]:
        url = "https://example.org/contract-kit-decimal"
        entry["resource"]["extension"] = [{"url": url, "valueDecimal": f"@{decimal}@"} for decimal in _DECIMALS]
    body = json.dumps(service.dialect.shape(request))
    for decimal in _DECIMALS:
        body = body.replace(f'"@{decimal}@"', decimal)
    exchange = service.send_as_is(
        body.encode(), "a draft with decimals in an extension", headers=service.dialect.headers
    )
    returned_decimals = set(re.findall(r'"valueDecimal"\s*:\s*([^,}\s]+)', exchange.body.decode("utf-8", "replace")))
    observe(returned_decimals, "no update of the draft came back")
    for decimal in _DECIMALS:
        if decimal not in returned_decimals:
            yield exchange.fault(f"{decimal} came back as another number or not at all")


_PNG: Final = b"\x89PNG\r\n\x1a\n"
_SIDE: Final = 100
_WITH_ALPHA: Final = (4, 6)


@check_service("SRC-05", level=SHOULD)
def an_icon_is_a_png_of_100_by_100(service: Service) -> Faults:
    """Offer the icon as a PNG of 100 x 100 pixels without transparent regions."""
    base = service.connection.base
    sources = [card.at("source") for call in service.calls for card in call.exchange.response.objects("cards")]
    # Other hosts are nobody's to call here.
    icons = {source.text("icon"): source.at("icon").location for source in sources}
    own_icons = {icon: location for icon, location in icons.items() if icon.startswith(f"{base}/")}
    observe(own_icons, "no icon on this server's own address was seen")
    for icon, location in own_icons.items():
        exchange = service.connection.get(icon.removeprefix(base), "the icon of a source", authenticated=False)
        wrong = _wrong(exchange.body) if exchange.ok else exchange.answer
        if wrong:
            yield exchange.fault(wrong, location)


def _wrong(image: bytes) -> str:
    """Return what is wrong with this image, empty where nothing is; its size and color type stand in PNG's IHDR."""
    if not image.startswith(_PNG) or len(image) < 26:
        return "the icon is no PNG"
    width, height = int.from_bytes(image[16:20]), int.from_bytes(image[20:24])
    if (width, height) != (_SIDE, _SIDE):
        return f"the icon has {width} x {height} pixels"
    return "the icon has an alpha channel" if image[25] in _WITH_ALPHA or b"tRNS" in image else ""
