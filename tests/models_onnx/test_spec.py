"""The inputs of our models."""

from models_onnx.spec import find_specs


def test_no_input_tells_race_income_or_education() -> None:
    forbidden = ("race", "ethnic", "income", "poverty", "education", "payer")
    for spec in find_specs().values():
        for item in spec.inputs:
            told = f"{item.name} {item.described()['words']}".lower()
            assert not any(word in told for word in forbidden), told
