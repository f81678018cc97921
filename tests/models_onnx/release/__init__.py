"""Tests of models_onnx/release."""
