"""What every page has: its headers, what is known of this server, the templates, and the page of a refusal.

A server has this from its start, because it refuses requests from then on. The templates, and what they are given, are
loaded with the first page: the hooks must answer sooner after a start than anyone opens one.
"""

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct, field

from cds_hooks.people.web.visitor import visiting
from fhir.record.datatypes import without_hidden

if TYPE_CHECKING:
    from jinja2 import Environment

    from models_onnx.artifact.manifest import Manifest
    from models_onnx.monitoring.alerting import InForce

_FOLDER: Final = Path(__file__).parent
STATIC: Final = _FOLDER / "static"
"""The style sheets, scripts and the icon."""

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; "
        "base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
    ),
    # with no-referrer a browser sends `Origin: null` with its own form, which cannot be told from another site's
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}
"""Nothing but our own style sheet and icon is loaded, no script runs, and a page about a person is never kept."""


class Failure(Struct, frozen=True):
    """What a page says instead of an answer: what happened and what to do."""

    title: str
    what: str
    next: str


class PageRefusal(Exception):
    """The request is not answered with its page; the failure says why, and is shown in its place."""

    def __init__(self, failure: Failure, status: int = 404) -> None:
        super().__init__(failure.title)
        self.failure = failure
        self.status = status


class Site(Struct, frozen=True):
    """What every page of this server knows."""

    development: bool
    alert_share: float | None
    shares: Mapping[str, float] = field(default_factory=dict)
    """The share (0 to 1) for which a model's cards are shown here, by the model's id; of others it is not known."""
    clock: str = ""
    """The instant at which the clock was set to stand, in words; "" where it runs."""
    by_age: frozenset[str] = frozenset()
    """The models whose cards are shown for the highest of the people of the same age here."""

    def alerting(self, manifest: "Manifest") -> "InForce":
        """Return what the threshold costs and finds that is in force here for the model."""
        from models_onnx.monitoring.alerting import alerting_at

        share = self.shares.get(manifest.id) or self.alert_share or manifest.thresholds.capacity
        return alerting_at(manifest, share)


def static_file(name: str) -> bytes:
    """Return the bytes of a file of web/static."""
    return (STATIC / name).read_bytes()


def render(template: str, **values: Any) -> str:
    """Render a template of `web/templates` or of a page with these values; every text is escaped."""
    return templates().get_template(template).render(**values)


def add_templates(folder: Path) -> None:
    """Make the templates of a package from outside known by their names in this folder; those of ours come first."""
    loader = templates().loader
    if (path := str(folder)) not in loader.searchpath:  # type: ignore[union-attr]  # it reads from folders
        loader.searchpath.append(path)  # type: ignore[union-attr]


def _as_seen(value: Any) -> Any:
    """Return what a template shows: a text of a chart without invisible characters; our own markup is left as it is."""
    return without_hidden(value) if type(value) is str else value


@cache
def templates() -> "Environment":
    """Return what renders the templates; their library is loaded by the first call."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from cards.card import is_web_address
    from cards.compose.model import in_100
    from cds_hooks.people.web.charts import HAPPENED, PEOPLE, format_ms, round_scale
    from cds_hooks.people.web.markdown import keep_whole
    from cds_hooks.people.web.numbers import (
        LEAST_EVENTS,
        format_epoch,
        happened,
        otherwise,
        outcome_short,
        people_range,
        signed,
        simple_inputs,
        words_of,
    )
    from models_onnx.model_card.origin import provenance_of, provenance_rows

    environment = Environment(
        loader=FileSystemLoader([_FOLDER / "templates", _FOLDER.parent / "pages"]),
        autoescape=True,
        finalize=_as_seen,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["whole"] = keep_whole
    environment.globals |= {
        "look": hashlib.sha256(static_file("look.css")).hexdigest()[:12],  # another file has another address
        "visiting": visiting,
        "people_scale": PEOPLE,
        "happened_scale": HAPPENED,
        "round_scale": round_scale,
        "format_ms": format_ms,
        "indicator_words": {"info": "Info", "warning": "Warning", "critical": "Critical"},
        "in_100": in_100,
        "people_range": people_range,
        "signed": signed,
        "moment": format_epoch,
        "is_web_address": is_web_address,
        "words_of": words_of,
        "provenance": provenance_rows,
        "recalibrated_on": lambda manifest: provenance_of(manifest).recalibrated_on,
        "simple_inputs": simple_inputs,
        "least_events": LEAST_EVENTS,
        "outcome_short": outcome_short,
        "happened": happened,
        "otherwise": otherwise,
    }
    return environment
