"""Checks of cards: their members, source, icon, override reasons and links."""

import re
from collections import Counter
from typing import Final
from urllib.parse import parse_qs, urlsplit

from cds_hooks.kit.contract.assertions import UUID, absolute_url, array_of_objects, one_of, optional, required
from cds_hooks.kit.contract.definitions import NON_ADHERENCE, NON_ADHERENCE_CODES
from cds_hooks.kit.contract.document import ABSENT, MUST, SHOULD, Node, NotTested, Subject, quoted
from cds_hooks.kit.contract.registry import Faults, check_part, check_service
from cds_hooks.kit.contract.target import Service

INDICATORS: Final = ("info", "warning", "critical")
_CODING: Final = frozenset({"code", "system", "display", "extension"})
_HTML: Final = re.compile(r"</?[a-zA-Z][^<>\n]*>")
_SCRIPT: Final = re.compile(r"\]\( ?(?:javascript|vbscript|data):", re.IGNORECASE)
# GFM escapes with a backslash, shows code as it is, and takes <https://…> for a link.
_NOT_HTML: Final = re.compile(r"```.*?```|`[^`\n]*`|\\<|<(?:https?://|mailto:)[^<>\s]*>", re.DOTALL)


@check_part(Subject.RESPONSE, "RESP-01")
def a_response_holds_an_array_of_cards(response: Node) -> Faults:
    """Answer an object with an array named cards, also when there is nothing to say or only a system action."""
    if not isinstance(response.value, dict):
        yield response.fault("the response is not an object")
    else:
        yield from required(response, "cards", "array")
        yield from array_of_objects(response, "cards")


@check_part(Subject.CARD, "CARD-01")
def a_uuid_is_a_string(card: Node) -> Faults:
    """Send uuid as a string."""
    yield from optional(card, "uuid")


@check_part(Subject.RESPONSE, "CARD-01")
def a_uuid_names_one_card(response: Node) -> Faults:
    """Give each card a uuid of its own: feedback is joined to it."""
    uuids = Counter(card.text("uuid") for card in response.objects("cards"))
    for uuid, times in uuids.items():
        if uuid and times > 1:
            yield response.at("cards").fault(f"{times} cards have the uuid {uuid}")


@check_part(Subject.CARD, "CARD-01", level=SHOULD)
def a_uuid_has_the_form_of_one(card: Node) -> Faults:
    """Send a lower-case UUID: version 3.0 types it so."""
    text = card.text("uuid")
    if text and not UUID.fullmatch(text):
        yield card.at("uuid").fault(f"uuid is {quoted(text)}")


@check_part(Subject.CARD, "CARD-03")
def summary_has_fewer_than_140_characters(card: Node) -> Faults:
    """Say it in one sentence of at most 139 characters and move the rest into detail."""
    yield from required(card, "summary")
    if len(card.text("summary")) >= 140:
        yield card.at("summary").fault(f"summary has {len(card.text('summary'))} characters")


@check_part(Subject.CARD, "CARD-04", "CARD-05")
def detail_is_a_string(card: Node) -> Faults:
    """Send detail as a string of GitHub Flavored Markdown."""
    yield from optional(card, "detail")


@check_part(Subject.CARD, "CARD-06", level=SHOULD)
def detail_has_no_html(card: Node) -> Faults:
    """Write Markdown without HTML, and escape < in text that is not yours: not every client renders or cleans it."""
    match = _HTML.search(_NOT_HTML.sub("", card.text("detail")))
    if match:
        yield card.at("detail").fault(f"detail holds {quoted(match[0])}")


@check_part(Subject.CARD, "CARD-06", level=SHOULD)
def a_summary_is_a_line_of_text(card: Node) -> Faults:
    """Write the summary as one line without markup: clients show it as it is."""
    summary = card.text("summary")
    if "\n" in summary or _HTML.search(summary):
        yield card.at("summary").fault(f"summary is {quoted(summary)}")


@check_part(Subject.CARD, "CARD-06", level=SHOULD)
def links_in_detail_open_pages(card: Node) -> Faults:
    """Let links in detail be http or https: a client that renders Markdown may run a script that stands in one."""
    match = _SCRIPT.search(card.text("detail"))
    if match:
        yield card.at("detail").fault(f"detail holds {quoted(match[0])}")


@check_part(Subject.CARD, "CARD-16", level=SHOULD)
def a_reason_stands_once(card: Node) -> Faults:
    """Offer each override reason once: feedback could not tell two with one code apart."""
    reasons = Counter((reason.text("system"), reason.text("code")) for reason in card.objects("overrideReasons"))
    for (_, code), times in reasons.items():
        if code and times > 1:
            yield card.at("overrideReasons").fault(f"{quoted(code)} stands there {times} times")


@check_part(Subject.CARD, "CARD-08")
def indicator_is_one_of_three(card: Node) -> Faults:
    """Use info, warning or critical; success and hard-stop were dropped before 1.0."""
    yield from required(card, "indicator")
    if isinstance(card.at("indicator").value, str):
        yield from one_of(card, "indicator", INDICATORS)


@check_part(Subject.CARD, "CARD-10")
def a_card_has_a_source(card: Node) -> Faults:
    """Name the source of the advice in an object."""
    yield from required(card, "source", "object")


@check_part(Subject.SOURCE, "SRC-01")
def a_source_has_a_label(source: Node) -> Faults:
    """Give the source a short label."""
    yield from required(source, "label")


@check_part(Subject.SOURCE, "SRC-02")
def the_url_of_a_source_is_absolute(source: Node) -> Faults:
    """Give a whole http or https URL: it is opened in a browser."""
    yield from absolute_url(source, "url")


@check_part(Subject.SOURCE, "SRC-04")
def the_icon_of_a_source_is_absolute(source: Node) -> Faults:
    """Give a whole http or https URL for the icon."""
    yield from absolute_url(source, "icon")


@check_part(Subject.SOURCE, "SRC-07")
def the_topic_of_a_source_is_a_coding(source: Node) -> Faults:
    """Send topic as an object with code and system."""
    yield from optional(source, "topic", "object")


@check_part(Subject.CODING, "COD-01")
def a_coding_has_a_code(coding: Node) -> Faults:
    """Give the Coding a code."""
    yield from required(coding, "code")


@check_part(Subject.CODING, "COD-02")
def a_coding_has_a_system(coding: Node) -> Faults:
    """Give the Coding a system: a code means nothing without."""
    yield from required(coding, "system")


@check_part(Subject.CODING, "COD-03")
def display_of_a_coding_is_a_string(coding: Node) -> Faults:
    """Send display as a string."""
    yield from optional(coding, "display")


@check_part(Subject.CODING, "COD-04", level=SHOULD)
def a_coding_has_three_members(coding: Node) -> Faults:
    """Send code, system and display only: this Coding is not that of FHIR."""
    for name in sorted(set(coding.value) - _CODING):
        yield coding.at(name).fault(f"{name} is not defined for a Coding")


@check_part(Subject.CARD, "CARD-16")
def override_reasons_are_an_array_of_objects(card: Node) -> Faults:
    """Send overrideReasons as an array of Codings, not as the object of feedback."""
    yield from array_of_objects(card, "overrideReasons")


@check_part(Subject.OVERRIDE_REASON, "CARD-17", "COD-03", level=MUST)
def an_override_reason_has_a_display(reason: Node) -> Faults:
    """Give each override reason a display: it is what the user picks."""
    yield from required(reason, "display")


@check_part(Subject.OVERRIDE_REASON, "CARD-21", level=SHOULD)
def a_non_adherence_code_exists(reason: Node) -> Faults:
    """Take the code from the non-adherence code system, or name a system of your own."""
    if reason.text("system") == NON_ADHERENCE and reason.text("code") not in NON_ADHERENCE_CODES:
        yield reason.at("code").fault(f"{reason.text('code')} is not in that code system")


@check_part(Subject.CARD, "CARD-12")
def suggestions_are_an_array_of_objects(card: Node) -> Faults:
    """Send suggestions as an array of objects."""
    yield from array_of_objects(card, "suggestions")


@check_part(Subject.CARD, "CARD-13")
def suggestions_come_with_selection_behavior(card: Node) -> Faults:
    """Send selectionBehavior whenever there are suggestions."""
    if any(card.at("suggestions").items()) and card.at("selectionBehavior").value in (ABSENT, None):
        yield card.fault("suggestions without selectionBehavior")


@check_part(Subject.CARD, "CARD-14")
def selection_behavior_is_one_of_two(card: Node) -> Faults:
    """Use at-most-one or any: a client that does not know the value takes the card for an error."""
    yield from one_of(card, "selectionBehavior", ("at-most-one", "any"))


@check_part(Subject.CARD, "CARD-19")
def links_are_an_array_of_objects(card: Node) -> Faults:
    """Send links as an array of objects."""
    yield from array_of_objects(card, "links")


_LAUNCH: Final = re.compile(r"launch|iss")


@check_part(Subject.LINK, "LINK-01")
def a_link_has_a_label(link: Node) -> Faults:
    """Give each link a label."""
    yield from required(link, "label")


@check_part(Subject.LINK, "LINK-02")
def the_url_of_a_link_is_absolute(link: Node) -> Faults:
    """Give a whole http or https URL: it is opened in a browser."""
    yield from required(link, "url")
    if isinstance(link.at("url").value, str):
        yield from absolute_url(link, "url")


@check_part(Subject.LINK, "LINK-03")
def the_type_of_a_link_is_one_of_two(link: Node) -> Faults:
    """Say absolute for a page and smart for an app that is launched."""
    yield from required(link, "type")
    if isinstance(link.at("type").value, str):
        yield from one_of(link, "type", ("absolute", "smart"))


@check_part(Subject.LINK, "LINK-04", level=SHOULD)
def launch_parameters_are_left_to_the_client(link: Node) -> Faults:
    """Leave launch and iss out of a smart link: the client adds them."""
    try:
        parameters = parse_qs(urlsplit(link.text("url")).query)
    except ValueError:
        return
    for name in parameters:
        if link.text("type") == "smart" and _LAUNCH.fullmatch(name):
            yield link.at("url").fault(f"the URL carries {name}")


@check_part(Subject.LINK, "LINK-05")
def app_context_is_a_string(link: Node) -> Faults:
    """Send appContext as a string, escaped where it is JSON."""
    yield from optional(link, "appContext")


@check_part(Subject.LINK, "LINK-06")
def app_context_is_for_smart_links(link: Node) -> Faults:
    """Send appContext with smart links only."""
    if link.has("appContext") and link.text("type") == "absolute":
        yield link.at("appContext").fault("appContext on an absolute link")


@check_part(Subject.LINK, "LINK-08")
def autolaunchable_is_a_boolean(link: Node) -> Faults:
    """Send autolaunchable as true or false."""
    yield from optional(link, "autolaunchable", "boolean")


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
    """Return what is wrong with this image, empty where nothing is; its size and colour type stand in PNG's IHDR."""
    if not image.startswith(_PNG) or len(image) < 26:
        return "the icon is no PNG"
    width, height = int.from_bytes(image[16:20]), int.from_bytes(image[20:24])
    if (width, height) != (_SIDE, _SIDE):
        return f"the icon has {width} x {height} pixels"
    return "the icon has an alpha channel" if image[25] in _WITH_ALPHA or b"tRNS" in image else ""
