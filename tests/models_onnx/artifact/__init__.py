"""Tests of the files of a model: folder, ONNX file, keys, release and states."""
