"""What a form of /try holds between two presses."""

import msgspec
import pytest

from cds_hooks.pages.tester.exchange import Exchanged, Sent
from cds_hooks.pages.tester.feedback import Change
from cds_hooks.pages.tester.orders import Dosing
from cds_hooks.pages.tester.state import Bench, Carried, Problem, UnusableForm, bench_of, object_in


def test_a_form_that_was_just_opened_has_a_patient_a_call_and_nothing_else() -> None:
    bench = bench_of({})
    assert bench == Bench()
    assert (bench.patient, bench.call) == ("sample:ckd4-metformin", "order-select/order-safety-select")
    assert (bench.hook, bench.chosen) == ("order-select", "order-safety-select")
    assert bench.dosing == Dosing("", "tablet", "1d", as_needed=False, days="")
    assert Problem("order", "x").at == "answer"


def test_each_field_of_the_form_is_taken_without_the_space_around_what_is_typed() -> None:
    bench = bench_of(
        {
            "patient": "file",
            "upload": " {} ",
            "call": "order-sign/*",
            "request": " {\r\n} ",
            "service": "s",
            "token": " t2 ",
            "order": " naproxen ",
            "dose": "2",
            "unit": "mg",
            "frequency": "2d",
            "as_needed": "yes",
            "days": "7",
        },
    )
    assert bench == Bench(
        patient="file",
        upload=" {} ",
        call="order-sign/*",
        request=" {\n} ",
        service="s",
        token="t2",  # noqa: S106
        order="naproxen",
        dosing=Dosing("2", "mg", "2d", as_needed=True, days="7"),
    )
    assert (bench.hook, bench.chosen) == ("order-sign", "*")
    assert not bench_of({"as_needed": "on"}).dosing.as_needed


def test_what_a_form_carries_is_taken_back_and_what_is_no_such_thing_is_not() -> None:
    carried = Carried(drafts=[{"resourceType": "ServiceRequest"}])
    assert bench_of({"carried": msgspec.json.encode(carried).decode()}).carried == carried
    for wrong in ("{", "[]", '{"exchanges": 7}', "[" * 100_000):
        with pytest.raises(UnusableForm, match=r"^The form is not one of this page; open /try again\.$"):
            bench_of({"carried": wrong})


def test_before_another_call_answers_are_forgotten_and_drafts_are_kept() -> None:
    bench = Bench()
    bench.carried = Carried(
        drafts=[{"id": "1"}],
        exchanges=[Exchanged("s", "h", "/p", "p1", 200, {}, "{}", 0.1)],
        feedback=[Sent("/p", {}, 200, "")],
        changes=[Change("a", "b", "c")],
    )
    bench.forget_answers()
    assert bench.carried == Carried(drafts=[{"id": "1"}])
    assert Bench().carried == Carried()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"The file is not JSON: .+\."),
        ("{", r"The file is not JSON: .+\."),
        ("[" * 100_000, r"The file is not JSON: .+\."),
        ("[]", r"The file is JSON but no object\."),
        ("null", r"The file is JSON but no object\."),
    ],
)
def test_what_is_no_object_is_named(text: str, said: str) -> None:
    with pytest.raises(UnusableForm, match=f"^{said}$"):
        object_in(text, "The file")


def test_an_object_may_have_a_mark_of_its_byte_order() -> None:
    assert object_in('\ufeff{"a": 1}', "The file") == {"a": 1}
