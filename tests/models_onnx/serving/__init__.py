"""Tests of models_onnx/serving."""
