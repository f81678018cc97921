"""What a form of /try holds between two presses, and that only what the page wrote is taken back."""

import hashlib
import hmac
from pathlib import Path

import msgspec
import pytest

from cds_hooks.pages.tester.exchange import Exchanged, Sent
from cds_hooks.pages.tester.feedback import Change
from cds_hooks.pages.tester.orders import Dosing
from cds_hooks.pages.tester.state import Bench, Carried, FormSeal, Problem, UnusableForm, bench_of, object_in
from cds_hooks.settings import Settings


def _seal(folder: Path, *keys: str) -> FormSeal:
    file = folder / "keys.txt"
    file.write_text("\n".join(keys or ("5a" * 32,)))
    return FormSeal(Settings(user_keys=file))


def test_a_form_that_was_just_opened_has_a_patient_a_call_and_nothing_else(tmp_path: Path) -> None:
    bench = bench_of({}, _seal(tmp_path))
    assert bench == Bench()
    assert (bench.patient, bench.call) == ("sample:ckd4-metformin", "order-select/order-safety-select")
    assert (bench.hook, bench.chosen, bench.worst_first) == ("order-select", "order-safety-select", False)
    assert bench.dosing == Dosing("", "tablet", "1d", as_needed=False, days="")
    assert Problem("order", "x").at == "answer"


def test_each_field_of_the_form_is_taken_without_the_space_around_what_is_typed(tmp_path: Path) -> None:
    bench = bench_of(
        {
            "patient": "fhir",
            "upload": " {} ",
            "fhir_server": " https://fhir.example ",
            "fhir_patient": " p1 ",
            "fhir_token": " t1 ",
            "server": "https://cds.example",
            "call": "order-sign/*",
            "request": " {\r\n} ",
            "service": "s",
            "token": " t2 ",
            "order_of_cards": "worst",
            "order": " naproxen ",
            "dose": "2",
            "unit": "mg",
            "frequency": "2d",
            "as_needed": "yes",
            "days": "7",
        },
        _seal(tmp_path),
    )
    assert bench == Bench(
        patient="fhir",
        upload=" {} ",
        fhir_server="https://fhir.example",
        fhir_patient="p1",
        fhir_token="t1",  # noqa: S106
        server="https://cds.example",
        call="order-sign/*",
        request=" {\n} ",
        service="s",
        token="t2",  # noqa: S106
        worst_first=True,
        order="naproxen",
        dosing=Dosing("2", "mg", "2d", as_needed=True, days="7"),
    )
    assert (bench.hook, bench.chosen) == ("order-sign", "*")
    other = bench_of({"as_needed": "on", "order_of_cards": "sent"}, _seal(tmp_path))
    assert (other.dosing.as_needed, other.worst_first) == (False, False)


def test_what_a_form_carries_is_taken_back_with_its_signature_alone(tmp_path: Path) -> None:
    seal = _seal(tmp_path)
    carried = Carried(drafts=[{"resourceType": "ServiceRequest"}], answered="d")
    text = msgspec.json.encode(carried).decode()
    signature = seal.sign(text)
    assert bench_of({"carried": text, "carried_seal": signature}, seal).carried == carried
    for wrong in (signature[:-1], signature.upper(), "", "é", "\udcff"):
        with pytest.raises(UnusableForm, match=r"^The form is not one of this page; open /try again\.$"):
            bench_of({"carried": text, "carried_seal": wrong}, seal)
    with pytest.raises(UnusableForm):
        bench_of({"carried": f"{text} ", "carried_seal": signature}, seal)
    with pytest.raises(UnusableForm):
        bench_of({"carried": text}, seal)


def test_the_newest_key_signs_and_older_ones_are_still_taken(tmp_path: Path) -> None:
    old = _seal(tmp_path)
    both = _seal(tmp_path, "6b" * 32, "5a" * 32)
    assert both.has_signed("x", old.sign("x"))
    assert not old.has_signed("x", both.sign("x"))
    key = hmac.digest(bytes.fromhex("6b" * 32), b"forms of /try", hashlib.sha256)
    assert both.sign("x") == hmac.digest(key, b"x", hashlib.sha256).hex()
    assert both.has_signed("\udcff", both.sign("\udcff"))  # half a pair that JSON can hold


def test_where_the_keys_cannot_be_read_a_process_has_its_own(tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    file.write_text("no key")
    one, other = FormSeal(Settings(user_keys=file)), FormSeal(Settings(user_keys=file))
    assert one.has_signed("x", one.sign("x"))
    assert not other.has_signed("x", one.sign("x"))


def test_before_another_call_answers_are_forgotten_and_drafts_are_kept() -> None:
    bench = Bench()
    bench.carried = Carried(
        drafts=[{"id": "1"}],
        exchanges=[Exchanged("s", "h", "/p", "p1", 200, {}, "{}", 0.1)],
        feedback=[Sent("/p", {}, 200, "")],
        changes=[Change("a", "b", "c")],
        answered="d",
    )
    bench.forget_answers()
    assert bench.carried == Carried(drafts=[{"id": "1"}], answered="d")
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
