"""What a committee can check: no warning rests on a page that is no source, and none on the label of a third drug."""

from maintenance.sources import HEAD, source_lines


def test_no_warning_rests_on_a_lead_or_on_the_label_of_a_third_drug() -> None:
    lines = [dict(zip(HEAD, line, strict=True)) for line in source_lines()]
    assert len(lines) > 10_000
    assert not [line for line in lines if line["class"] in {"D", "E"} or line["label"] == "other"]
