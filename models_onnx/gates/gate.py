"""What one gate declares, and how all of them are found."""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass

from models_onnx.errors import SpecRefused
from models_onnx.gates import checks
from models_onnx.gates.result import Verdict
from models_onnx.gates.subject import Evidence, Subject

ALL = tuple(f"G{number}" for number in range(1, 19))


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate: what it asks in a sentence, and the check. `opens` if it runs the model file itself."""

    id: str
    title: str
    asks: str
    check: Callable[[Subject, Evidence], Verdict]
    opens: bool = True


def find_gates() -> tuple[Gate, ...]:
    """The eighteen gates in order; refuses when one is missing or declared twice."""
    found: dict[str, Gate] = {}
    for module in pkgutil.iter_modules(checks.__path__):
        for gate in importlib.import_module(f"{checks.__name__}.{module.name}").GATES:
            if gate.id in found:
                raise SpecRefused(f"gate {gate.id} is declared twice")
            found[gate.id] = gate
    if set(found) != set(ALL):
        raise SpecRefused(f"gates missing or unknown: {', '.join(sorted(set(ALL) ^ set(found)))}")
    return tuple(found[name] for name in ALL)
