"""Tests of models_onnx/training/data."""
