"""The style sheet: contrast of its tokens, nothing loaded, and no class in a page that it does not know."""

import re
from importlib.resources import files
from itertools import product
from pathlib import Path

import pytest

from cds_hooks.web.site import HEADERS, static_file

CSS = static_file("look.css").decode()
_TOKEN = re.compile(r"--([a-z-]+): (#[0-9a-f]{6});")

TEXT = ("ink", "soft", "link", "info", "warning", "critical", "good", "raise", "lower")
SHAPES = ("edge", "raise", "lower", "ink", "link", "critical", "warning")
GROUNDS = ("paper", "sunk")


def _themes() -> dict[str, dict[str, str]]:
    light, _, rest = CSS.partition("prefers-color-scheme: dark")
    day = dict(_TOKEN.findall(light))
    return {"light": day, "dark": day | dict(_TOKEN.findall(rest.partition("/* Frame */")[0]))}


def _luminance(colour: str) -> float:
    """Relative luminance of WCAG 2.2."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_has_a_contrast_of_5_and_shapes_of_3_point_2_on_every_ground(theme: str) -> None:
    tokens = _themes()[theme]
    pairs = [(text, ground, 5.0) for text, ground in product(TEXT, GROUNDS)]
    pairs += [(shape, ground, 3.2) for shape, ground in product(SHAPES, GROUNDS)]
    pairs += [("warning", "warning-tint", 5.0), ("critical", "critical-tint", 5.0), ("on-link", "link", 5.0)]
    pairs += [("ink", "warning-tint", 5.0), ("ink", "critical-tint", 5.0)]
    weak = [
        (a, b, round(_contrast(tokens[a], tokens[b]), 2))
        for a, b, least in pairs
        if _contrast(tokens[a], tokens[b]) < least
    ]
    assert weak == []


def test_the_style_sheet_loads_nothing_and_moves_nothing() -> None:
    assert not re.search(r"url\(|@import|@font-face|https?:|expression\(", CSS)
    assert not re.search(r"\b(animation|transition)\s*:", CSS)


def test_every_class_of_a_template_is_known_to_the_style_sheet() -> None:
    used: set[str] = set()
    for template in Path(str(files("cds_hooks"))).rglob("*.html"):
        for value in re.findall(r'class="([^"]*)"', template.read_text(encoding="utf-8")):
            used |= set(re.sub(r"\{[{%].*?[%}]\}", " ", value).split())
    sheets = CSS + "".join(static_file(name).decode() for name in ("documentation.css", "monitor_report.css"))
    known = set(re.findall(r"\.([a-z][a-z-]*)", sheets))
    # of a class whose end is filled in, as ops-{{ one.id }}, the beginning is left
    begun = {one for one in used - known if one.endswith("-") and any(each.startswith(one) for each in known)}
    assert sorted(used - known - begun) == []


def test_the_policy_lets_nothing_run_and_nothing_load_from_elsewhere() -> None:
    policy = dict(part.strip().split(" ", 1) for part in HEADERS["content-security-policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        "style-src": "'self'",
        "img-src": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
        "form-action": "'self'",
    }


def test_the_icon_is_a_drawing_without_script() -> None:
    icon = static_file("icon.svg").decode()
    assert not re.search(r"<script|\son\w+=|href=|style=", icon)
