"""config.pbtxt and its JSON: what each field becomes, and what is listed as ignored."""

import re

import pytest
from google.protobuf import json_format, text_format

from fastserve._proto import open_inference_grpc_pb2 as pb
from fastserve.errors import InvalidConfig
from fastserve.models.triton_config import read_triton_config, triton_config_from_json
from fastserve.models.triton_fields import FIELDS
from fastserve.models.triton_tensors import TensorDeclaration
from fastserve.models.triton_warmup import WarmupInput, WarmupRequest
from tests.models.triton_texts import GOOD, expected

WARMUP = """
max_batch_size: 4
input { name: "x" data_type: TYPE_FP32 dims: [ 2 ] }
model_warmup [
  {
    name: "zeros"
    batch_size: 4
    count: 3
    inputs { key: "x" value: { data_type: TYPE_FP32 dims: [ 2 ] zero_data: true } }
  },
  { inputs { key: "x" value: { data_type: TYPE_FP32 dims: 2 random_data: true } } }
]
model_warmup {
  name: "recorded"
  inputs { key: "x" value { data_type: TYPE_STRING dims: 0 input_data_file: "rows.bin" } }
}
"""


def read(text):
    return read_triton_config(text.encode(), name="net")


@pytest.mark.parametrize("case", GOOD)
def test_read_triton_config_maps_the_text(case):
    text, changes, ignored = GOOD[case]
    found = read(text)
    assert found.config == expected(changes)
    places = [re.match(r"config\.pbtxt:(\d+): (.+?): (.+)", entry) for entry in found.ignored]
    assert [(int(place[1]), place[2]) for place in places] == ignored
    assert all("\n" not in entry for entry in found.ignored)


@pytest.mark.parametrize("case", GOOD)
def test_triton_config_from_json_maps_the_same_message_alike(case):
    text, changes, ignored = GOOD[case]
    message = text_format.Parse(text, pb.ModelConfig())
    for keeps_names in (True, False):
        as_json = json_format.MessageToJson(message, preserving_proto_field_name=keeps_names)
        found = triton_config_from_json(as_json, name="net")
        assert found.config == expected(changes)
        assert {entry.split(": ")[1] for entry in found.ignored} == {path for _, path in ignored}
        assert all(entry.startswith("config: ") for entry in found.ignored)


@pytest.mark.parametrize("case", GOOD)
def test_read_triton_config_reads_what_protobuf_prints(case):
    message = text_format.Parse(GOOD[case][0], pb.ModelConfig())
    for options in ({}, {"as_one_line": True}, {"pointy_brackets": True}, {"as_utf8": True}):
        printed = text_format.MessageToString(message, **options)
        assert read(printed).config == expected(GOOD[case][1])


def test_read_triton_config_gives_reasons_with_what_is_ignored():
    assert read("max_batch_size: 1\n\nresponse_cache {\n enable: true }").ignored == (
        "config.pbtxt:4: response_cache.enable: fastserve has no response cache",
    )
    assert read("instance_group { count: 4 kind: KIND_CPU }").ignored == (
        "config.pbtxt:1: instance_group[0]: 4 of KIND_CPU: one session is shared by all executors",
    )


def test_read_triton_config_keeps_tensors_for_the_comparison_with_the_graph():
    found = read(
        'input { name: "x" data_type: TYPE_FP16 dims: [ -1, 2 ] }\n'
        'output {\n name: "y" data_type: TYPE_STRING dims: 1 }'
    )
    assert found.inputs == (
        TensorDeclaration(
            name="x",
            datatype="FP16",
            dims=(-1, 2),
            reshape=None,
            optional=False,
            place="config.pbtxt:1: input[0]",
        ),
    )
    assert [(each.datatype, each.place) for each in found.outputs] == [
        ("BYTES", "config.pbtxt:2: output[0]")
    ]


def test_read_triton_config_keeps_warmup_as_requests():
    zeros, made_up, recorded = read(WARMUP).warmup
    assert zeros == WarmupRequest(
        name="zeros",
        batch_size=4,
        count=3,
        inputs={"x": WarmupInput(datatype="FP32", dims=(2,), kind="zero")},
    )
    assert (made_up.name, made_up.batch_size, made_up.count) == ("model_warmup[1]", 1, 1)
    assert made_up.inputs["x"].kind == "random"
    assert recorded.inputs["x"] == WarmupInput(
        datatype="BYTES", dims=(0,), kind="file", file="rows.bin"
    )


@pytest.mark.parametrize("kind", FIELDS)
def test_every_field_of_the_protocol_has_a_rule(kind):
    package, parts = pb.DESCRIPTOR.message_types_by_name, kind.split(".")
    descriptor = package[parts[0]]
    for part in parts[1:]:
        descriptor = descriptor.nested_types_by_name[part]
    assert set(FIELDS[kind]) == {field.name for field in descriptor.fields}


def test_every_message_that_is_read_has_a_table():
    pending, seen = [pb.ModelConfig.DESCRIPTOR], set()
    while pending:
        descriptor = pending.pop()
        name = descriptor.full_name.removeprefix("inference.")
        if name in seen:
            continue
        seen.add(name)
        for field in descriptor.fields:
            inner = field.message_type
            if FIELDS[name][field.name].verdict != "read" or inner is None:
                continue
            if inner.GetOptions().map_entry:
                inner = inner.fields_by_name["value"].message_type
            pending += [inner] if inner is not None else []
    assert seen == set(FIELDS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "config: expected a JSON object, got ''"),
        ("[]", "config: expected a JSON object, got '[]'"),
        ("null", "config: expected a JSON object, got 'null'"),
        ("{", "config: is not JSON: 'Expecting property name enclosed in double quotes"),
        ('{"name":"net","name":"net"}', "config: is not JSON: 'duplicate key name'"),
        ('{"a":' * 100_000, "config: is not JSON: 'maximum recursion depth exceeded"),
        ('{"nam": "net"}', "config: ModelConfig has no field 'nam'; did you mean 'name'?"),
        (
            '{"input": [{}, {"dim": [1]}]}',
            "config: input[1]: ModelInput has no field 'dim'; did you mean 'dims'?",
        ),
        (
            '{"input": [{"data_type": "TYPE_FLOAT"}]}',
            "config: input[0].data_type: 'TYPE_FLOAT' is no DataType; known here: TYPE_BOOL",
        ),
        ('{"input": [{"name": "x", "data_type": 77}]}', "config: input[0].data_type: '77' is no"),
        ('{"max_batch_size": 1.5}', "config: max_batch_size: 'Couldn't parse integer: 1.5'"),
        ('{"max_batch_size": true}', "config: max_batch_size: 'Bool value True is not"),
        ('{"max_batch_size": -1}', "config: max_batch_size: got -1, expected 0 to 1048576"),
        ('{"name": "\\ud800"}', "config: name: 'Unpaired surrogate'"),
        ('{"name": "other"}', "config: name: 'other' differs from the model's folder, 'net'"),
        (
            '{"maxBatchSize": 8, "dynamicBatching": {"preferredBatchSize": [4, 9]}}',
            "config: dynamic_batching.preferred_batch_size[1]: got 9, expected 1 to 8",
        ),
        (
            '{"sequence_batching": {}}',
            "config: sequence_batching: state kept between requests is not served",
        ),
        (
            '{"dynamic_batching": {}, "ensemble_scheduling": {}}',
            'config: \'Message type "inference.ModelConfig" should not have multiple',
        ),
        (
            '{"parameters": {"execution_mode": {"string_value": "2"}}}',
            "config: parameters['execution_mode']: got '2', expected a whole number up to 1",
        ),
        ("{" + " " * (1 << 20), "config: has 1048577 characters, more than the limit of 1048576"),
    ],
)
def test_triton_config_from_json_names_the_path_when_it_refuses(text, message):
    with pytest.raises(InvalidConfig) as error:
        triton_config_from_json(text, name="net")
    assert error.value.message.startswith(message)
    assert "\n" not in error.value.message
