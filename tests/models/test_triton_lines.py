"""Lines of fields: held against texts whose layout is known, with comments in between."""

import pytest
from google.protobuf import text_format
from google.protobuf.message import Message
from hypothesis import given, settings, strategies as st

from fastserve._proto import open_inference_grpc_pb2 as pb
from fastserve.models.triton_lines import FieldLines, Key
from tests.models.triton_messages import configs

TEXT = """# name: "comment"
name: "a" "b"
  "c"
input [
  { name: "x # no comment" dims: [ 1,
      2 ] dims: 3 },
  <
    name: 'it\\'s }'
  >
]
input: { name:
  "z" }; output {
  name: "y" }, metric_tags { key: "k\\145y" value: "1" } metric_tags {
  value: "2"
  key: "other" }
metric_tags { key: 'key' value: '3' }
dynamic_batching {
  priority_queue_policy { key: 010 value {
    max_queue_size: 1 } }
  priority_queue_policy { value { } }
}
max_batch_size:
  8
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ((), 1),
        (("name",), 2),
        (("input",), 5),
        (("input", 0), 5),
        (("input", 0, "name"), 5),
        (("input", 0, "dims"), 5),
        (("input", 0, "dims", 0), 5),
        (("input", 0, "dims", 1), 6),
        (("input", 0, "dims", 2), 6),
        (("input", 1), 7),
        (("input", 1, "name"), 8),
        (("input", 1, "dims"), 7),
        (("input", 2, "name"), 11),
        (("input", 9), 1),
        (("output", 0), 12),
        (("output", 0, "name"), 13),
        (("metric_tags", Key("key")), 16),
        (("metric_tags", Key("other")), 13),
        (("metric_tags", Key("none")), 1),
        (("dynamic_batching",), 17),
        (("dynamic_batching", "priority_queue_policy", Key(8)), 18),
        (("dynamic_batching", "priority_queue_policy", Key(8), "max_queue_size"), 19),
        (("dynamic_batching", "priority_queue_policy", Key(8), "timeout_action"), 18),
        (("dynamic_batching", "priority_queue_policy", Key(0)), 20),
        (("dynamic_batching", "priority_levels"), 17),
        (("max_batch_size",), 22),
        (("platform",), 1),
    ],
)
def test_field_lines_finds_the_line_of_a_path(path, line):
    text_format.Parse(TEXT, pb.ModelConfig())
    assert FieldLines(TEXT).line(path) == line


def laid_out(message, path=()):
    """Paths in the order of the printed lines; None where a line has none of its own."""
    for field, value in message.ListFields():
        here = (*path, field.name)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            for key in sorted(value):
                yield (*here, Key(key))
                yield None  # key
                if isinstance(value[key], Message):
                    yield None  # value {
                    yield from laid_out(value[key], (*here, Key(key)))
                    yield None
                else:
                    yield None
                yield None
            continue
        for place, each in enumerate(value if field.is_repeated else [value]):
            step = (*here, place) if field.is_repeated else here
            yield step
            if isinstance(each, Message):
                yield from laid_out(each, step)
                yield None


@settings(max_examples=200, deadline=None)
@given(configs(), st.randoms())
def test_field_lines_finds_every_field_of_what_protobuf_prints(message, random):
    printed = text_format.MessageToString(message).split("\n")[:-1]
    paths = list(laid_out(message))
    assert len(paths) == len(printed)
    lines, expected = [], {}
    for path, line in zip(paths, printed, strict=True):
        lines += random.choice([[], [], ["# } ] \" '"], ["", "\t#{"]])
        lines.append(line + random.choice(["", "  # {", " # ]}>"]))
        if path is not None:
            expected[path] = len(lines)
    text = "\n".join(lines)
    assert text_format.Parse(text, pb.ModelConfig()) == message
    found = FieldLines(text)
    assert {path: found.line(path) for path in expected} == expected


def test_field_lines_finds_each_of_many_keys_in_time():
    text = "\n".join(f"parameters {{ key: 'k{n}' }}" for n in range(5_000))
    lines = FieldLines(text)
    for n in range(5_000):
        assert lines.line(("parameters", Key(f"k{n}"))) == n + 1
