"""A config.pbtxt held against the graph's signature: what differs is said, the rest is silence."""

from typing import NamedTuple

import pytest

from fastserve.models.triton_config import compare_signature, note_signature, read_triton_config


class Spec(NamedTuple):
    name: str
    datatype: str
    shape: tuple[int, ...]


IDS = Spec("ids", "INT64", (-1, -1))
MASK = Spec("mask", "INT64", (-1, -1))
SCORES = Spec("scores", "FP32", (-1, 2))


def problems(text, inputs=(IDS, MASK), outputs=(SCORES,)):
    found = compare_signature(read_triton_config(text.encode(), name="net"), inputs, outputs)
    assert all("\n" not in each for each in found)
    return found


BATCHED = """max_batch_size: 8
input { name: "ids" data_type: TYPE_INT64 dims: -1 }
input { name: "mask" data_type: TYPE_INT64 dims: 128 }
output { name: "scores" data_type: TYPE_FP32 dims: 2 }
"""


@pytest.mark.parametrize(
    "text",
    [
        "",
        BATCHED,
        BATCHED.replace("max_batch_size: 8", "").replace("dims: ", "dims: -1 dims: "),
        'max_batch_size: 1 input { name: "ids" } input { name: "mask" }',
        'output { name: "scores" dims: [ -1, 2 ] }',
        'max_batch_size: 1 output { name: "scores" dims: [ 1, 2 ] reshape { shape: 2 } }',
        BATCHED.replace('"mask"', '"mask" optional: true'),
        BATCHED + 'input { name: "gone" data_type: TYPE_FP32 dims: 1 optional: true }',
    ],
)
def test_compare_signature_is_silent_when_configuration_and_graph_agree(text):
    assert problems(text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            BATCHED.replace("INT64 dims: 128", "INT32 dims: 128"),
            "config.pbtxt:3: input[1].data_type: input 'mask' is INT64 in the graph, not INT32",
        ),
        (
            BATCHED.replace("TYPE_FP32", "TYPE_STRING"),
            "config.pbtxt:4: output[0].data_type: output 'scores' is FP32 in the graph, not BYTES",
        ),
        (
            BATCHED.replace("scores", "logits"),
            (
                "config.pbtxt:4: output[0]: the graph has no output 'logits'; its outputs are: "
                "'scores'"
            ),
        ),
        (
            BATCHED.replace(
                '"mask" data_type: TYPE_INT64', '"mask" optional: true data_type: TYPE_INT32'
            ),
            "config.pbtxt:3: input[1].data_type: input 'mask' is INT64 in the graph, not INT32",
        ),
        (
            "\n".join(BATCHED.splitlines()[:2]),
            "config.pbtxt:2: input[0]: the graph also has input 'mask', which is not listed",
        ),
        (
            BATCHED.replace("dims: 2 }", "dims: 3 }"),
            (
                "config.pbtxt:4: output[0].dims: output 'scores' has shape [-1, 2] in the graph, "
                "not [-1, 3], with the rows that max_batch_size adds"
            ),
        ),
        (
            BATCHED.replace("dims: 2 }", "dims: -1 }"),
            (
                "config.pbtxt:4: output[0].dims: output 'scores' has shape [-1, 2] in the graph, "
                "not [-1, -1], with the rows that max_batch_size adds"
            ),
        ),
        (
            BATCHED.replace("dims: 2 }", "dims: [ -1, 2 ] }"),
            (
                "config.pbtxt:4: output[0].dims: output 'scores' has shape [-1, 2] in the graph, "
                "not [-1, -1, 2], with the rows that max_batch_size adds"
            ),
        ),
        (
            'output { name: "scores" dims: 2 }',
            (
                "config.pbtxt:1: output[0].dims: output 'scores' has shape [-1, 2] in the graph, "
                "not [2]"
            ),
        ),
        (
            'max_batch_size: 8 output { name: "scores" dims: 2 reshape { shape: [ 1, 2 ] } }',
            (
                "config.pbtxt:1: output[0].dims: output 'scores' has shape [-1, 2] in the graph, "
                "not [-1, 1, 2], with the rows that max_batch_size adds"
            ),
        ),
    ],
)
def test_compare_signature_says_what_differs(text, expected):
    assert problems(text) == [expected]


def test_compare_signature_refuses_rows_where_the_graph_has_a_fixed_batch():
    fixed = Spec("x", "FP32", (1, 3))
    text = 'max_batch_size: 8\ninput { name: "x" data_type: TYPE_FP32 dims: 3 }'
    assert problems(text, [fixed], []) == [
        (
            "config.pbtxt:2: input[0].dims: input 'x' has shape [1, 3] in the graph, "
            "not [-1, 3], with the rows that max_batch_size adds"
        )
    ]


def test_compare_signature_says_all_that_differs():
    assert len(problems(BATCHED, [Spec("other", "FP16", (1,))], [])) == 4


def test_optional_inputs_are_noted_with_what_becomes_of_them():
    text = BATCHED.replace('"mask"', '"mask" optional: true') + (
        'input { name: "gone" data_type: TYPE_FP32 dims: 1 optional: true }'
    )
    config = read_triton_config(text.encode(), name="net")
    needed, given = note_signature(config, (IDS, MASK))
    assert needed.startswith("config.pbtxt:3: input[1].optional: the graph needs 'mask': ")
    assert given.startswith("config.pbtxt:5: input[2].optional: the graph takes no 'gone': ")
