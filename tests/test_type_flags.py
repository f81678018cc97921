"""A value is frozen; a type that is not, or that is strict in another way, was listed on purpose."""

from tests.type_flags import flags_of, flags_of_modules, listed_flags


def test_types_are_declared_as_they_were_confirmed() -> None:
    assert flags_of_modules() == listed_flags(), "if that is meant: python -m tests.type_flags --write"


def test_a_value_that_can_be_changed_is_noticed() -> None:
    assert list(flags_of("class Dose(Struct, frozen=True): ...")) == []
    assert list(flags_of("class Dose(Struct, frozen=False): ...")) == [("Dose", "frozen=False")]
    assert list(flags_of("class Dose(Struct): ...")) == [("Dose", "mutable")]
    assert list(flags_of("@dataclass(frozen=True, kw_only=True)\nclass Dose: ...")) == [
        ("Dose", "frozen=True kw_only=True")
    ]
