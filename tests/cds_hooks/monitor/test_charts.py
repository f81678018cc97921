"""The plots of a report: what lies outside its limits, and the same numbers in the table."""

from cds_hooks.monitor.page import label_charts_of
from models_onnx.model_card.plots import TOP
from models_onnx.monitoring.label_judging import LabelWindow
from models_onnx.monitoring.labelled import LabelCounts


def test_what_was_estimated_is_drawn_against_what_happened_and_each_group_against_one() -> None:
    counts = LabelCounts()
    for key, yes, no in (("m@1 all", 60, 40), ("m@1 men", 40, 0), ("m@1 women", 0, 20), ("n@1 all", 0, 5)):
        counts.count(key, 0.5, "yes", with_card=True, times=yes)
        counts.count(key, 0.5, "no", with_card=False, times=no)
    estimates, groups = label_charts_of(LabelWindow("a hospital", "planning", "of 90 days", counts, LabelCounts()))
    # Wilson's interval of 60 of 100: 0.5020 to 0.6906, which is the top of the scale
    assert estimates.rows == (("50.0 in 100", "60.0 in 100", "50.2 to 69.1", "100"),)
    assert [(dot.kind, dot.top) for dot in estimates.dots] == [("outside", TOP)]
    # 60 for 50 expected: 1.2, times and over e to the power of 1.96 · √(0.4 / 60) = 0.16
    assert groups.rows == (("all", "1.20", "1.02 to 1.41"), ("men", "2.00", "2.00 to 2.00"), ("women", "no event", ""))
    assert [(dot.kind, tick.label) for dot, tick in zip(groups.dots, groups.x_ticks, strict=True)] == [
        ("", "all"),
        ("outside", "men"),
    ]
