"""Predictions: specifications, training, artifacts, runtime."""

import os

# Set before onnxruntime is imported (by modules below this one): from 1.31 on it otherwise writes a device id and a
# database into the home folder and reports its use to its maker. A decision service calls nobody it was not told to.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
