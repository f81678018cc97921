"""Tests of models_onnx: what it predicts, how it explains, what it refuses."""
