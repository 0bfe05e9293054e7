"""What config.pbtxt may not say: each refusal has its line and says what is wrong in our words."""

import json
import string

import pytest
from google.protobuf import json_format, text_format
from hypothesis import given, settings, strategies as st

from fastserve._proto import open_inference_grpc_pb2 as pb
from fastserve.errors import InvalidConfig
from fastserve.models.triton_config import read_triton_config, triton_config_from_json
from tests.models.triton_messages import configs

CUDA = "optimization { execution_accelerators { gpu_execution_accelerator { name: 'cuda' } } }"

# Text that is no ModelConfig: the place is line and column.
UNREADABLE = [
    ("foo: 1", "1:1: ModelConfig has no field 'foo'; known here: name, platform,"),
    ("\n  platforms: 'x'", "2:3: ModelConfig has no field 'platforms'; did you mean 'platform'?"),
    ("input {\n dim: 1 }", "2:2: ModelInput has no field 'dim'; did you mean 'dims'?"),
    ("max_batch_size: 8\nmax_batch_size: 9", "2:17: 'max_batch_size' is given twice"),
    ("dynamic_batching { }\ndynamic_batching {}", "2:18: 'dynamic_batching' is given twice"),
    (
        "dynamic_batching { }\nsequence_batching { }",
        "2:1: 'sequence_batching' and 'dynamic_batching' exclude each other: keep one",
    ),
    (
        "version_policy { latest { num_versions: 1 }\nall { } }",
        "2:1: 'all' and 'latest' exclude each other: keep one",
    ),
    ("max_batch_size: 3.5", "1:17: expected a whole number, got '3.5'"),
    ('max_batch_size: "8"', "1:17: expected a whole number, got '\"8\"'"),
    ("max_batch_size: eight", "1:17: expected a whole number, got 'eight'"),
    ("max_batch_size:", "1:16: expected a whole number, got the end of the line"),
    ("max_batch_size: 2147483648", "1:17: '2147483648' is out of the field's range"),
    ("max_batch_size: 089", "1:17: expected a whole number, got '089'"),
    ("dynamic_batching { priority_levels: -1 }", "1:37: '-1' is out of the field's range"),
    ("input { data_type: TYPE_FP3 }", "1:20: 'TYPE_FP3' is no DataType; did you mean 'TYPE_FP32'?"),
    (
        "input { data_type: TYPE_FLOAT }",
        "1:20: 'TYPE_FLOAT' is no DataType; known here: TYPE_BOOL,",
    ),
    ("instance_group { kind: KIND_XPU }", "1:24: 'KIND_XPU' is no Kind; did you mean 'KIND_"),
    ("response_cache { enable: yes }", "1:26: expected true or false, got 'yes'"),
    ("name: net", "1:7: expected text in quotes, got 'net'"),
    ("name: 'net", "1:7: text has no closing quote: ''net'"),
    ("name: 'net\n'", "1:7: text has no closing quote: ''net'"),
    (r"name: '\xff'", "1:13: text is not UTF-8"),
    (r"name: '\ud83d'", "1:7: ''utf-8' codec can't encode"),
    ('name = "net"', "1:6: expected ':', got '='"),
    ('{ "name": "net" }', "1:1: expected the name of a field, got '{'"),
    ("}", "1:1: expected the name of a field, got '}'"),
    ("[foo.bar] { }", "1:6: expected the name of a field, got an extension"),
    ("input { name: 'x'", "1:15: expected '}', got ''x''"),
    ("input {\n name: 'x' ]", "2:12: expected the name of a field, got ']'"),
    ("input [ { name: 'x' } { name: 'y' } ]", "1:23: expected ',', got '{'"),
    ("input 'x'", "1:7: expected '{', got ''x''"),
    ("input { dims: [ 1 2 ] }", "1:19: expected ',', got '2'"),
    ("input { dims: [ 1, ] }", "1:20: expected a whole number, got ']'"),
    ("\ufeffname: 'net'", "1:1: expected the name of a field, got '\ufeff'"),
    ("input {" * 100_000, "1:8: ModelInput has no field 'input'; "),
    ("[" * 100_000, "1:2: expected the name of a field, got '['"),
    ("a" * 1_000_000, "1:1: ModelConfig has no field 'aaa"),
]

# A ModelConfig that cannot be honoured: the place is line and path.
REFUSED = [
    ("\nname: 'other'", "2: name: 'other' differs from the model's folder, 'net'"),
    (
        "platform: 'tensorrt_plan'",
        "1: platform: 'tensorrt_plan' is not served, expected 'onnxruntime_onnx'",
    ),
    ("# !\nbackend: 'python'", "2: backend: 'python' is not served, expected 'onnxruntime'"),
    ("max_batch_size: -1", "1: max_batch_size: got -1, expected 0 to 1048576"),
    ("max_batch_size: 2000000", "1: max_batch_size: got 2000000, expected 0 to 1048576"),
    ("input [ { dims: 1 } ]", "1: input[0]: has no name"),
    (
        "output { name: 'x' }\noutput { name: 'y' }\noutput {\n name: 'x' }",
        "4: output[2].name: 'x' is there already",
    ),
    (
        "input { name: 'x' }\noutput { name: 'x' dims: 1 reshape { } }",
        "2: output[0]: is also an input, 'x', of another reshape",
    ),
    (
        "input { name: 'x' dims: [ 1,\n2,\n0 ] }",
        "3: input[0].dims[2]: got 0, expected at least 1, or -1",
    ),
    ("input { name: 'x' dims: -2 }", "1: input[0].dims[0]: got -2, expected at least 1, or -1"),
    (
        f"input {{ name: 'x' dims: [ {', '.join('1' * 17)} ] }}",
        "1: input[0].dims: has 17 axes, more than 16",
    ),
    (
        "input { name: 'x'\ndata_type: 77 }",
        "2: input[0].data_type: '77' is no DataType; known here: TYPE_BOOL",
    ),
    (
        "input [ { name: 'a' }, {\n name: 'x' dims: 4\n reshape { shape: [ 3 ] } } ]",
        "3: input[1].reshape: [3] has not as many elements as dims [4]; axes of -1 keep their",
    ),
    ("input { name: 'x'\nreshape { shape: 1 } }", "2: input[0].reshape: needs dims, which says"),
    (
        "input { name: 'x'\nis_shape_tensor: true }",
        "2: input[0].is_shape_tensor: is for TensorRT alone; leave it out",
    ),
    (
        "output { name: 'x'\nis_non_linear_format_io: true }",
        "2: output[0].is_non_linear_format_io: is for TensorRT alone",
    ),
    (
        "input { name: 'x' }\ninput { name: 'y'\nallow_ragged_batch: true }",
        "3: input[1].allow_ragged_batch: requests of different shapes never share a batch",
    ),
    (
        "max_batch_size: 8\nsequence_batching { direct { } }",
        "2: sequence_batching: state kept between requests is not served",
    ),
    (
        "platform: 'ensemble'\nensemble_scheduling { step [ { model_name: 'a' } ] }",
        "2: ensemble_scheduling: ensembles are not served; serve each step as a model",
    ),
    (
        "\n\nmodel_transaction_policy {\n decoupled: true }",
        "4: model_transaction_policy.decoupled: a request has exactly one answer",
    ),
    ("batch_input [ { kind: BATCH_ITEM_SHAPE } ]", "1: batch_input: inputs made up from a batch"),
    ("batch_output { target_name: 'y' }", "1: batch_output: outputs scattered by another"),
    (
        "model_operations { op_library_filename: 'ops.so' }",
        "1: model_operations: libraries of custom operators are not loaded",
    ),
    (
        "model_repository_agents { agents { name: 'checksum' } }",
        "1: model_repository_agents: agents are not run",
    ),
    ("runtime: 'libtriton_x.so'", "1: runtime: names a library of Triton's"),
    (
        "instance_group [ { count: 1 },\n{ kind:\nKIND_GPU } ]",
        "2: instance_group[1].kind: KIND_GPU needs the CUDA provider: ask for it with",
    ),
    (
        "instance_group { kind: KIND_CPU gpus: 0 }",
        "1: instance_group[0].gpus: a group of KIND_CPU has no GPU",
    ),
    (
        (f"{CUDA}\ninstance_group {{ kind: KIND_GPU gpus: [ 0, 1 ] }}"),
        "2: instance_group[0].gpus: one session runs on one GPU, got [0, 1]: keep one",
    ),
    (
        (f"{CUDA}\ncc_model_filenames {{ key: '7.5' value: 'x.onnx' }}"),
        "2: cc_model_filenames: a file by compute capability is not chosen",
    ),
    ("instance_group { count: -1 }", "1: instance_group[0].count: got -1, expected 0 to"),
    ("instance_group { passive: true }", "1: instance_group[0].passive: an instance that gets"),
    ("instance_group { profile: '1' }", "1: instance_group[0].profile: is for TensorRT alone"),
    (
        "instance_group { secondary_devices { device_id: 1 } }",
        "1: instance_group[0].secondary_devices: is for TensorRT alone",
    ),
    (
        (
            "optimization { execution_accelerators {\n gpu_execution_accelerator : [ {\n"
            ' name : "tensorrt" } ] } }'
        ),
        (
            "2: optimization.execution_accelerators.gpu_execution_accelerator[0]: 'tensorrt' is "
            "not served, and its answers may differ; expected 'cuda'"
        ),
    ),
    (
        'optimization { execution_accelerators {\ncpu_execution_accelerator { name: "openvino" }}}',
        "2: optimization.execution_accelerators.cpu_execution_accelerator[0]: 'openvino' is not",
    ),
    (
        (
            'optimization { execution_accelerators { gpu_execution_accelerator { name: "cuda"\n'
            'parameters { key: "device_id" value: "0" }\n'
            'parameters { key: "user_compute_stream" value: "94023" } } } }'
        ),
        (
            "3: optimization.execution_accelerators.gpu_execution_accelerator[0]."
            "parameters['user_compute_stream']: is an address in the server's memory"
        ),
    ),
    (
        (
            'optimization { execution_accelerators { gpu_execution_accelerator { name: "cuda"\n'
            'parameters { key: "profile_dump_path" value: "/x" } } } }'
        ),
        (
            "2: optimization.execution_accelerators.gpu_execution_accelerator[0]."
            "parameters['profile_dump_path']: would have the provider read or write files"
        ),
    ),
    (
        (
            'parameters { key: "a" value { string_value: "1" } }\n'
            'parameters { key: "intra_op_thread_count" value { string_value: "four" } }'
        ),
        "2: parameters['intra_op_thread_count']: got 'four', expected a whole number up to 1024",
    ),
    (
        'parameters { key: "intra_op_thread_count" value { string_value: "-1" } }',
        "1: parameters['intra_op_thread_count']: got '-1', expected a whole number",
    ),
    (
        'parameters { key: "intra_op_thread_count" value { } }',
        "1: parameters['intra_op_thread_count']: got '', expected a whole number",
    ),
    (
        'parameters { key: "execution_mode" value { string_value: "2" } }',
        "1: parameters['execution_mode']: got '2', expected a whole number up to 1",
    ),
    (
        'parameters { key: "enable_mem_arena" value { string_value: "on" } }',
        "1: parameters['enable_mem_arena']: got 'on', expected 0 or 1",
    ),
    ("version_policy { latest { } }", "1: version_policy.latest.num_versions: got 0, expected 1"),
    ("version_policy { specific { } }", "1: version_policy.specific: names no version"),
    (
        "version_policy { specific { versions: [ 1,\n 0 ] } }",
        "2: version_policy.specific.versions[1]: got 0, expected 1 to 9223372036854775807",
    ),
    (
        "version_policy { specific { versions: 2\n versions: 2 } }",
        "2: version_policy.specific.versions[1]: version 2 is named already",
    ),
    (
        "max_batch_size: 8\ndynamic_batching {\n preferred_batch_size: [ 4, 9 ] }",
        "3: dynamic_batching.preferred_batch_size[1]: got 9, expected 1 to 8, the max_batch_size",
    ),
    (
        "dynamic_batching { preferred_batch_size: 4 }",
        "1: dynamic_batching.preferred_batch_size: nothing is batched: max_batch_size is 0",
    ),
    (
        "dynamic_batching {\n\nmax_queue_delay_microseconds: 10000001 }",
        "3: dynamic_batching.max_queue_delay_microseconds: got 10000001, expected 0 to 10000000",
    ),
    (
        "dynamic_batching {\npriority_levels: 18446744073709551615 }",
        "2: dynamic_batching.priority_levels: got 18446744073709551615, expected 0 to 1000",
    ),
    (
        "dynamic_batching {\npriority_levels: 2 }",
        "1: dynamic_batching.default_priority_level: got 0, expected 1 to 2",
    ),
    (
        (
            "dynamic_batching { priority_levels: 2 default_priority_level: 1\n"
            "priority_queue_policy { key: 1 value { } }\n"
            "priority_queue_policy { key: 3 value { } } }"
        ),
        "3: dynamic_batching.priority_queue_policy[3]: got 3, expected 1 to 2",
    ),
    (
        (
            "dynamic_batching { priority_levels: 2 default_priority_level: 1\n"
            "priority_queue_policy { key: 01 value {\n"
            "default_timeout_microseconds: 18446744073709551615 } } }"
        ),
        "3: dynamic_batching.priority_queue_policy[1].default_timeout_microseconds: got 1844",
    ),
    (
        "dynamic_batching { default_queue_policy {\n timeout_action: 5 } }",
        (
            "2: dynamic_batching.default_queue_policy.timeout_action: '5' is no TimeoutAction; "
            "known here: REJECT, DELAY"
        ),
    ),
    (
        "default_model_filename: '../1/model.onnx'",
        "1: default_model_filename: '../1/model.onnx' begins with a dot",
    ),
    (
        "default_model_filename: 'a/model.onnx'",
        "1: default_model_filename: 'a/model.onnx' is not a plain name",
    ),
    (
        "model_warmup { name: 'w' }",
        "1: model_warmup[0]: has no inputs",
    ),
    (
        (
            "max_batch_size: 4\nmodel_warmup { inputs { key: 'x' value { data_type: TYPE_FP32 "
            "zero_data: true } }\nbatch_size: 5 }"
        ),
        "3: model_warmup[0].batch_size: got 5, expected 1 to 4",
    ),
    (
        "model_warmup { count: 10001 }",
        "1: model_warmup[0].count: got 10001, expected 0 to 10000",
    ),
    (
        "input { name: 'x' }\nmodel_warmup {\ninputs { key: 'y' value { zero_data: true } } }",
        "3: model_warmup[0].inputs['y']: there is no such input; listed are: 'x'",
    ),
    (
        "model_warmup { inputs { key: 'x' value { zero_data: true } } }",
        "1: model_warmup[0].inputs['x']: has no data_type",
    ),
    (
        "model_warmup { inputs { key: 'x' value { data_type: TYPE_FP32 } } }",
        "1: model_warmup[0].inputs['x']: has no data: expected zero_data: true",
    ),
    (
        (
            "model_warmup { inputs { key: 'x'\nvalue { data_type: TYPE_FP32 dims: -1\n"
            "zero_data: true } } }"
        ),
        "2: model_warmup[0].inputs['x'].dims[0]: got -1, expected 0 to",
    ),
    (
        (
            "model_warmup { inputs { key: 'x' value { data_type: TYPE_FP32 dims: [ 65536,\n65536 ] "
            "zero_data: true } } }"
        ),
        "2: model_warmup[0].inputs['x'].dims[1]: has more than 268435456 elements",
    ),
    (
        (
            "model_warmup { inputs { key: 'x' value { data_type: TYPE_FP32\n"
            "input_data_file: '../../secret' } } }"
        ),
        "2: model_warmup[0].inputs['x'].input_data_file: '../../secret' begins with a dot",
    ),
]


def refusal(data):
    with pytest.raises(InvalidConfig) as error:
        read_triton_config(data, name="net")
    message = error.value.message
    assert "\n" not in message
    assert len(message) < 2_000
    return message


@pytest.mark.parametrize(("text", "expected"), UNREADABLE, ids=range(len(UNREADABLE)))
def test_read_triton_config_gives_line_and_column_when_the_text_cannot_be_read(text, expected):
    assert refusal(text.encode()).startswith(f"config.pbtxt:{expected}")


@pytest.mark.parametrize(("text", "expected"), REFUSED, ids=range(len(REFUSED)))
def test_read_triton_config_gives_the_line_when_it_cannot_honour_a_field(text, expected):
    assert refusal(text.encode()).startswith(f"config.pbtxt:{expected}")


def test_read_triton_config_gives_the_line_when_bytes_are_no_text():
    message = refusal(b"name: 'net'\n# \xff")
    assert message == "config.pbtxt:2: is not UTF-8 at byte 14"


def test_read_triton_config_refuses_a_number_that_no_enum_holds():
    assert refusal(b"input { data_type: 77777777777 }").startswith("config.pbtxt: 'Value out of")


WORDS = [
    *("{", "}", "[", "]", "<", ">", ":", ",", ";", "#", "\n", " ", "'", '"', "\\", "-1", "0", "8"),
    *("1.5", "true", "'x'", "TYPE_FP32", "KIND_CPU", "key", "value", "string_value", "shape"),
    *(field.name for field in pb.ModelConfig.DESCRIPTOR.fields),
    *(field.name for field in pb.ModelInput.DESCRIPTOR.fields),
    *(field.name for field in pb.ModelDynamicBatching.DESCRIPTOR.fields),
    *(field.name for field in pb.ModelWarmup.DESCRIPTOR.fields),
]


def reads_or_refuses(read):
    message = "config"
    try:
        read()
    except InvalidConfig as error:
        message = error.message
    assert message.startswith("config")
    assert "\n" not in message


@settings(max_examples=600, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=60))
def test_read_triton_config_raises_nothing_else_over_words(words):
    reads_or_refuses(lambda: read_triton_config(" ".join(words).encode(), name="net"))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode()))
def test_read_triton_config_raises_nothing_else_over_bytes(data):
    reads_or_refuses(lambda: read_triton_config(data, name="net"))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(string.printable, max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4)
    ),
    max_leaves=20,
)


@settings(max_examples=400, deadline=None)
@given(st.dictionaries(st.sampled_from(WORDS), JSON_VALUES, max_size=5))
def test_triton_config_from_json_raises_nothing_else(value):
    reads_or_refuses(lambda: triton_config_from_json(json.dumps(value), name="net"))


@settings(max_examples=300, deadline=None)
@given(configs())
def test_text_and_json_of_one_message_are_read_or_refused_alike(message):
    text = text_format.MessageToString(message)
    as_json = json_format.MessageToJson(message, preserving_proto_field_name=True)
    results = []
    for read in (
        lambda: read_triton_config(text.encode(), name="net"),
        lambda: triton_config_from_json(as_json, name="net"),
    ):
        try:
            results.append(read().config)
        except InvalidConfig as error:
            # Without the place they begin with the path.
            results.append(error.message.split(": ", 1)[1])
    assert results[0] == results[1]
