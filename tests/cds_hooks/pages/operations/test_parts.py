"""Every part of the page of operations as a whole, from counts that were made by hand."""

from datetime import date
from typing import Any

import pytest

from cards.rules.engine.governance import Budget
from cds_hooks.monitor.book import Verified
from cds_hooks.pages.operations.comparison import data_part, incidents_part, waiting_part
from cds_hooks.pages.operations.counts import Counts, Span, Total
from cds_hooks.pages.operations.figures import (
    Cell,
    Drawing,
    Part,
    Row,
    calls_part,
    cards_part,
    count_part,
    errors_part,
    number,
    percent,
    prefetch_part,
    reasons_part,
    silence_part,
    stages_part,
)
from cds_hooks.pages.operations.record_state import budgets_part, record_part, refused_part
from models_onnx.monitoring.figure import Figure, Incident
from models_onnx.monitoring.sketch import bucket_of

SPAN = Span(date(2026, 11, 20), 2)
DAYS = "since=2026-11-19&until=2026-11-20"


def _counts(total: Total, **more: Any) -> Counts:
    values: dict[str, Any] = {"by_day": {}, "by_client": {}, "by_service": {}} | more
    return Counts(SPAN, **values, total=total)


def _ticks(part: Part) -> list[str]:
    assert part.scale is not None
    return [tick.label for tick in part.scale.ticks]


def test_a_span_ends_with_its_last_day_and_knows_the_decisions_behind_it() -> None:
    assert SPAN.first == date(2026, 11, 19)
    assert SPAN.behind() == f"decisions?{DAYS}"
    of_both = Span(date(2026, 11, 20), 1, "a hospital", "s")
    assert of_both.behind() == "decisions?client=a+hospital&service=s&since=2026-11-20&until=2026-11-20"
    assert of_both.behind(service="t", reason="x", until="") == (
        "decisions?client=a+hospital&service=t&since=2026-11-20&reason=x"
    )


def test_totals_add_up() -> None:
    total = Total(1, 2, 3, 4, 5, 6, {"a": 1}, {"k": 1}, {"s": 1}, {"r": 1}, {7: 1}, {"decode": {7: 1}})
    more = Total(10, 20, 30, 40, 50, 60, {"a": 2, "b": 3}, {"k": 2}, {"s": 3}, {"r": 4}, {7: 5, 8: 6},
                 {"decode": {7: 2}, "decide": {9: 3}})  # fmt: skip
    total.add(more)
    assert total == Total(
        11, 22, 33, 44, 55, 66, {"a": 3, "b": 3}, {"k": 3}, {"s": 4}, {"r": 5}, {7: 6, 8: 6},
        {"decode": {7: 3}, "decide": {9: 3}},
    )  # fmt: skip


def test_numbers_of_a_total_are_added_alone() -> None:
    total = Total()
    total.add_numbers(Total(1, 2, 3, 4, 5, 6, {"a": 1}, {"k": 1}, {"s": 1}, {"r": 1}, {7: 1}, {"decode": {7: 1}}))
    total.add_numbers(Total(1, 1, 1, 1, 1, 1))
    assert total == Total(2, 3, 4, 5, 6, 7)


def test_the_calls_of_each_day() -> None:
    by_day = {date(2026, 11, 19): Total(10, 4, 6, 1), date(2026, 11, 20): Total(1000, 5, 1200, 2)}
    part = calls_part(_counts(Total(1010, 9, 1206, 3), by_day=by_day))
    assert (part.id, part.question) == ("calls", "How many calls come, and are they answered?")
    assert part.answer == "3 of 1,010 recorded calls failed."
    assert part.caption == "Calls of each day (UTC). A failed call got an error and never an empty list."
    assert part.columns == ("Day", "Calls", "With a card", "Cards", "Failed")
    assert part.rows == (
        Row("2026-11-19", (Cell("10", 10), Cell("4", 4), Cell("6", 6), Cell("1", 1)), Drawing((1.0,)),
            "decisions?since=2026-11-19&until=2026-11-19"),
        Row("2026-11-20", (Cell("1,000", 1000), Cell("5", 5), Cell("1,200", 1200), Cell("2", 2)), Drawing((100.0,)),
            "decisions?since=2026-11-20&until=2026-11-20"),
    )  # fmt: skip
    assert _ticks(part) == ["0", "500", "1,000"]
    assert (part.unfolded, part.key) == (100, ())


def test_days_without_a_call_have_no_rows() -> None:
    part = calls_part(_counts(Total(), by_day={date(2026, 11, 19): Total()}))
    assert (part.answer, part.rows, part.blank) == ("No call came.", (), "No call was recorded in these days.")
    assert calls_part(_counts(Total())).rows == ()


def test_the_stages_have_three_quantiles_and_the_whole_call_stands_last() -> None:
    whole = {bucket_of(10.0): 90, bucket_of(100.0): 9, bucket_of(1000.0): 1}
    part = stages_part(_counts(Total(milliseconds=whole, stages={"decode": {bucket_of(1.0): 5}, "odd": {}})))
    assert part.answer == "Half of the calls take up to 10 ms, 95 in 100 up to 100 ms."
    assert part.caption == (
        "Milliseconds of 100 calls, each step of the scale ten times the last; without the way to the EHR."
    )
    assert [row.name for row in part.rows] == ["Read and check the request", "odd", "Whole call"]
    decode, odd, whole_call = part.rows
    assert [cell.text for cell in decode.cells] == ["0.99"] * 3
    assert odd.cells == (Cell("0.00", 0.0),) * 3
    assert odd.drawing == Drawing(marks=(0.0,) * 3)
    assert [cell.text for cell in whole_call.cells] == ["10", "100", "100"]
    assert decode.drawing is not None
    assert decode.drawing.marks == pytest.approx([40, 40, 40], abs=0.1)  # 0.01 at 0, 1 at 2 of 5 powers of ten
    assert whole_call.drawing is not None
    assert whole_call.drawing.marks[0] == pytest.approx(60, abs=0.1)
    assert [(tick.label, tick.at) for tick in part.scale.ticks] == [  # type: ignore[union-attr]
        ("0.01", 0.0), ("0.1", 20.0), ("1", 40.0), ("10", 60.0), ("100", 80.0), ("1,000", 100.0),
    ]  # fmt: skip
    assert part.columns == ("Stage", "Half within", "95 in 100", "99 in 100")
    assert part.key == (("Dot: half of the calls are faster.", "mid"),
                        ("Box: up to 95 in 100. End mark: 99 in 100.", "pale"))  # fmt: skip


def test_a_quantile_in_the_csv_has_three_places() -> None:
    part = stages_part(_counts(Total(milliseconds={bucket_of(1.0): 1})))
    assert [cell.plain for cell in part.rows[0].cells] == [0.99] * 3


def test_nothing_measured_is_said() -> None:
    part = stages_part(_counts(Total()))
    assert (part.answer, part.rows) == ("Nothing was measured.", ())


def test_what_failed_by_class_and_the_largest_first() -> None:
    part = errors_part(_counts(Total(calls=5000, errors=1234, classes={"b": 4, "a": 4, "c": 1226})))
    assert part == Part(
        "errors",
        "What failed?",
        "1,234 calls.",
        "Calls that got an error, by class. Calls of unknown callers are not recorded; /metrics counts them.",
        ("Class", "Calls"),
        (
            Row("c", (Cell("1,226", 1226),), Drawing((81.73,)), f"decisions?{DAYS}&outcome=error&reason=c"),
            Row("a", (Cell("4", 4),), Drawing((0.27,)), f"decisions?{DAYS}&outcome=error&reason=a"),
            Row("b", (Cell("4", 4),), Drawing((0.27,)), f"decisions?{DAYS}&outcome=error&reason=b"),
        ),
        "No recorded call failed in these days.",
        part.scale,
    )
    assert _ticks(part) == ["0", "500", "1,000", "1,500"]
    assert errors_part(_counts(Total())).answer == "No recorded call."


def test_at_most_60_rows_are_shown() -> None:
    numbers = {f"{name:03}": 1 for name in range(61)}
    part = count_part("x", ("Q", "A"), "C", ("N", "M"), numbers, "none")
    assert [row.name for row in part.rows] == [f"{name:03}" for name in range(60)]
    assert part.rows[0].behind == ""
    assert (part.question, part.answer) == ("Q", "A")


def test_how_often_each_client_sends_each_key() -> None:
    keys = {
        "labs given": 15, "labs null": 2, "labs fetched": 3,  # 17 of 20
        "patient given": 18, "patient unobtainable": 2,  # 18 of 20
        "few given": 1, "few failed": 18,  # 19 are too few
        "gone fetched": 20,  # none of 20
    }  # fmt: skip
    part = prefetch_part(_counts(Total(), by_client={"a": Total(keys=keys), "b": Total(keys={"labs given": 40})}))
    assert part.rows == (
        Row("few", (Cell("a"), Cell("19", 19), Cell("not enough data (1 of 19)", "", "none"), Cell("0", 0),
                    Cell("0", 0)), None),
        Row("gone", (Cell("a"), Cell("20", 20), Cell("0 %", 0.0, "critical"), Cell("0", 0), Cell("20", 20)),
            Drawing((0.0,))),
        Row("labs", (Cell("a"), Cell("20", 20), Cell("85 %", 85.0, "warning"), Cell("2", 2), Cell("3", 3)),
            Drawing((85.0,))),
        Row("patient", (Cell("a"), Cell("20", 20), Cell("90 %", 90.0, ""), Cell("0", 0), Cell("0", 0)),
            Drawing((90.0,))),
        Row("labs", (Cell("b"), Cell("40", 40), Cell("100 %", 100.0, ""), Cell("0", 0), Cell("0", 0)),
            Drawing((100.0,))),
    )  # fmt: skip
    assert part.answer == "2 keys come less often than in 90 of 100 calls."
    assert part.columns == ("Key", "Client", "Asked", "Sent", "Of these null", "Read by us")
    assert [tick.label for tick in part.scale.ticks] == ["0", "25", "50", "75", "100 %"]  # type: ignore[union-attr]


def test_where_every_key_comes_or_none_was_wanted_it_is_said() -> None:
    whole = {"a": Total(keys={"labs given": 20})}
    assert prefetch_part(_counts(Total(), by_client=whole)).answer == "Every key comes in at least 90 of 100 calls."
    assert prefetch_part(_counts(Total())).answer == "Nothing was asked for."
    many = {f"c{number}": Total(keys={"labs given": 20}) for number in range(61)}
    assert len(prefetch_part(_counts(Total(), by_client=many)).rows) == 60


def test_what_became_of_the_cards_of_each_service() -> None:
    by_service = {
        "few": Total(cards=19, accepted=1, overridden=2),
        "many": Total(cards=40, accepted=10, overridden=20),
        "silent": Total(calls=5),
        "late": Total(cards=0, accepted=15, overridden=5),
        "one": Total(accepted=1),
        "other": Total(overridden=1),
    }
    part = cards_part(_counts(Total(cards=1059, accepted=1027, overridden=28), by_service=by_service))
    behind = "decisions?service={}&" + DAYS + "&outcome=cards"
    few = ("not enough data (1 of 19)", "not enough data (2 of 19)")
    assert part.rows == (
        Row("many", (Cell("40", 40), Cell("25 %", 25.0), Cell("50 %", 50.0), Cell("10", 10)), Drawing((25.0, 50.0)),
            behind.format("many")),
        Row("few", (Cell("19", 19), Cell(few[0], "", "none"), Cell(few[1], "", "none"), Cell("16", 16)), None,
            behind.format("few")),
        Row("late", (Cell("0", 0), Cell("75 %", 75.0), Cell("25 %", 25.0), Cell("0", 0)), Drawing((75.0, 25.0)),
            behind.format("late")),
        Row("one", (Cell("0", 0), Cell("not enough data (1 of 1)", "", "none"),
                    Cell("not enough data (0 of 1)", "", "none"), Cell("0", 0)), None, behind.format("one")),
        Row("other", (Cell("0", 0), Cell("not enough data (0 of 1)", "", "none"),
                      Cell("not enough data (1 of 1)", "", "none"), Cell("0", 0)), None, behind.format("other")),
    )  # fmt: skip
    assert part.answer == "1,059 cards; 1,055 answered, 1,027 of them accepted."
    assert part.columns == ("Service", "Shown", "Accepted", "Overridden", "No answer")
    assert part.key == (("accepted, filled", "acc"), ("overridden, outlined", "pale"))
    assert cards_part(_counts(Total())).answer == "No card was shown."


def test_why_cards_were_overridden() -> None:
    part = reasons_part(_counts(Total(overridden=2000, reasons={"declined": 500, "other": 1500})))
    assert part.answer == "2,000 were."
    assert part.rows == (
        Row("other", (Cell("1,500", 1500), Cell("75 %", 75.0)), Drawing((75.0,))),
        Row("declined", (Cell("500", 500), Cell("25 %", 25.0)), Drawing((25.0,))),
    )
    assert reasons_part(_counts(Total())).answer == "None was."


def test_why_there_was_silence_by_reason_alone() -> None:
    silences = {"rule-a budget": 1000, "rule-b budget": 200, "a b unreadable": 3, "scope": 4}
    part = silence_part(_counts(Total(silences=silences)))
    assert part.answer == "1,200 findings were held back by a budget."
    assert [(row.name, row.cells, row.behind) for row in part.rows] == [
        ("budget", (Cell("1,200", 1200),), f"decisions?{DAYS}&reason=budget"),
        ("scope", (Cell("4", 4),), f"decisions?{DAYS}&reason=scope"),
        ("unreadable", (Cell("3", 3),), f"decisions?{DAYS}&reason=unreadable"),
    ]
    assert silence_part(_counts(Total())).answer == "No finding was held back by a budget."


@pytest.mark.parametrize(
    ("part", "whole", "signs", "cell"),
    [
        (5, 19, True, Cell("not enough data (5 of 19)", "", "none")),
        (1500, 2000, False, Cell("75 %", 75.0, "")),
        (18, 20, True, Cell("90 %", 90.0, "")),
        (899, 1000, True, Cell("90 %", 89.9, "warning")),
        (15, 20, True, Cell("75 %", 75.0, "warning")),
        (749, 1000, True, Cell("75 %", 74.9, "critical")),
        (1, 30, False, Cell("3 %", 3.33, "")),
    ],
)
def test_a_share_in_percent(part: int, whole: int, signs: bool, cell: Cell) -> None:
    assert percent(part, whole, signs=signs) == cell


def test_a_cell_of_the_csv_is_its_number_or_its_text() -> None:
    assert number(1234).plain == 1234
    assert number(0).plain == 0
    assert Cell("x").plain == "x"
    assert Cell("not enough data", "").plain == ""


# Compared with the weeks before


def _figure(state: Any = "good", family: Any = "missing", **more: Any) -> Figure:
    values: dict[str, Any] = {
        "client": "a", "service": "s", "subject": "creatinine", "n": 1234, "minimum": 200, "value": 0.5, "before": 0.1,
        "text": "missing in 50 of 100",
    }  # fmt: skip
    return Figure(state=state, family=family, **(values | more))


def test_whether_the_data_are_as_they_were() -> None:
    figures = [
        _figure("act"), _figure("watch", "units"), _figure("insufficient", "age of values"),
        _figure("good", "input drift"), _figure("act", "latency"), _figure("good", "score drift"),
    ]  # fmt: skip
    part = data_part(figures, SPAN)
    assert (part.id, part.question, part.answer) == (
        "data", "Are the data as they were?", "2 of 4 figures differ.",
    )  # fmt: skip
    assert part.caption == "Inputs and scores against the 28 days before, those to look at first."
    assert part.columns == ("Input and figure", "Client", "Counted", "Needed", "What was found", "State")
    assert part.unfolded == 5
    assert part.rows[0] == Row(
        "creatinine, missing",
        (Cell("a"), Cell("1,234", 1234), Cell("200", 200), Cell("missing in 50 of 100"),
         Cell("act now", "act", "critical")),
        None,
        f"decisions?client=a&service=s&{DAYS}",
    )  # fmt: skip
    assert [row.cells[-1] for row in part.rows[1:]] == [
        Cell("watch", "watch", "warning"),
        Cell("not enough data", "insufficient", "none"),
        Cell("as before", "good", "good"),
        Cell("as before", "good", "good"),
    ]


def test_all_that_differ_are_seen_at_once() -> None:
    assert data_part([_figure("act")] * 6, SPAN).unfolded == 6
    assert data_part([_figure("act")] * 4, SPAN).unfolded == 5


def test_of_many_figures_sixty_are_shown() -> None:
    assert len(data_part([_figure()] * 60, SPAN).rows) == 60
    assert data_part([_figure()] * 60, SPAN).caption.endswith("those to look at first.")
    many = data_part([_figure()] * 1061, SPAN)
    assert len(many.rows) == 60
    assert many.caption.endswith("those to look at first. The first 60 of 1,061.")


def test_too_little_to_tell_is_said() -> None:
    assert data_part([_figure("insufficient")], SPAN).answer == "Not enough data to tell."
    assert data_part([], SPAN).answer == "Not enough data to tell."


def test_what_needs_a_person() -> None:
    incident = Incident("a", "missing", (_figure("act"), _figure("act", service="t")))
    other = Incident("b", "units", (_figure("act", "units", client="b"),))
    part = incidents_part([incident, other], [("a", "missing"), ("b", "missing")], SPAN)
    assert (part.id, part.question, part.answer) == ("incidents", "What needs a person?", "2 things.")
    act = Cell("act now", sign="critical")
    assert part.rows == (
        Row("a: missing in 50 of 100 (1 more figures of the same kind)", (Cell("missing"), Cell("yes"), act), None,
            f"decisions?client=a&service=s&{DAYS}"),
        Row("b: missing in 50 of 100", (Cell("units"), Cell("not yet"), act), None,
            f"decisions?client=b&service=s&{DAYS}"),
    )  # fmt: skip
    assert incidents_part([other], [], SPAN).answer == "One thing."
    assert incidents_part([], [], SPAN).answer == "Nothing."


def test_what_is_not_ready_says_so() -> None:
    assert waiting_part("data", "Q") == Part(
        "data", "Q", "Being worked out.", "", (), (), "Load this page again in a moment."
    )


# What is not counted by day


METRICS = b"""\
# TYPE cds_requests counter
cds_requests_total{status="200"} 9
cds_requests_total{status="400"} 1200.0
cds_requests_total{service="x",status="400"} 34
cds_requests_total{status="503"} 2
# TYPE cds_untrusted counter
cds_untrusted_total{reason="expired"} 7
# TYPE other counter
other_total{status="500"} 5
"""


def test_what_was_refused_since_the_start() -> None:
    part = refused_part(METRICS)
    assert part.answer == "1,236 calls since the start."
    assert [(row.name, row.cells) for row in part.rows] == [
        ("HTTP 400", (Cell("1,234", 1234),)),
        ("not trusted: expired", (Cell("7", 7),)),
        ("HTTP 503", (Cell("2", 2),)),
    ]
    assert (part.id, part.question, part.columns) == ("refused", "What was refused?", ("Answer or reason", "Calls"))
    assert refused_part(b"").answer == "Nothing since the start."


def test_the_budgets_and_what_they_held_back() -> None:
    counts = _counts(Total(silences={"a budget": 1000, "b budget": 1, "budget of c": 5}))
    budgets = [
        Budget("user", "Why", cards_per_day=20),
        Budget("unit", "Because", cards_per_call=1, names=frozenset({"icu", "er"})),
    ]
    part = budgets_part(counts, budgets)
    assert part.answer == "1,001 findings were held back in these days."
    assert part.rows == (
        Row("20 cards a day for each user", (Cell("everyone"), Cell("Why"))),
        Row("1 card a call for the unit er, icu", (Cell("er, icu"), Cell("Because"))),
    )
    assert budgets_part(counts, []).answer == "No budget is set."


AT = 1_795_165_200  # 2026-11-20 09:00 UTC


def test_a_record_that_is_whole() -> None:
    part = record_part(Verified(AT, 1234, ""), AT + 60.0, 5678)
    assert part == Part(
        "record",
        "Is the record whole?",
        "Verified 2026-11-20 09:00 UTC.",
        "The record has row numbers up to 5,678.",
        ("What", "When", "Decisions", "Result"),
        (
            Row("Chain of hashes, the last time it was verified here",
                (Cell("2026-11-20 09:00 UTC"), Cell("1,234", 1234),
                 Cell("as it was written", "as it was written", "good"))),
            Row("Sealed and sent off up to", (Cell("2026-11-20 09:01 UTC"), Cell(""), Cell("sealed", sign="good"))),
        ),
        "Nobody has verified the chain on this machine, and no key seals the record. Run “cds-hooks decisions verify”.",
    )  # fmt: skip


def test_a_record_that_is_broken_or_was_cut() -> None:
    broken = record_part(Verified(AT, 5, "row 3 was changed"), None, 5)
    assert broken.answer == "It is broken."
    assert broken.rows[0].cells[2] == Cell("row 3 was changed", "row 3 was changed", "critical")
    assert len(broken.rows) == 1
    cut = record_part(Verified(AT, 5, ""), None, 5, "rows 4 to 5 are gone")
    assert cut.answer == "It was cut or changed after it was sealed."
    gone = "rows 4 to 5 are gone"
    assert cut.rows[1] == Row("What was sealed", (Cell("now"), Cell(""), Cell(gone, gone, "critical")))


def test_a_record_that_nobody_looked_at() -> None:
    part = record_part(None, None, 0)
    assert (part.answer, part.rows) == ("Not verified on this machine.", ())
    sealed = record_part(None, 0.0, 0)
    assert [row.name for row in sealed.rows] == ["Sealed and sent off up to"]
