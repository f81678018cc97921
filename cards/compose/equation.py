"""Composes the card of a published equation, and the card of a guideline's indication that needs no score.

The card of an equation holds the result, the dated facts behind it and the suggested orders; that of an indication the
facts that make it, and the guideline.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from cards.card import Card, CardIdentity, CardText, Source, talk_card
from cards.compose.model import WHY, factor_lines, finding_of_estimate, in_100
from cards.extension import CardExtension, Factor
from cards.finding import Finding
from cards.text import escape, plain, with_unit_signs
from fhir.mapping.features.feature import FeatureValue, charted_number
from models_onnx.equations.arithmetic import Contribution
from models_onnx.equations.calculate import EquationResult, RecordInputs
from models_onnx.equations.declaration import Equation, equation_reference

_NOT_CAUSES = "These are associations, not causes."
_FEW_WORDS = 12
_FALLING_IS_WORSE = frozenset({"egfr"})


def equation_card(
    charted: RecordInputs, result: EquationResult, text: CardText, identity: CardIdentity, *, is_brief: bool = False
) -> Card:
    """Return the card of one result, in the layout of responsible-ai.md 4.3.

    `is_brief`: without its reasons and what counts as no, which the extension keeps; the points of a score are in one
    line. `base` and the contributions in its extension add up to the link of the value; nothing is rounded there.
    """
    reasons = _reasons(charted, result)
    if is_brief:
        points = [line.removeprefix("- ") for line in reasons if result.output.kind == "integer"]
        why = f"{WHY} {'; '.join(points)}." if points else ""
    else:
        reasons += _counted_as_no(charted, result)
        why = "\n".join([WHY, *reasons]) if reasons else ""
    detail = "\n\n".join(
        filter(None, (text.opening, *text.beside, why, _closing(result, text, identity, is_explained=bool(why))))
    )
    finding = finding_of_estimate(
        result.equation.id,
        result.output.id,
        identity,
        measure=result.number,
        band=result.band.id if result.band is not None and result.table is not None else "",
    )
    extension = replace(extension_of(charted, result, text.other_results), finding=finding)
    return talk_card(text, detail, _source(result.equation, text), extension, identity)


def for_each_sex(lower: CardText, higher: CardText, results: str) -> CardText:
    """Return the text of the lower result, with those of both sexes in its summary and its opening."""
    figure = f"{lower.figure} to {higher.figure}" if lower.figure != higher.figure else lower.figure
    has_figure = lower.figure and lower.figure in lower.summary
    summary = lower.summary.replace(lower.figure, figure, 1) if has_figure else f"{results}: {lower.summary}"
    opening = f"**The sex is not recorded: {results}.** What follows is the lower of the two. {lower.opening}"
    return replace(lower, summary=plain(summary, 139), opening=opening)


def missing_card(equation: Equation, text: CardText, identity: CardIdentity, lacking: Sequence[str]) -> Card:
    """Return the card that says what is missing for a result and offers the one test that would give it."""
    finding = Finding(f"missing {','.join(lacking)}", equation.id, "one-test")
    extension = CardExtension(finding=finding, model=equation_reference(equation), missing=tuple(lacking))
    detail = f"{text.opening}\n\n{_method_link(identity)}"
    return talk_card(text, detail, _source(equation, text), extension, identity)


def extension_of(
    charted: RecordInputs, result: EquationResult, beside: tuple[CardExtension, ...] = ()
) -> CardExtension:
    """Return what the card says beyond the protocol: model, value, link, base, contributions with their evidence.

    `beside` are the results of other equations that the card names.
    """
    working, evidence, absent = result.working, charted.evidence, _absent(charted)
    # What is of the site and not of the patient belongs to the base.
    of_site = [part for part in working.contributions if part.input not in evidence and part.input not in absent]
    band = None
    if result.band is not None and result.table is not None:
        band = {"id": result.band.id, "source": result.table.source}
    return CardExtension(
        model=equation_reference(result.equation),
        output=result.output.id,
        probability=result.number if result.output.kind == "probability" else None,
        value=result.value if result.output.kind != "probability" else None,
        link=working.link,
        base=working.base + sum(part.contribution for part in of_site),
        contributions=tuple([_contribution(charted, part) for part in _known_parts(charted, result)]),
        reference=result.equation.reference,
        band=band,
        not_found=tuple([item.name for item in charted.not_found]),
        beside=beside,
    )


def charted_value(charted: RecordInputs, name: str) -> str:
    """One input as a reader of the chart knows it: its words, the value with its unit, and the date."""
    item, value = charted.equation.input(name), charted.evidence.get(name)
    if value is None:
        return f"{item.words} **{escape(str(charted.given[name]))}**"
    if item.kind == "yes-no":
        return f"**{item.words}**{_from(value)}"
    charted_words = f"{value.charted_value:g}" if value.feature.is_count else value.feature.show(value)
    dated = f" ({value.effective[:10]})" if value.feature.measured is not None else ""
    return f"{item.words} **{escape(with_unit_signs(charted_words), 60)}**{dated}"


def _source(equation: Equation, text: CardText) -> Source:
    url = f"https://doi.org/{equation.doi}" if equation.doi else None
    return Source(label=f"{equation.title}, {equation.version}", url=url, topic=text.topic)


def _method_link(identity: CardIdentity) -> str:
    return f"[How this works and for whom it is]({identity.method_url})"


def _reasons(charted: RecordInputs, result: EquationResult) -> list[str]:
    parts = [part for part in _known_parts(charted, result) if part.contribution]
    if result.output.kind == "integer":
        ranked = sorted(parts, key=lambda part: -part.contribution)
        return [f"- {_points(part.contribution)}: {charted_value(charted, part.input)}" for part in ranked]
    return factor_lines(
        [part.contribution for part in parts], lambda position: charted_value(charted, parts[position].input)
    )


def _points(points: float) -> str:
    return f"{points:g} point{'' if points == 1 else 's'}"


def _known_parts(charted: RecordInputs, result: EquationResult) -> list[Contribution]:
    """Return the parts of what is on record: not the site's, nor what was not found, which has its own line."""
    evidence, absent = charted.evidence, _absent(charted)
    return [part for part in result.working.contributions if part.input in evidence and part.input not in absent]


def _absent(charted: RecordInputs) -> set[str]:
    return {item.name for item in charted.not_found}


def _contribution(charted: RecordInputs, part: Contribution) -> Factor:
    value = charted.evidence[part.input]
    return Factor(
        feature=part.input,
        value=float(part.value) if isinstance(part.value, bool) else part.value,
        unit=charted.equation.input(part.input).unit,
        effective=value.effective,
        source=value.source,
        contribution=part.contribution,
    )


def _from(value: FeatureValue) -> str:
    words = escape(value.charted_unit, 60)
    if value.is_measured and value.value:
        charted = f"{charted_number(value.charted_value)} {value.charted_unit}".strip()
        words = escape(with_unit_signs(charted), 40)
    return f" ({words}, {value.effective[:10]})" if words else f" ({value.effective[:10]})"


def _counted_as_no(charted: RecordInputs, result: EquationResult) -> list[str]:
    """Return what counts as no and why: the chart denies it, it is not in the chart, or no chart says it.

    What the chart denies is named of a score alone, whose points it would add to.
    """
    is_score = result.output.kind == "integer"
    words: dict[str, list[str]] = {}
    for item in charted.equation.inputs:
        if item in charted.not_found:
            reason = "Not found in the chart" if item.name in charted.evidence else "Not looked for in the chart"
        elif is_score and charted.given.get(item.name) is False:
            reason = "The chart says no"
        else:
            continue
        words.setdefault(reason, []).append(item.words_in_sentence)
    reasons = "".join(f" {reason}: {', '.join(names)}." for reason, names in words.items())
    return [f"- Counted as no.{reasons}"] if words else []


def _closing(result: EquationResult, text: CardText, identity: CardIdentity, *, is_explained: bool) -> str:
    """Return how the card ends; with whom the lines of its reasons compare is said where there are such lines."""
    if result.output.kind == "integer" or not is_explained:
        return f"{text.closing} {_method_link(identity)}".strip()
    compared = f"Compared with {_reference_person(result.equation)}. "
    return f"{compared}{text.closing} {_NOT_CAUSES} {_method_link(identity)}"


def _reference_person(equation: Equation) -> str:
    """Return whom the lines compare with; of more than a few words the values stand on the page of the method."""
    person, _, values = equation.reference.partition(" with ")
    return equation.reference if len(values.split()) <= _FEW_WORDS else f"{person} (values on the page of the method)"


def people_in_100(result: EquationResult) -> float:
    """Give a probability as people in 100: never 0 or 100, whole unless that would be in a band it does not reach.

    9.9 in 100 stays 9.9 where a band begins at 10; nearer to the limit it has as many decimals as keep it under it.
    """
    people = in_100(result.number)
    bands = () if result.table is None else result.table.bands
    crossed = any(
        band.low is not None and not band.is_reached(result.number) and people >= 100 * band.low for band in bands
    )
    if not crossed:
        return people
    places = next(places for places in range(1, 12) if round(100 * result.number, places) < people)
    return round(100 * result.number, places)


def guideline_card(text: CardText, identity: CardIdentity) -> Card:
    """Return the card of an indication by a guideline, with the facts that its sentences name in its extension."""
    assert text.guideline is not None  # noqa: S101 - a card without a score names its guideline
    measure = text.facts[0].value
    finding = Finding(
        text.about,
        text.about,
        measure=float(measure) if isinstance(measure, float | int) else None,
        is_falling=text.facts[0].name in _FALLING_IS_WORSE,
    )
    extension = CardExtension(finding=finding, output=text.about, facts=text.facts)
    source = replace(text.guideline, topic=text.topic)
    return talk_card(text, f"{text.opening}\n\n{text.closing}".strip(), source, extension, identity)
