"""Tests of models_onnx/compiler/readers."""
