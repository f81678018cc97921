"""Rules for links."""

import re
from typing import Final
from urllib.parse import parse_qs, urlsplit

from cds_hooks.contract.finding import SHOULD
from cds_hooks.contract.members import absolute_url, one_of, optional, required
from cds_hooks.contract.node import Node
from cds_hooks.contract.registry import Faults, judges
from cds_hooks.contract.subjects import Subject

_LAUNCH: Final = re.compile(r"launch|iss")


@judges(Subject.LINK, "LINK-01")
def a_link_has_a_label(link: Node) -> Faults:
    """Give each link a label."""
    yield from required(link, "label")


@judges(Subject.LINK, "LINK-02")
def the_url_of_a_link_is_absolute(link: Node) -> Faults:
    """Give a whole http or https URL: it is opened in a browser."""
    yield from required(link, "url")
    if isinstance(link.at("url").value, str):
        yield from absolute_url(link, "url")


@judges(Subject.LINK, "LINK-03")
def the_type_of_a_link_is_one_of_two(link: Node) -> Faults:
    """Say absolute for a page and smart for an app that is launched."""
    yield from required(link, "type")
    if isinstance(link.at("type").value, str):
        yield from one_of(link, "type", ("absolute", "smart"))


@judges(Subject.LINK, "LINK-04", level=SHOULD)
def launch_parameters_are_left_to_the_client(link: Node) -> Faults:
    """Leave launch and iss out of a smart link: the client adds them."""
    try:
        parameters = parse_qs(urlsplit(link.text("url")).query)
    except ValueError:
        return
    for name in parameters:
        if link.text("type") == "smart" and _LAUNCH.fullmatch(name):
            yield link.at("url").fault(f"the URL carries {name}")


@judges(Subject.LINK, "LINK-05")
def app_context_is_a_string(link: Node) -> Faults:
    """Send appContext as a string, escaped where it is JSON."""
    yield from optional(link, "appContext")


@judges(Subject.LINK, "LINK-06")
def app_context_is_for_smart_links(link: Node) -> Faults:
    """Send appContext with smart links only."""
    if link.has("appContext") and link.text("type") == "absolute":
        yield link.at("appContext").fault("appContext on an absolute link")


@judges(Subject.LINK, "LINK-08")
def autolaunchable_is_a_boolean(link: Node) -> Faults:
    """Send autolaunchable as true or false."""
    yield from optional(link, "autolaunchable", "boolean")
