"""Checks of a card's detail and of the icon of its source; those of its members are in `members.csv`."""

import re
from typing import Final

from cds_hooks.tools.kit.contract.document import SHOULD, Node, NotTested, Subject, quoted
from cds_hooks.tools.kit.contract.registry import Faults, check_part, check_service
from cds_hooks.tools.kit.contract.target import Service

_HTML: Final = re.compile(r"</?[a-zA-Z][^<>\n]*>")
# GFM escapes with a backslash, shows code as it is, and takes <https://…> for a link.
_NOT_HTML: Final = re.compile(r"```.*?```|`[^`\n]*`|\\<|<(?:https?://|mailto:)[^<>\s]*>", re.DOTALL)


@check_part(Subject.CARD, "CARD-06", level=SHOULD)
def detail_has_no_html(card: Node) -> Faults:
    """Write Markdown without HTML, and escape < in text that is not yours: not every client renders or cleans it."""
    match = _HTML.search(_NOT_HTML.sub("", card.text("detail")))
    if match:
        yield card.at("detail").fault(f"detail holds {quoted(match[0])}")


_PNG: Final = b"\x89PNG\r\n\x1a\n"
_SIDE: Final = 100
_WITH_ALPHA: Final = (4, 6)


@check_service("SRC-05", level=SHOULD)
def an_icon_is_a_png_of_100_by_100(service: Service) -> Faults:
    """Offer the icon as a PNG of 100 x 100 pixels without transparent regions."""
    icons = dict(_icons(service))
    if not icons:
        raise NotTested("no icon on this server's own address was seen")
    for url, location in icons.items():
        exchange = service.connection.get(url, "the icon of a source", authenticated=False)
        wrong = _wrong(exchange.body) if exchange.ok else exchange.answer
        if wrong:
            yield exchange.fault(wrong, location)


def _icons(service: Service) -> list[tuple[str, str]]:
    """Path and place of icons that lie on the server under test: other hosts are nobody's to call here."""
    icons = []
    base = service.connection.base
    for call in service.calls:
        for card in call.exchange.response.objects("cards"):
            icon = card.at("source").text("icon")
            if icon.startswith(f"{base}/"):
                icons.append((icon.removeprefix(base), card.at("source").at("icon").location))
    return icons


def _wrong(image: bytes) -> str:
    """Return what is wrong with this image, empty where nothing is; its size and color type stand in PNG's IHDR."""
    if not image.startswith(_PNG) or len(image) < 26:
        return "the icon is no PNG"
    width, height = int.from_bytes(image[16:20]), int.from_bytes(image[20:24])
    if (width, height) != (_SIDE, _SIDE):
        return f"the icon has {width} x {height} pixels"
    return "the icon has an alpha channel" if image[25] in _WITH_ALPHA or b"tRNS" in image else ""
