"""The files of one model version: model.onnx, manifest.json, card.json, release.json, and the keys that sign them."""
