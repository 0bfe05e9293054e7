"""Versions of one model that answer alike, otherwise, or under another name."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

FEATURES = 6
CLASSES = 4
ROWS = np.random.default_rng(5).normal(size=(64, FEATURES)).astype(np.float32)
WEIGHTS = np.random.default_rng(6).normal(size=(FEATURES, CLASSES)).astype(np.float32)


def classifier(order=tuple(range(FEATURES)), output="scores"):
    """Softmax over a linear layer, which takes its features in `order`."""
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["x", "order"], ["ordered"], axis=1),
            helper.make_node("MatMul", ["ordered", "w"], ["logits"]),
            helper.make_node("Softmax", ["logits"], [output], axis=1),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", FEATURES])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", CLASSES])],
        [
            numpy_helper.from_array(np.array(order, np.int64), "order"),
            numpy_helper.from_array(WEIGHTS, "w"),
        ],
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, ir_version=8, opset_imports=opset).SerializeToString()


VERSIONS = {
    1: classifier(),
    2: classifier(),
    3: classifier((1, 0, 2, 3, 5, 4)),
    4: classifier(output="probabilities"),
}


def write_versions(folder):
    """All of them, of model `m`, all loaded."""
    for number, data in VERSIONS.items():
        (folder / "m" / str(number)).mkdir(parents=True)
        (folder / "m" / str(number) / "model.onnx").write_bytes(data)
    (folder / "m" / "model.toml").write_text("[versions]\nall = true\n")
    return folder
