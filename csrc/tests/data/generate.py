"""Make the tiny ONNX files of the C++ tests, and what the Python package of ONNX Runtime answers.

Run it in this folder with `onnx`, `numpy` and `onnxruntime` installed. The files are committed, so
building and testing needs none of them. `expected.txt` holds lines of `model output_index: shape |
values`, computed by `onnxruntime.InferenceSession`, against which the C++ runtime is held: a wrong
index into the C API's table cannot pass.
"""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto as T, helper, numpy_helper

HERE = Path(__file__).parent
RANDOM = np.random.default_rng(7)


def tensor(name, element, shape):
    return helper.make_tensor_value_info(name, element, shape)


def constant(name, array):
    return numpy_helper.from_array(np.asarray(array), name)


def save(name, nodes, inputs, outputs, constants=(), *, opset=17, check=True, **metadata):
    graph = helper.make_graph(nodes, metadata.pop("graph_name", name), inputs, outputs, constants)
    custom = metadata.pop("custom", {})
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)],
        ir_version=8,
        **{"producer_name": "fastserve-tests", **metadata},
    )
    helper.set_model_props(model, custom)
    if check:
        onnx.checker.check_model(model)
    (HERE / f"{name}.onnx").write_bytes(model.SerializeToString())


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs.split(), outputs.split(), **attributes)


def small(*shape):
    return (RANDOM.standard_normal(shape) * 0.5).astype(np.float32)


DTYPES = {
    "bool": T.BOOL,
    "uint8": T.UINT8,
    "uint16": T.UINT16,
    "uint32": T.UINT32,
    "uint64": T.UINT64,
    "int8": T.INT8,
    "int16": T.INT16,
    "int32": T.INT32,
    "int64": T.INT64,
    "fp16": T.FLOAT16,
    "bf16": T.BFLOAT16,
    "fp32": T.FLOAT,
    "fp64": T.DOUBLE,
    "bytes": T.STRING,
}


def identities():
    for name, element in DTYPES.items():
        save(
            f"identity_{name}",
            [node("Identity", "x", "y")],
            [tensor("x", element, ["rows", 2])],
            [tensor("y", element, ["rows", 2])],
        )


def mlp():
    save(
        "mlp",
        [
            node("Gemm", "x w1 b1", "h1"),
            node("Relu", "h1", "h2"),
            node("Gemm", "h2 w2 b2", "h3"),
            node("Softmax", "h3", "probability"),
            node("ArgMax", "h3", "label", axis=1, keepdims=0),
        ],
        [tensor("x", T.FLOAT, ["rows", 4])],
        [tensor("probability", T.FLOAT, ["rows", 3]), tensor("label", T.INT64, ["rows"])],
        [
            constant("w1", small(4, 8)),
            constant("b1", small(8)),
            constant("w2", small(8, 3)),
            constant("b2", small(3)),
        ],
        graph_name="tiny mlp",
        domain="org.example",
        doc_string="four numbers to three classes",
        model_version=42,
        custom={"author": "nobody", "trained": "never"},
    )


def mixing():
    for name, nodes in {
        "softmax_rows": [node("Softmax", "x", "y", axis=0)],
        "cumsum_rows": [node("CumSum", "x axis", "y")],
        "sort_rows": [
            node("Shape", "x", "s"),
            node("Gather", "s axis", "k"),
            node("Reshape", "k one", "k1"),
            node("TopK", "x k1", "y i", axis=0),
        ],
    }.items():
        constants = [constant("axis", np.int64(0)), constant("one", np.array([1], np.int64))]
        used = {name for one in nodes for name in one.input}
        save(
            name,
            nodes,
            [tensor("x", T.FLOAT, ["rows", 4])],
            [tensor("y", T.FLOAT, ["rows", 4])],
            [one for one in constants if one.name in used],
        )


def shapes():
    save(
        "scalar",
        [node("Add", "a b", "y")],
        [tensor("a", T.FLOAT, []), tensor("b", T.FLOAT, [])],
        [tensor("y", T.FLOAT, [])],
    )
    save(
        "nonzero",
        [node("NonZero", "x", "y")],
        [tensor("x", T.FLOAT, ["rows"])],
        [tensor("y", T.INT64, [1, "found"])],
    )
    # Its output is declared with the input's rows, yet the data decides how many there are.
    save(
        "liar",
        [node("Compress", "x keep", "y", axis=0)],
        [tensor("x", T.FLOAT, ["rows"]), tensor("keep", T.BOOL, ["rows"])],
        [tensor("y", T.FLOAT, ["rows"])],
    )
    save(
        "fixed_batch",
        [node("Relu", "x", "y")],
        [tensor("x", T.FLOAT, [8, 2])],
        [tensor("y", T.FLOAT, [8, 2])],
    )
    save(
        "inner_axis",
        [node("ReduceMean", "x", "y", axes=[1], keepdims=0)],
        [tensor("x", T.FLOAT, ["rows", "length", 2])],
        [tensor("y", T.FLOAT, ["rows", 2])],
    )
    save(
        "unnamed_axis",
        [node("Neg", "x", "y")],
        [tensor("x", T.FLOAT, [None, 2])],
        [tensor("y", T.FLOAT, [None, 2])],
    )
    save(
        "embedding",
        [node("Gather", "table ids", "y", axis=0)],
        [tensor("ids", T.INT64, ["rows", 3])],
        [tensor("y", T.FLOAT, ["rows", 3, 2])],
        [constant("table", small(5, 2))],
    )
    save(
        "passthrough",
        [node("Neg", "x", "y")],
        [tensor("x", T.FLOAT, ["rows", 2])],
        [tensor("x", T.FLOAT, ["rows", 2]), tensor("y", T.FLOAT, ["rows", 2])],
    )
    save(
        "constant_output",
        [node("Neg", "x", "y")],
        [tensor("x", T.FLOAT, ["rows", 2])],
        [tensor("y", T.FLOAT, ["rows", 2]), tensor("c", T.FLOAT, [2])],
        [constant("c", np.array([1.5, -2.5], np.float32))],
    )
    save(
        "exclaim",
        [node("StringConcat", "x mark", "y")],
        [tensor("x", T.STRING, ["rows"])],
        [tensor("y", T.STRING, ["rows"])],
        [helper.make_tensor("mark", T.STRING, [1], [b"!"])],
        opset=20,
    )
    save(
        "random",
        [node("RandomNormalLike", "x", "y")],
        [tensor("x", T.FLOAT, ["rows", 2])],
        [tensor("y", T.FLOAT, ["rows", 2])],
    )
    # `repeats` decides how long it runs, so a run in progress can be stopped.
    body = helper.make_graph(
        [node("Identity", "condition_in", "condition_out"), node("Sin", "v_in", "v_out")],
        "body",
        [
            tensor("i", T.INT64, []),
            tensor("condition_in", T.BOOL, []),
            tensor("v_in", T.FLOAT, None),
        ],
        [tensor("condition_out", T.BOOL, []), tensor("v_out", T.FLOAT, None)],
    )
    save(
        "loop",
        [node("Loop", "repeats condition x", "y", body=body)],
        [tensor("repeats", T.INT64, []), tensor("x", T.FLOAT, ["rows"])],
        [tensor("y", T.FLOAT, ["rows"])],
        [constant("condition", np.array(True))],
    )
    save(
        "reshape_to_three",
        [node("Reshape", "x three", "y")],
        [tensor("x", T.FLOAT, ["rows"])],
        [tensor("y", T.FLOAT, [3])],
        [constant("three", np.array([3], np.int64))],
    )


def optionals():
    save(
        "dropout",
        [node("Dropout", "x", "y mask")],
        [tensor("x", T.FLOAT, ["rows", 2])],
        [tensor("y", T.FLOAT, ["rows", 2]), tensor("mask", T.BOOL, ["rows", 2])],
    )
    plain = helper.make_tensor_type_proto(T.FLOAT, ["rows"])
    optional = helper.make_optional_type_proto(plain)
    then = helper.make_graph(
        [node("Optional", "x", "some")], "then", [], [helper.make_value_info("some", optional)]
    )
    other = helper.make_graph(
        [node("Optional", "", "none", type=plain)],
        "else",
        [],
        [helper.make_value_info("none", optional)],
    )
    other.node[0].input.clear()
    save(
        "optional_output",
        [node("If", "give", "y", then_branch=then, else_branch=other)],
        [tensor("give", T.BOOL, []), tensor("x", T.FLOAT, ["rows"])],
        [helper.make_value_info("y", optional)],
    )


def refused():
    save(
        "sequence_output",
        [node("SequenceConstruct", "x x", "y")],
        [tensor("x", T.FLOAT, ["rows", 2])],
        [helper.make_tensor_sequence_value_info("y", T.FLOAT, ["rows", 2])],
    )
    save(
        "sequence_input",
        [node("SequenceLength", "x", "y")],
        [helper.make_tensor_sequence_value_info("x", T.FLOAT, None)],
        [tensor("y", T.INT64, [])],
    )
    save(
        "float8_output",
        [node("Cast", "x", "y", to=T.FLOAT8E4M3FN)],
        [tensor("x", T.FLOAT, ["rows"])],
        [tensor("y", T.FLOAT8E4M3FN, ["rows"])],
        opset=19,
    )
    save(
        "int4_output",
        [node("Cast", "x", "y", to=T.INT4)],
        [tensor("x", T.FLOAT, ["rows"])],
        [tensor("y", T.INT4, ["rows"])],
        opset=21,
    )
    probabilities = helper.make_map_type_proto(T.INT64, helper.make_tensor_type_proto(T.FLOAT, []))
    zipmap = node("ZipMap", "x", "y", domain="ai.onnx.ml", classlabels_int64s=[0, 1])
    graph = helper.make_graph(
        [zipmap],
        "zipmap",
        [tensor("x", T.FLOAT, ["rows", 2])],
        [helper.make_value_info("y", helper.make_sequence_type_proto(probabilities))],
    )
    model = helper.make_model(
        graph,
        ir_version=8,
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 1)],
    )
    (HERE / "zipmap.onnx").write_bytes(model.SerializeToString())


def external():
    """The mlp with its matrices in another file, behind bytes that belong to nobody."""
    model = onnx.load(HERE / "mlp.onnx")
    data = bytearray(b"\xa5" * 64)
    for matrix in model.graph.initializer[::2]:
        matrix.data_location = T.EXTERNAL
        for key, value in {
            "location": "external.bin",
            "offset": len(data),
            "length": len(matrix.raw_data),
        }.items():
            matrix.external_data.add(key=key, value=str(value))
        data += matrix.raw_data
        matrix.ClearField("raw_data")
    (HERE / "external.onnx").write_bytes(model.SerializeToString())
    (HERE / "external.bin").write_bytes(data)


def damaged():
    whole = (HERE / "mlp.onnx").read_bytes()
    (HERE / "truncated.onnx").write_bytes(whole[: len(whole) // 2])
    (HERE / "empty.onnx").write_bytes(b"")
    (HERE / "not_onnx.onnx").write_bytes(b"PK\x03\x04 this is no model\n" * 4)
    save(
        "opset_99",
        [node("Relu", "x", "y")],
        [tensor("x", T.FLOAT, ["rows"])],
        [tensor("y", T.FLOAT, ["rows"])],
        opset=99,
        check=False,
    )
    save(
        "unknown_operator",
        [node("Frobnicate", "x", "y")],
        [tensor("x", T.FLOAT, ["rows"])],
        [tensor("y", T.FLOAT, ["rows"])],
        check=False,
    )


def expectations():
    lines = []
    ramp = lambda rows, columns: (
        np.arange(rows * columns, dtype=np.float32).reshape(rows, columns) / 8 - 1
    )
    for name, feed in {
        "mlp": {"x": ramp(5, 4)},
        "external": {"x": ramp(5, 4)},
        "softmax_rows": {"x": ramp(3, 4)},
        "embedding": {"ids": np.array([[0, 1, 2], [4, 3, 2]])},
        "inner_axis": {"x": ramp(2, 10).reshape(2, 5, 2)},
    }.items():
        session = ort.InferenceSession(HERE / f"{name}.onnx")
        for index, answer in enumerate(session.run(None, feed)):
            shape = " ".join(map(str, answer.shape))
            values = " ".join(f"{value:.9g}" for value in answer.ravel())
            lines.append(f"{name} {index}: {shape} | {values}")
    (HERE / "expected.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    identities()
    mlp()
    mixing()
    shapes()
    optionals()
    refused()
    external()
    damaged()
    expectations()
