"""fastserve: an ONNX inference server with a compiled data plane and a Python control plane."""

__version__ = "0.1.0"

__all__ = ["__version__"]
