"""The streaming recogniser as files of another project's runtime: ONNX graphs for sherpa-onnx."""
