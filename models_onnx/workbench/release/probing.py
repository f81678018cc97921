"""The first load of an unknown model file, in a process of its own that may be killed: memory, time, one run."""

import json
import subprocess
import sys
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any

from models_onnx.errors import UnsafeModel

SECONDS = 20
MEMORY_BYTES = 2 * 1024**3


@dataclass(frozen=True, slots=True)
class Signature:
    """Names, types and shapes of what goes in and comes out, as the runtime sees them."""

    inputs: tuple[tuple[str, str, tuple[Any, ...]], ...]
    outputs: tuple[tuple[str, str, tuple[Any, ...]], ...]
    no_numbers: tuple[str, ...] = ()
    """Outputs that are no number for a row of zeros."""


def probe(content: bytes, seconds: float = SECONDS, memory: int = MEMORY_BYTES) -> Signature:
    """The signature of a file that loads, and runs one row of zeros, within these limits; UnsafeModel otherwise.

    It is loaded in an empty folder, so that a file beside it, which it may name, is not found.
    """
    try:
        with TemporaryDirectory(prefix="cds-hooks-probe-") as folder:
            done = subprocess.run(  # noqa: S603 - our own interpreter and program, the model only as standard input
                [sys.executable, "-I", "-c", _PROGRAM, str(memory), str(int(seconds) + 1)],
                input=content,
                capture_output=True,
                timeout=seconds,
                check=False,
                cwd=folder,
            )
    except subprocess.TimeoutExpired:
        raise UnsafeModel(f"the model did not load and run one row within {seconds:g} s; it is not taken in") from None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        reason = lines[-1][:200] if lines else f"the process ended with {done.returncode}"
        raise UnsafeModel(f"the model could not be loaded and run in a process of its own: {reason}")
    signature = json.loads(done.stdout)
    ends = [tuple((name, kind, tuple(shape)) for name, kind, shape in signature[end]) for end in ("in", "out")]
    return Signature(ends[0], ends[1], tuple(signature["nan"]))


# Runs alone (-I: no folder of ours, no environment): reads the model, says its signature, runs one row.
_PROGRAM = """
import json, os, sys
memory, seconds = int(sys.argv[1]), int(sys.argv[2])
try:
    import resource
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
except (ImportError, ValueError, OSError):
    pass
content = sys.stdin.buffer.read()
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import numpy, onnxruntime
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
except (ImportError, ValueError, OSError):
    pass
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
options.log_severity_level = 4
session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
TYPES = {"tensor(float)": numpy.float32, "tensor(double)": numpy.float64, "tensor(int64)": numpy.int64,
         "tensor(int32)": numpy.int32, "tensor(bool)": numpy.bool_}
feed = {}
for item in session.get_inputs():
    if item.type not in TYPES:
        sys.exit(f"input {item.name} is {item.type}, which is not taken in")
    shape = [size if isinstance(size, int) and size > 0 else 1 for size in item.shape]
    if numpy.prod(shape, dtype=numpy.float64) > 1e6:
        sys.exit(f"input {item.name} takes more than a million values")
    feed[item.name] = numpy.zeros(shape, TYPES[item.type])
answers = [(item.name, numpy.asarray(answer)) for item, answer in zip(session.get_outputs(), session.run(None, feed))]
print(json.dumps({"in": [[i.name, i.type, i.shape] for i in session.get_inputs()],
                  "out": [[o.name, o.type, o.shape] for o in session.get_outputs()],
                  "nan": [name for name, answer in answers if answer.dtype.kind == "f" and numpy.isnan(answer).any()]}))
"""
