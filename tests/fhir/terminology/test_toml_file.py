"""What is said of a file of a site that is not TOML: the place, and never a part of a value, which can be a secret."""

import pytest

from fhir.terminology.toml_file import TomlFault, parse_toml


@pytest.mark.parametrize(
    ("entry", "names_key"),
    [('jwks = "secret"', True), ('jwks = ["a",\n "secret"]', False), ('jwks = """\nk = secret"""', False)],
)
def test_a_key_given_twice_is_named_and_its_value_is_not(entry: str, names_key: bool) -> None:
    with pytest.raises(TomlFault, match="twice") as told:
        parse_toml(f"{entry}\n{entry}\n")
    assert ("jwks" in str(told.value)) == names_key
    assert "secret" not in str(told.value)
