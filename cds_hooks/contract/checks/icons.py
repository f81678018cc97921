"""The icon of a source, fetched."""

from typing import Final
from urllib.parse import urlsplit

from cds_hooks.contract.finding import SHOULD, NotTested
from cds_hooks.contract.node import Node
from cds_hooks.contract.registry import Faults, tries
from cds_hooks.contract.service import Service

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_SIDE: Final = 100
_WITH_ALPHA: Final = (4, 6)


@tries("SRC-05", level=SHOULD)
def an_icon_is_a_png_of_100_by_100(service: Service) -> Faults:
    """Offer the icon as a PNG of 100 x 100 pixels without transparent regions."""
    icons = dict(_icons(service))
    if not icons:
        raise NotTested("no icon on this server's own address was seen")
    for url, place in icons.items():
        exchange = service.connection.get(url, "the icon of a source", authenticated=False)
        wrong = _wrong(exchange.body) if exchange.ok else exchange.answer
        if wrong:
            yield exchange.fault(wrong, place)


def _icons(service: Service) -> list[tuple[str, str]]:
    """Path and place of icons that lie on the server under test: other hosts are nobody's to call here."""
    found = []
    base = service.connection.base
    for call in service.calls:
        for card in Node({"cards": call.exchange.cards or []}).objects("cards"):
            icon = card.at("source").text("icon")
            if icon.startswith(f"{base}/") and urlsplit(icon).path:
                found.append((icon.removeprefix(base), card.at("source").at("icon").place))
    return found


def _wrong(image: bytes) -> str:
    """What is wrong with this image; empty where nothing is. Width, height and colour type stand in PNG's IHDR."""
    if not image.startswith(_PNG) or len(image) < 26:
        return "the icon is no PNG"
    width, height = int.from_bytes(image[16:20]), int.from_bytes(image[20:24])
    if (width, height) != (_SIDE, _SIDE):
        return f"the icon has {width} x {height} pixels"
    return "the icon has an alpha channel" if image[25] in _WITH_ALPHA or b"tRNS" in image else ""
