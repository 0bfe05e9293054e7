"""Builds the bench's models into a repository folder.

    python bench/models/build.py FOLDER

writes FOLDER/<model>/1/model.onnx for mlp (30 float32 -> 2), gbt (boosted trees), conv (40 ms and
more per row on one thread), gap (602,112 bytes per row, almost nothing to compute) and text (a
transformer over any number of tokens). Seeds are fixed. The weights of conv and text are random:
their time is what matters, and it does not depend on them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import encoder
import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float32]
    Shape = Sequence[int | str]

SEED = 7
OPSET = 17
IR_VERSION = 8


def mlp() -> bytes:
    """30 measurements -> 64 -> 2 probabilities, trained on breast cancer: 10 kB, microseconds."""
    features, labels = load_breast_cancer(return_X_y=True)
    scaler = StandardScaler().fit(features)
    fitted = MLPClassifier(hidden_layer_sizes=(64,), max_iter=300, random_state=SEED)
    fitted.fit(scaler.transform(features), labels)
    first, last = (weights.astype(np.float32) for weights in fitted.coefs_)
    # Binary: scikit-learn has one logit z and sigmoid(z); softmax over (0, z) is the same.
    weights = {
        "mean": scaler.mean_.astype(np.float32),
        "deviation": scaler.scale_.astype(np.float32),
        "first": first,
        "first_bias": fitted.intercepts_[0].astype(np.float32),
        "last": np.hstack([np.zeros_like(last), last]),
        "last_bias": np.array([0, fitted.intercepts_[1][0]], np.float32),
    }
    nodes = [
        helper.make_node("Sub", ["input", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "deviation"], ["scaled"]),
        helper.make_node("Gemm", ["scaled", "first", "first_bias"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], ["active"]),
        helper.make_node("Gemm", ["active", "last", "last_bias"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
    ]
    return _serialize("mlp", nodes, weights, ["rows", 30], ("probabilities", ["rows", 2]))


def gbt() -> bytes:
    """100 gradient-boosted trees of depth 4 over 30 measurements."""
    features, labels = load_breast_cancer(return_X_y=True)
    fitted = GradientBoostingClassifier(
        n_estimators=100, max_depth=4, subsample=0.5, random_state=SEED
    ).fit(features.astype(np.float32), labels)
    model = to_onnx(
        fitted,
        initial_types=[("input", FloatTensorType([None, 30]))],
        target_opset=OPSET,
        options={id(fitted): {"zipmap": False}},
    )
    serialized: bytes = model.SerializeToString()
    return serialized


def conv() -> bytes:
    """A residual net: 16 convolutions 3x3 of 64 channels at 56x56, 1.9e9 multiply-adds per row."""
    rng = np.random.default_rng(SEED)

    def kernel(out_channels: int, in_channels: int, side: int) -> Array:
        scale = np.sqrt(1 / (in_channels * side * side))
        shape = (out_channels, in_channels, side, side)
        return rng.normal(0, scale, shape).astype(np.float32)

    weights = {
        "stem": kernel(64, 3, 3),
        "head": rng.normal(0, 0.1, (64, 10)).astype(np.float32),
        "head_bias": np.zeros(10, np.float32),
    }
    nodes = [
        helper.make_node(
            "Conv", ["input", "stem"], ["block0"], kernel_shape=[3, 3], pads=[1] * 4, strides=[2, 2]
        )
    ]
    for block in range(8):
        inside, out = f"inside{block}", f"out{block}"
        for name in (inside, out):
            weights[f"{name}_kernel"] = kernel(64, 64, 3)
        source = f"block{block}"
        nodes += [
            _same_conv(source, inside),
            helper.make_node("Relu", [inside], [f"{inside}_active"]),
            _same_conv(f"{inside}_active", out),
            helper.make_node("Add", [source, out], [f"{out}_sum"]),
            helper.make_node("Relu", [f"{out}_sum"], [f"block{block + 1}"]),
        ]
    nodes += [
        helper.make_node("GlobalAveragePool", ["block8"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"], axis=1),
        helper.make_node("Gemm", ["flat", "head", "head_bias"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
    ]
    shape: Shape = ["rows", 3, 112, 112]
    return _serialize("conv", nodes, weights, shape, ("probabilities", ["rows", 10]))


def gap() -> bytes:
    """The mean of each channel of a 224x224 image: all transport, next to no computing."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["input"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["mean"], axis=1),
    ]
    return _serialize("gap", nodes, {}, ["rows", 3, 224, 224], ("mean", ["rows", 3]))


def text() -> bytes:
    """A small transformer over int64 tokens `[rows, length]`: encoder.py."""
    nodes, weights = encoder.encoder(np.random.default_rng(SEED))
    shape: Shape = ["rows", "length"]
    output: tuple[str, Shape] = ("probabilities", ["rows", 2])
    return _serialize("text", nodes, weights, shape, output, datatype=TensorProto.INT64)


MODELS: dict[str, Callable[[], bytes]] = {
    "mlp": mlp,
    "gbt": gbt,
    "conv": conv,
    "gap": gap,
    "text": text,
}


def build(repository: Path) -> None:
    """Writes every model as version 1 under the repository folder."""
    for name, make in MODELS.items():
        version = repository / name / "1"
        version.mkdir(parents=True, exist_ok=True)
        (version / "model.onnx").write_bytes(make())


def _same_conv(source: str, name: str) -> Any:
    return helper.make_node(
        "Conv", [source, f"{name}_kernel"], [name], kernel_shape=[3, 3], pads=[1] * 4
    )


def _serialize(
    name: str,
    nodes: list[Any],
    weights: Mapping[str, NDArray[Any]],
    shape: Shape,
    output: tuple[str, Shape],
    *,
    datatype: int = TensorProto.FLOAT,
) -> bytes:
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("input", datatype, shape)],
        [helper.make_tensor_value_info(output[0], TensorProto.FLOAT, output[1])],
        [numpy_helper.from_array(value, weight) for weight, value in weights.items()],
    )
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(graph, ir_version=IR_VERSION, opset_imports=[opset])
    checker.check_model(model, full_check=True)
    return model.SerializeToString()


def main() -> None:
    """Builds into the folder named on the command line and prints the files."""
    if len(sys.argv) != 2:
        raise SystemExit("usage: python bench/models/build.py FOLDER")
    repository = Path(sys.argv[1])
    build(repository)
    for path in sorted(repository.glob("*/1/model.onnx")):
        print(f"{path}  {path.stat().st_size / 1e3:.1f} kB")


if __name__ == "__main__":
    main()
