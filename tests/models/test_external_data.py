"""Files that keep tensors elsewhere are found, wherever in the graph the tensor hides."""

import onnx
import pytest
from onnx import TensorProto, helper

from fastserve.errors import ArtifactCorrupt
from fastserve.models.external_data import find_external_tensor

FLOAT = TensorProto.FLOAT


def external(name="w"):
    tensor = helper.make_tensor(name, FLOAT, [2], [1.0, 2.0])
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../etc/passwd"
    return tensor


def graph(*nodes, **parts):
    made = helper.make_graph(
        nodes or [helper.make_node("Identity", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", FLOAT, ["N"])],
        [helper.make_tensor_value_info("y", FLOAT, ["N"])],
    )
    for field, value in parts.items():
        getattr(made, field).append(value)
    return made


def model(body, **parts):
    made = helper.make_model(body)
    for field, value in parts.items():
        getattr(made, field).append(value)
    return made.SerializeToString()


def sparse():
    return onnx.SparseTensorProto(
        values=external(), indices=helper.make_tensor("i", TensorProto.INT64, [1], [0]), dims=[9]
    )


def holding(**attribute):
    return helper.make_node("Constant", [], ["c"], **attribute)


HIDDEN = {
    "initializer": lambda: model(graph(initializer=external())),
    "sparse initializer": lambda: model(graph(sparse_initializer=sparse())),
    "attribute": lambda: model(graph(holding(value=external()))),
    "attributes": lambda: model(graph(holding(values=[external()]))),
    "sparse attribute": lambda: model(graph(holding(sparse_value=sparse()))),
    "subgraph": lambda: model(graph(holding(then_branch=graph(initializer=external())))),
    "subgraphs": lambda: model(graph(holding(branches=[graph(initializer=external())]))),
    "function": lambda: model(
        graph(),
        functions=onnx.FunctionProto(name="f", domain="d", node=[holding(value=external())]),
    ),
    "training": lambda: model(
        graph(), training_info=onnx.TrainingInfoProto(algorithm=graph(initializer=external()))
    ),
}


@pytest.mark.parametrize("place", HIDDEN)
def test_find_external_tensor_looks_into(place):
    assert find_external_tensor(HIDDEN[place]()) == "w"


def test_find_external_tensor_finds_one_that_only_says_where_it_is():
    """ONNX Runtime follows the location even when the flag is left out."""
    tensor = external()
    tensor.ClearField("data_location")
    assert find_external_tensor(model(graph(initializer=tensor))) == "w"


def test_find_external_tensor_finds_one_without_a_name():
    assert find_external_tensor(model(graph(initializer=external("")))) == ""


def test_find_external_tensor_is_not_fooled_by_the_word():
    made = helper.make_model(graph(initializer=helper.make_tensor("location", FLOAT, [1], [1.0])))
    made.doc_string = "location"
    assert find_external_tensor(made.SerializeToString()) is None


def test_find_external_tensor_refuses_a_truncated_file():
    data = HIDDEN["initializer"]()
    for end in range(data.index(b"location") + 8, len(data)):
        try:
            assert find_external_tensor(data[:end]) in ("w", None)
        except ArtifactCorrupt:
            continue


def test_find_external_tensor_refuses_endless_nesting():
    inner = b"location"
    for _ in range(200):
        # Graph{node: Node{attribute: Attribute{g: ...}}}
        for tag in (b"\x32", b"\x2a", b"\x0a"):
            size = len(inner)
            length = bytearray()
            while size > 0x7F:
                length.append(size & 0x7F | 0x80)
                size >>= 7
            length.append(size)
            inner = tag + bytes(length) + inner
    data = b"\x3a" + (len(inner) & 0x7F | 0x80).to_bytes() + (len(inner) >> 7).to_bytes() + inner
    with pytest.raises(ArtifactCorrupt, match="nested deeper"):
        find_external_tensor(data)
