"""Tensors in other files: those of the main graph in a plain file of the version, no others."""

import onnx
import pytest
from onnx import TensorProto, helper

from fastserve.errors import ArtifactCorrupt, Unsupported
from fastserve.models.external_data import check_ranges, external_references, read_facts

FLOAT = TensorProto.FLOAT


def external(location="w.bin", name="w", **entries):
    tensor = helper.make_tensor(name, FLOAT, [2], [1.0, 2.0])
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=value)
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


def references(data):
    return external_references(read_facts(data))


def sparse():
    return onnx.SparseTensorProto(
        values=external(), indices=helper.make_tensor("i", TensorProto.INT64, [1], [0]), dims=[9]
    )


def holding(**attribute):
    return helper.make_node("Constant", [], ["c"], **attribute)


# Where ONNX Runtime would open the file itself.
HIDDEN = {
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
def test_references_refuse_a_tensor_hidden_in(place):
    with pytest.raises(Unsupported, match=r"'w' keeps its data in another file .*save the model"):
        references(HIDDEN[place]())


def test_references_say_file_offset_and_length():
    first = external("data/w.bin", offset="4096", length="8", checksum="0")
    second = external("./w.bin", name="v")
    (one,) = references(model(graph(initializer=first)))
    assert (one.tensor, one.file, one.offset, one.length) == ("w", "data/w.bin", 4096, 8)
    (two,) = references(model(graph(initializer=second)))
    assert (two.file, two.location, two.offset, two.length) == ("w.bin", "./w.bin", 0, None)


def test_references_are_none_in_a_model_of_one_file():
    made = helper.make_model(graph(initializer=helper.make_tensor("location", FLOAT, [1], [1.0])))
    made.doc_string = "location"
    assert references(made.SerializeToString()) == ()


def test_references_refuse_one_that_only_says_where_it_is():
    """Readers differ in whether they follow the location when the flag is left out."""
    tensor = external("../w")
    tensor.ClearField("data_location")
    with pytest.raises(ArtifactCorrupt, match="leads out"):
        references(model(graph(initializer=tensor)))


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("", "is empty"),
        ("/etc/passwd", "is an absolute path"),
        ("C:/windows", "is an absolute path"),
        ("../secret", "leads out of the version's folder"),
        ("data/../../secret", "leads out of the version's folder"),
        ("..", "leads out of the version's folder"),
        ("..\\secret", "has a backslash"),
        ("a//b", "has an empty part"),
        ("a/./b", "has an empty part or '.'"),
        (".hidden", "is hidden"),
        ("a/.hidden", "is hidden"),
        ("a\0b", "has a control character"),
        ("a\nb", "has a control character"),
        ("http://example.org/w", "is a URL"),
        ("file:///etc/passwd", "is a URL"),
        ("x" * 300, "is longer than 255 bytes"),
        ("a/" * 20 + "b", "lies deeper than 8 folders"),
    ],
)
def test_references_refuse_a_file_that_cannot_be_of_the_version(location, expected):
    with pytest.raises(ArtifactCorrupt, match=expected) as caught:
        references(model(graph(initializer=external(location))))
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "mark", ["*/_ORT_MEM_ADDR_/*", "*/_ORT_NATIVE_ENDIAN_MEM_ADDR_/*", "*/_ort_mem_addr_/*", "*/x"]
)
@pytest.mark.parametrize("place", ["main", "subgraph"])
def test_references_refuse_an_address_in_memory(mark, place):
    tensor = external(mark, offset="4096", length="8")
    body = graph(initializer=tensor)
    with pytest.raises(ArtifactCorrupt, match="claims to lie at an address in memory"):
        references(model(body if place == "main" else graph(holding(then_branch=body))))


@pytest.mark.parametrize("key", ["offset", "length"])
@pytest.mark.parametrize("value", ["-1", "+1", " 1", "1 ", "0x10", "1e3", "9" * 30, "\u0661"])
def test_references_refuse_numbers_that_are_none(key, value):
    with pytest.raises(ArtifactCorrupt, match=f"as the {key} of its data: expected a number"):
        references(model(graph(initializer=external(**{key: value}))))


def test_references_refuse_keys_that_onnx_does_not_define():
    """ONNX Runtime takes packed weights from "prepacked_..." as they are."""
    with pytest.raises(Unsupported, match="with the key 'prepacked_1'"):
        references(model(graph(initializer=external(prepacked_1="w|0;8;0"))))


def test_references_refuse_two_places():
    tensor = external()
    tensor.external_data.add(key="location", value="other.bin")
    with pytest.raises(ArtifactCorrupt, match="says twice where its data lies"):
        references(model(graph(initializer=tensor)))


@pytest.mark.parametrize(("offset", "length"), [("0", "9"), ("8", "1"), ("9", "0"), ("9" * 18, "")])
def test_ranges_refuse_bytes_beyond_the_file(offset, length):
    found = references(model(graph(initializer=external(offset=offset, length=length))))
    with pytest.raises(ArtifactCorrupt, match=r"of 'w\.bin', which has 8"):
        check_ranges(found, {"w.bin": 8})


@pytest.mark.parametrize(("offset", "length"), [("0", "8"), ("8", "0"), ("0", ""), ("", "")])
def test_ranges_accept_bytes_within_the_file(offset, length):
    found = references(model(graph(initializer=external(offset=offset, length=length))))
    check_ranges(found, {"w.bin": 8})


def test_facts_are_versions_and_nodes(mlp):
    facts = read_facts(mlp)
    assert (facts.ir_version, facts.node_count) == (8, 5)
    assert facts.opsets == {"": 17, "com.microsoft": 1}


def test_facts_refuse_what_is_no_onnx_file(mlp):
    with pytest.raises(ArtifactCorrupt, match="truncated or not an ONNX file"):
        read_facts(mlp[:-1])
    with pytest.raises(Unsupported, match=r"ONNX Runtime's own format \(\.ort\)"):
        read_facts(b"\x18\0\0\0ORTM")
