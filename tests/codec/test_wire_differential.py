"""The core's codec against google.protobuf, which is the authority on what bytes mean.

Where both accept, values agree; where one refuses, so does the other. The exceptions are listed in
`_is_known_difference`: bytes on which versions of google.protobuf differ among themselves, and
the bounds that the core sets on purpose.
"""

from __future__ import annotations

import math
import os
import random
import struct

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings, strategies as st

from fastserve._core.core import decode_infer_request, encode_infer_response
from fastserve._proto import open_inference_grpc_pb2 as pb

EXAMPLES = int(os.environ.get("FASTSERVE_CODEC_EXAMPLES", "150"))
MUTANTS = 20  # per example
MAX_RANK = 16

codec_settings = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck)
)

# datatype: (numpy dtype, field of InferTensorContents)
DATATYPES = {
    "BOOL": ("?", "bool_contents"),
    "INT8": ("<i1", "int_contents"),
    "INT16": ("<i2", "int_contents"),
    "INT32": ("<i4", "int_contents"),
    "INT64": ("<i8", "int64_contents"),
    "UINT8": ("<u1", "uint_contents"),
    "UINT16": ("<u2", "uint_contents"),
    "UINT32": ("<u4", "uint_contents"),
    "UINT64": ("<u8", "uint64_contents"),
    "FP16": ("<u2", None),
    "BF16": ("<u2", None),
    "FP32": ("<f4", "fp32_contents"),
    "FP64": ("<f8", "fp64_contents"),
    "BYTES": (None, "bytes_contents"),
}
FIELD_NUMBERS = {f.name: f.number for f in pb.InferTensorContents.DESCRIPTOR.fields}


# --- What google.protobuf says, in the form of decode_infer_request -------------------------------


def _bits(value):
    """A value that compares equal to itself: NaN does not."""
    return struct.pack("<d", value) if isinstance(value, float) else value


def _expected_parameters(parameters):
    expected = {}
    for key, parameter in parameters.items():
        field = parameter.WhichOneof("parameter_choice")
        expected[key] = (field, _bits(getattr(parameter, field)) if field else None)
    return expected


def _actual_parameters(entries):
    # All entries are kept in order; the last one of a key counts.
    return {key: (field, _bits(value)) for key, field, value in entries}


def _float_bytes(contents, field):
    """Raw bytes of fp32_contents or fp64_contents: through Python floats, NaNs would change."""
    alone = pb.InferTensorContents()
    alone.CopyFrom(contents)
    alone.DiscardUnknownFields()
    for other in FIELD_NUMBERS:
        if other != field:
            alone.ClearField(other)
    serialized = alone.SerializeToString()
    size = len(getattr(contents, field)) * (4 if field == "fp32_contents" else 8)
    return serialized[len(serialized) - size :]


def _expected_raw(contents, field, datatype):
    values = getattr(contents, field)
    if field == "bytes_contents":
        return b"".join(struct.pack("<I", len(value)) + value for value in values)
    if field in ("fp32_contents", "fp64_contents"):
        return _float_bytes(contents, field)
    kind = DATATYPES[datatype][0]
    if kind != "?":
        limits = np.iinfo(kind)
        if any(value < limits.min or value > limits.max for value in values):
            return None
    return np.array(list(values), dtype=kind).tobytes()


def _check_contents(tensor, actual):
    if not tensor.HasField("contents"):
        assert actual is None
        return
    used = [name for name in FIELD_NUMBERS if len(getattr(tensor.contents, name))]
    if not used:
        assert actual == {"field": 0, "elements": 0, "raw": b""}
        return
    field = used[0]
    if len(used) > 1 or DATATYPES.get(tensor.datatype, (None, None))[1] != field:
        assert "error" in actual
        return
    raw = _expected_raw(tensor.contents, field, tensor.datatype)
    if raw is None:
        assert "holds" in actual["error"]
        return
    elements = len(getattr(tensor.contents, field))
    assert actual == {"field": FIELD_NUMBERS[field], "elements": elements, "raw": raw}


def _check_values(message, actual):
    assert actual["model_name"] == message.model_name
    assert actual["model_version"] == message.model_version
    assert actual["id"] == message.id
    assert _actual_parameters(actual["parameters"]) == _expected_parameters(message.parameters)
    assert actual["raw_inputs"] == list(message.raw_input_contents)
    assert [output["name"] for output in actual["outputs"]] == [o.name for o in message.outputs]
    for output, expected in zip(actual["outputs"], message.outputs, strict=True):
        assert _actual_parameters(output["parameters"]) == _expected_parameters(expected.parameters)
    assert len(actual["inputs"]) == len(message.inputs)
    for tensor, expected in zip(actual["inputs"], message.inputs, strict=True):
        assert tensor["name"] == expected.name
        assert tensor["datatype"] == expected.datatype
        known = expected.datatype if expected.datatype in DATATYPES else "INVALID"
        assert tensor["dtype"] == known
        assert tensor["rank_too_large"] == (len(expected.shape) > MAX_RANK)
        assert tensor["shape"] == list(expected.shape)[:MAX_RANK]
        assert _actual_parameters(tensor["parameters"]) == _expected_parameters(expected.parameters)
        _check_contents(expected, tensor["contents"])


def _is_known_difference(refusal):
    return (
        # Bounds of the core's own.
        refusal.startswith("ModelInferRequest has too many ")
        # Python protobuf 6 takes lengths of up to 10 bytes; 7, like the core, at most 5.
        or "a length is written in more than 5 bytes" in refusal
        # Python protobuf 7 takes field number 0 inside unknown groups; 6 and the core do not.
        or "a field number inside a group is 0" in refusal
    )


def _compare(data):
    """True when both accepted."""
    try:
        message = pb.ModelInferRequest.FromString(data)
    except DecodeError:
        message = None
    try:
        actual = decode_infer_request(data)
    except ValueError as error:
        refusal = str(error)
        agreed = message is None or _is_known_difference(refusal)
        assert agreed, f"protobuf accepts {data.hex()}, the core says: {refusal}"
        return False
    assert message is not None, f"the core accepts {data.hex()}, protobuf does not"
    _check_values(message, actual)
    return True


# --- Valid requests -------------------------------------------------------------------------------

names = st.text(max_size=12)
int64s = st.integers(-(2**63), 2**63 - 1)
dims = st.one_of(st.integers(0, 300), int64s)


@st.composite
def parameter_values(draw):
    field = draw(st.sampled_from([f.name for f in pb.InferParameter.DESCRIPTOR.fields] + [None]))
    value = {
        "bool_param": st.booleans(),
        "int64_param": int64s,
        "string_param": st.text(max_size=20),
        "double_param": st.floats(),
        "uint64_param": st.integers(0, 2**64 - 1),
        None: st.none(),
    }[field]
    return pb.InferParameter(**({} if field is None else {field: draw(value)}))


parameters = st.dictionaries(names, parameter_values(), max_size=4)


def _put_parameters(target, values):
    for key, value in values.items():
        target[key].CopyFrom(value)


def _values(datatype):
    kind = DATATYPES[datatype][0]
    if kind is None:
        return st.binary(max_size=200)
    if kind == "?":
        return st.booleans()
    if kind == "<f4":
        return st.floats(width=32)
    if kind == "<f8":
        return st.floats()
    limits = np.iinfo(kind)
    return st.integers(int(limits.min), int(limits.max))


@st.composite
def requests(draw):
    message = pb.ModelInferRequest(
        model_name=draw(names), model_version=draw(names), id=draw(names)
    )
    _put_parameters(message.parameters, draw(parameters))
    typed = draw(st.booleans())
    for _ in range(draw(st.integers(0, 4))):
        datatype = draw(st.sampled_from([*DATATYPES, "FP8", ""]))
        tensor = message.inputs.add(name=draw(names), datatype=datatype)
        tensor.shape.extend(draw(st.lists(dims, max_size=18)))
        _put_parameters(tensor.parameters, draw(parameters))
        field = DATATYPES.get(datatype, (None, None))[1]
        if typed and field is not None:
            tensor.contents.SetInParent()
            values = draw(st.lists(_values(datatype), max_size=40))
            getattr(tensor.contents, field).extend(values)
        else:
            message.raw_input_contents.append(draw(st.binary(max_size=300)))
    for _ in range(draw(st.integers(0, 3))):
        output = message.outputs.add(name=draw(names))
        _put_parameters(output.parameters, draw(parameters))
    return message


@codec_settings
@given(requests())
def test_decode_agrees_with_protobuf_on_valid_requests(message):
    assert _compare(message.SerializeToString())


# --- Any bytes ------------------------------------------------------------------------------------


def _varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


# Of each message: {field number: what a well-typed value is}.
GRAMMAR = {
    "request": {1: "text", 2: "text", 3: "text", 4: "entry", 5: "input", 6: "output", 7: "bytes"},
    "input": {1: "text", 2: "datatype", 3: "shape", 4: "entry", 5: "contents"},
    "output": {1: "text", 2: "entry"},
    "entry": {1: "text", 2: "value"},
    "value": {1: "varint", 2: "varint", 3: "text", 4: "fixed64", 5: "varint"},
    "contents": {
        **dict.fromkeys((1, 2, 3, 4, 5), "varints"),
        6: "floats",
        7: "doubles",
        8: "bytes",
    },
}


class _Writer:
    """Random messages in the grammar of the wire: odd, often valid, sometimes not."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        # Most messages keep to the rules, so that their values are compared too.
        self.oddity = self.random.choice((0.0, 0.02, 0.1, 0.5))

    def message(self, name, depth=0):
        fields = GRAMMAR[name]
        count = self.random.choice((0, 1, 1, 2, 2, 3, 5, 8)) if depth < 6 else 0
        if name == "contents":
            # One kind of data, or several.
            several = self.random.random() < 0.1
            field = self.random.randint(1, 8)
            choices = list(fields) if several else [field]
        else:
            choices = list(fields)
        parts = []
        for _ in range(count):
            if self.random.random() < self.oddity:
                parts.append(self.odd_field(depth))
            else:
                number = self.random.choice(choices)
                parts.append(self.field(number, fields[number], depth))
        return b"".join(parts)

    def tag(self, number, wire_type):
        tag = _varint(number << 3 | wire_type)
        if self.random.random() < 0.01:
            return self.overlong(tag)
        return tag

    def overlong(self, varint):
        pad = self.random.randint(0, 11 - len(varint))
        if pad == 0:
            return varint
        return varint[:-1] + bytes([varint[-1] | 0x80]) + b"\x80" * (pad - 1) + b"\x00"

    def number(self):
        value = self.random.choice(
            (0, 1, 2, 7, 127, 128, 255, 256, 2**31 - 1, 2**31, 2**32, 2**63, 2**64 - 1, None)
        )
        if value is None:
            value = self.random.getrandbits(self.random.randint(1, 64))
        elif self.random.random() < 0.3:
            value = (2**64 - value) % 2**64
        varint = _varint(value)
        return self.overlong(varint) if self.random.random() < 0.03 else varint

    def block(self, number, payload):
        length = _varint(len(payload))
        if self.random.random() < 0.01:
            length = self.overlong(length)
        return self.tag(number, 2) + length + payload

    def text(self):
        if self.random.random() < self.oddity / 4:
            return self.random.randbytes(self.random.randint(0, 12))
        letters = self.random.choices("abzÄ€語😀\x00\x7f", k=self.random.randint(0, 12))
        return "".join(letters).encode()

    def field(self, number, kind, depth):
        r = self.random
        if kind in ("shape", "varints"):
            is_packed = r.random() < 0.7
            values = b"".join(self.number() for _ in range(r.randint(0, 6)))
            return self.block(number, values) if is_packed else self.varint_field(number)
        if kind in ("floats", "doubles"):
            size = 4 if kind == "floats" else 8
            is_packed = r.random() < 0.7
            values = r.randbytes(size * (r.randint(0, 6) if is_packed else 1))
            wire_type = 5 if size == 4 else 1
            return self.block(number, values) if is_packed else self.tag(number, wire_type) + values
        if kind == "varint":
            return self.varint_field(number)
        if kind == "fixed64":
            return self.tag(number, 1) + r.randbytes(8)
        if kind == "text":
            payload = self.text()
        elif kind == "datatype":
            payload = r.choice(list(DATATYPES)).encode()
        elif kind == "bytes":
            payload = r.randbytes(r.choice((0, 1, 4, 30, 130)))
        else:
            payload = self.message(kind, depth + 1)
        return self.block(number, payload)

    def varint_field(self, number):
        return self.tag(number, 0) + self.number()

    def odd_field(self, depth):
        r = self.random
        number = r.choice((1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 100, 2**29 - 1, r.randint(0, 2**30)))
        kinds = (
            lambda: self.tag(number, r.choice((0, 1, 2, 5))) + r.randbytes(r.randint(0, 9)),
            lambda: r.randbytes(r.randint(0, 6)),
            lambda: self.group(number, r.choice((1, 2, 3, 95, 96, 97, 98, 99, 100, 101))),
            lambda: self.tag(number, 3) + self.message("value", depth + 1) + self.tag(number, 4),
            lambda: self.tag(number, r.randint(0, 7)),
            lambda: self.varint_field(number),
            lambda: self.tag(number, 1) + r.randbytes(8),
            lambda: self.block(number, r.randbytes(r.randint(0, 5))),
        )
        return r.choice(kinds)()

    def group(self, number, depth):
        return self.tag(number, 3) * depth + self.tag(number, 4) * depth

    def mutated(self, data):
        r = self.random
        data = bytearray(data)
        for _ in range(r.choice((1, 1, 1, 2, 4))):
            at = r.randrange(len(data) + 1)
            choice = r.randrange(6)
            if choice == 0:
                del data[at:]
            elif choice == 1:
                data[at:at] = r.randbytes(r.randint(1, 3))
            elif choice == 2:
                del data[at : at + r.randint(1, 4)]
            elif choice == 3 and data:
                at %= len(data)
                data[at] ^= 1 << r.randrange(8)
            elif choice == 4 and data:
                at %= len(data)
                data[at] = r.choice((0, 1, 0x7F, 0x80, 0xFF, r.randrange(256)))
            else:
                data[at:at] = data[at : at + r.randint(1, 20)]
        return bytes(data)


@codec_settings
@given(st.integers(0, 2**64 - 1))
def test_decode_agrees_with_protobuf_on_any_bytes(seed):
    writer = _Writer(seed)
    data = writer.message("request")
    _compare(data)
    for _ in range(MUTANTS):
        _compare(writer.mutated(data))


@codec_settings
@given(requests(), st.integers(0, 2**64 - 1))
def test_decode_agrees_with_protobuf_on_damaged_requests(message, seed):
    writer = _Writer(seed)
    data = message.SerializeToString()
    for _ in range(MUTANTS):
        _compare(writer.mutated(data))


@codec_settings
@given(st.binary(max_size=64))
def test_decode_agrees_with_protobuf_on_noise(data):
    _compare(data)


@pytest.mark.parametrize("cut", range(80))
def test_decode_refuses_every_proper_prefix_that_protobuf_refuses(cut):
    message = pb.ModelInferRequest(model_name="m", id="7")
    tensor = message.inputs.add(name="x", datatype="INT64", shape=[3, -1])
    tensor.contents.int64_contents.extend([1, -1, 300])
    message.parameters["k"].double_param = 0.5
    message.outputs.add(name="y").parameters["classification"].int64_param = 3
    _compare(message.SerializeToString(deterministic=True)[:cut])


# --- Responses ------------------------------------------------------------------------------------


@st.composite
def outputs(draw):
    datatype = draw(st.sampled_from(list(DATATYPES)))
    kind = DATATYPES[datatype][0]
    values = draw(st.lists(_values(datatype), max_size=60))
    if kind is None:
        data = b"".join(struct.pack("<I", len(value)) + value for value in values)
    elif kind == "?":
        # Any byte but 0 is true.
        data = bytes(draw(st.integers(1, 255)) if value else 0 for value in values)
    else:
        data = np.array(values, dtype=kind).tobytes()
    return {
        "name": draw(names),
        "datatype": datatype,
        "shape": draw(st.lists(dims, max_size=MAX_RANK)),
        "data": data,
        "values": values,
    }


@st.composite
def responses(draw):
    # One at most: the order of a map's entries is the serialiser's own affair.
    entries = draw(st.dictionaries(names, parameter_values(), max_size=1))
    chosen = {key: value.WhichOneof("parameter_choice") for key, value in entries.items()}
    return {
        "model_name": draw(names),
        "model_version": draw(names),
        "id": draw(names),
        "parameters": [
            (key, field, getattr(entries[key], field) if field else None)
            for key, field in chosen.items()
        ],
        "outputs": draw(st.lists(outputs(), max_size=4)),
        "typed": draw(st.booleans()),
    }


def _fill(contents, output):
    field = DATATYPES[output["datatype"]][1]
    contents.SetInParent()
    if field in ("fp32_contents", "fp64_contents"):
        packed = _Writer(0).block(FIELD_NUMBERS[field], output["data"])
        contents.MergeFromString(packed if output["data"] else b"")
    else:
        getattr(contents, field).extend(output["values"])


def _expected_response(response):
    message = pb.ModelInferResponse(
        model_name=response["model_name"],
        model_version=response["model_version"],
        id=response["id"],
    )
    for key, field, value in response["parameters"]:
        message.parameters[key].SetInParent()
        if field is not None:
            setattr(message.parameters[key], field, value)
    has_untyped = any(DATATYPES[o["datatype"]][1] is None for o in response["outputs"])
    typed = response["typed"] and not has_untyped
    for output in response["outputs"]:
        tensor = message.outputs.add(name=output["name"], datatype=output["datatype"])
        tensor.shape.extend(output["shape"])
        if typed:
            _fill(tensor.contents, output)
        else:
            message.raw_output_contents.append(output["data"])
    return message


@codec_settings
@given(responses())
def test_encode_writes_the_bytes_of_protobuf(response):
    expected = _expected_response(response)
    assert encode_infer_response(response) == expected.SerializeToString(deterministic=True)


@codec_settings
@given(responses(), names)
def test_encode_wraps_stream_answers_as_protobuf(response, error):
    expected = pb.ModelStreamInferResponse(error_message=error)
    expected.infer_response.CopyFrom(_expected_response(response))
    actual = encode_infer_response({**response, "error_message": error})
    assert actual == expected.SerializeToString(deterministic=True)


def test_encode_replies_raw_when_one_output_has_no_typed_field():
    data = {"FP16": b"\x00\x3c", "FP32": struct.pack("<f", math.pi)}
    encoded = encode_infer_response(
        {
            "model_name": "m",
            "model_version": "1",
            "id": "",
            "outputs": [
                {"name": name, "datatype": name, "shape": [1], "data": data[name]} for name in data
            ],
            "typed": True,
        }
    )
    message = pb.ModelInferResponse.FromString(encoded)
    assert list(message.raw_output_contents) == list(data.values())
    assert not any(output.HasField("contents") for output in message.outputs)
