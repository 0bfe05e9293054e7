"""Texts of config.pbtxt in the shapes that people write them, each with what it becomes."""

from fastserve.model_config import (
    BatchingConfig,
    ModelConfig,
    PriorityConfig,
    ProviderConfig,
    QueuePolicy,
    RuntimeConfig,
    TensorConfig,
    VersionsConfig,
)

ROWS_8 = {"batching": BatchingConfig(max_rows=8), "max_request_rows": 8}
OFF = {"batching": BatchingConfig(enabled=False)}

# text, what differs from ModelConfig(), what is ignored as (line, path)
GOOD = {
    "nothing": ("", {}, []),
    "comments alone": ('# nothing\n\n  # at all { [ "', {}, []),
    "name and platform": ('name: "net"\nplatform: "onnxruntime_onnx"\n', {}, []),
    "backend": ("backend: 'onnxruntime'", {}, []),
    "both": ('platform: "onnxruntime_onnx", backend: "onnxruntime";', {}, []),
    "texts beside one another": ("backend: \"onnx\" 'runtime'\n# end", {}, []),
    "windows line ends": ('name: "net"\r\nmax_batch_size: 8\r\n', ROWS_8, []),
    "tensors in lists": (
        """
name: "net"
platform: "onnxruntime_onnx"
max_batch_size: 8
input [
  {
    name: "data_0"
    data_type: TYPE_FP32
    format: FORMAT_NCHW
    dims: [ 3, 224, 224 ]
  }
]
output [
  {
    name: "fc6_1"
    data_type: TYPE_FP32
    dims: [ 1000 ]
    label_filename: "labels.txt"
  }
]
""",
        ROWS_8,
        [(9, "input[0].format"), (18, "output[0].label_filename")],
    ),
    "tensors one by one": (
        """max_batch_size: 8
input { name: "a" data_type: TYPE_INT64 dims: -1 }
input: { name: "b", data_type: TYPE_INT64, dims: [ -1 ], }
input < name: "c" data_type: TYPE_STRING dims: 1 dims: 2 >
output { name: "y" data_type: TYPE_FP32 dims: [ 2 ] }""",
        ROWS_8,
        [],
    ),
    "whole shapes": (
        'max_batch_size: 0 input { name: "x" data_type: TYPE_FP32 dims: [ 1, 3, -1, -1 ] }',
        OFF,
        [],
    ),
    "whole shapes without max_batch_size": (
        'output { name: "x" data_type: TYPE_FP32 dims: [ 1 ] }',
        OFF,
        [],
    ),
    "left to the graph": ('input { name: "x" }', OFF, []),
    "reshape": (
        """max_batch_size: 8
input [ { name: "x" data_type: TYPE_FP32 dims: [ 1 ] reshape: { shape: [ ] } },
        { name: "z" data_type: TYPE_FP32 dims: [ 2, -1 ] reshape { shape: [ 1, 2, -1 ] } } ]
output [ { name: "y" data_type: TYPE_FP32 dims: [ 2, 2 ] reshape { shape: 4 } } ]""",
        ROWS_8
        | {
            "tensors": {
                "x": TensorConfig(shape=(1,), reshape=()),
                "z": TensorConfig(shape=(2, -1), reshape=(1, 2, -1)),
                "y": TensorConfig(shape=(2, 2), reshape=(4,)),
            }
        },
        [],
    ),
    "dynamic batching empty": ("max_batch_size: 8\ndynamic_batching { }", ROWS_8, []),
    "dynamic batching with a delay": (
        "max_batch_size: 8\ndynamic_batching {\n  max_queue_delay_microseconds: 100\n}",
        ROWS_8 | {"batching": BatchingConfig(max_rows=8, max_delay_us=100)},
        [],
    ),
    "preferred sizes": (
        "max_batch_size: 64\ndynamic_batching {\n  preferred_batch_size: [ 4, 32, 8 ] }",
        {"batching": BatchingConfig(max_rows=32), "max_request_rows": 64},
        [(3, "dynamic_batching.preferred_batch_size")],
    ),
    "one preferred size": (
        "max_batch_size: 64\ndynamic_batching { preferred_batch_size: 32 }",
        {"batching": BatchingConfig(max_rows=32), "max_request_rows": 64},
        [],
    ),
    "delay without batches": (
        'input { name: "x" }\ndynamic_batching { max_queue_delay_microseconds: 5 }',
        OFF,
        [(2, "dynamic_batching.max_queue_delay_microseconds")],
    ),
    "order kept": (
        "max_batch_size: 8\n\ndynamic_batching { preserve_ordering: true }",
        ROWS_8,
        [(3, "dynamic_batching.preserve_ordering")],
    ),
    "priorities and all policies": (
        """max_batch_size: 8
dynamic_batching {
  priority_levels: 3
  default_priority_level: 2
  default_queue_policy { timeout_action: DELAY default_timeout_microseconds: 1000 }
  priority_queue_policy {
    key: 1
    value: { allow_timeout_override: true max_queue_size: 10 }
  }
  priority_queue_policy { key: 0x3 value { timeout_action: REJECT max_queue_size: 1 } }
}""",
        ROWS_8
        | {
            "queue": PriorityConfig(
                priority_levels=3,
                default_priority=2,
                default=QueuePolicy(timeout_action="delay", timeout_us=1000),
                levels={
                    "1": QueuePolicy(allow_timeout_override=True, max_requests=10),
                    "3": QueuePolicy(max_requests=1),
                },
            )
        },
        [],
    ),
    "a policy without priorities": (
        """max_batch_size: 8
dynamic_batching {
  default_queue_policy { max_queue_size: 4 }
  default_priority_level: 1
  priority_queue_policy { key: 1 value { max_queue_size: 1 } }
}""",
        ROWS_8 | {"queue": PriorityConfig(default=QueuePolicy(max_requests=4))},
        [
            (4, "dynamic_batching.default_priority_level"),
            (5, "dynamic_batching.priority_queue_policy"),
        ],
    ),
    "instances": (
        """instance_group [
  { count: 2 kind: KIND_CPU },
  {
    count: 1
    host_policy: "numa0"
    rate_limiter { resources [ { name: "R" count: 1 } ] }
  }
]""",
        {},
        [
            (2, "instance_group[0]"),
            (3, "instance_group[1]"),
            (5, "instance_group[1].host_policy"),
            (6, "instance_group[1].rate_limiter"),
        ],
    ),
    "latest versions": (
        "version_policy: { latest: { num_versions: 2 } }",
        {"versions": VersionsConfig(latest=2)},
        [],
    ),
    "all versions": ("version_policy { all { } }", {"versions": VersionsConfig(all=True)}, []),
    "specific versions": (
        "version_policy: { specific: { versions: [ 3, 1 ] } }",
        {"versions": VersionsConfig(specific=(3, 1))},
        [],
    ),
    "threads and memory": (
        """parameters { key: "intra_op_thread_count" value: { string_value: "4" } }
parameters { key: "execution_mode" value: { string_value: "1" } }
parameters { key: "inter_op_thread_count" value: { string_value: "2" } }
parameters { key: "enable_mem_arena" value: { string_value: "0" } }
parameters { key: "enable_mem_pattern" value: { string_value: "True" } }
parameters { key: "memory.enable_memory_arena_shrinkage" value: { string_value: "cpu:0" } }
parameters {
  key: "session.use_device_allocator_for_initializers"
  value: { string_value: "1" }
}
parameters { key: "session.use_ort_model_bytes_directly" value: { string_value: "1" } }
optimization { graph { level: 1 } }
parameters: [
  { key: "share_session_between_instances" value: { string_value: "true" } },
  { key: "fa" "vourite" value: { string_value: "blue" } }
]""",
        {
            "runtime": RuntimeConfig(
                intra_op_threads=4,
                inter_op_threads=2,
                cpu_arena=False,
                memory_pattern=True,
                optimization_level=2,
                config_entries={"session.use_device_allocator_for_initializers": "1"},
            )
        },
        [
            (6, "parameters['memory.enable_memory_arena_shrinkage']"),
            (11, "parameters['session.use_ort_model_bytes_directly']"),
            (14, "parameters['share_session_between_instances']"),
            (15, "parameters['favourite']"),
        ],
    ),
    "zero threads": (
        """parameters { key: "intra_op_thread_count" value: { string_value: "0" } }
parameters { key: "execution_mode" value: { string_value: "0" } }
parameters { key: "inter_op_thread_count" value: { string_value: "0" } }""",
        {},
        [],
    ),
    "threads that do not count": (
        'parameters { key: "inter_op_thread_count" value: { string_value: "3" } }',
        {},
        [(1, "parameters['inter_op_thread_count']")],
    ),
    "parallel without threads": (
        '\nparameters { key: "execution_mode" value: { string_value: "1" } }',
        {},
        [(2, "parameters['execution_mode']")],
    ),
    "basic optimizations": (
        "optimization { graph { level: -1 } }",
        {"runtime": RuntimeConfig(optimization_level=1)},
        [],
    ),
    "no optimizations": (
        "optimization: { graph: { level: 2 } }",
        {"runtime": RuntimeConfig(optimization_level=0)},
        [],
    ),
    "a level that is none": (
        "optimization { graph\n{\nlevel: 7 } }",
        {},
        [(3, "optimization.graph.level")],
    ),
    "optimizations of others": (
        """optimization {
  priority: PRIORITY_MAX
  cuda { graphs: true }
  input_pinned_memory { enable: true }
  output_pinned_memory { enable: false }
  gather_kernel_buffer_threshold: 1
  eager_batching: true
}""",
        {},
        [
            (2, "optimization.priority"),
            (3, "optimization.cuda"),
            (4, "optimization.input_pinned_memory"),
            (5, "optimization.output_pinned_memory"),
            (6, "optimization.gather_kernel_buffer_threshold"),
            (7, "optimization.eager_batching"),
        ],
    ),
    "a GPU": (
        """instance_group [ { kind: KIND_GPU gpus: [ 1 ] count: 1 } ]
optimization { execution_accelerators { gpu_execution_accelerator : [ {
  name : "cuda"
  parameters { key: "cudnn_conv_use_max_workspace" value: "0" } } ] } }""",
        {
            "runtime": RuntimeConfig(
                providers=(
                    ProviderConfig(
                        name="CUDA",
                        options={"cudnn_conv_use_max_workspace": "0", "device_id": "1"},
                    ),
                )
            )
        },
        [(1, "instance_group[0]")],
    ),
    "any GPU": (
        'optimization { execution_accelerators { gpu_execution_accelerator { name: "cuda" } } }',
        {"runtime": RuntimeConfig(providers=(ProviderConfig(name="CUDA"),))},
        [],
    ),
    "a GPU that no instance uses": (
        """optimization { execution_accelerators {
  gpu_execution_accelerator { name: "cuda" } } }
instance_group { kind: KIND_CPU }
cc_model_filenames { key: "7.5" value: "turing.onnx" }""",
        {},
        [
            (2, "optimization.execution_accelerators.gpu_execution_accelerator"),
            (3, "instance_group[0]"),
            (4, "cc_model_filenames"),
        ],
    ),
    "another file": ('default_model_filename: "net-v2.onnx"', {"model_file": "net-v2.onnx"}, []),
    "what has no effect": (
        """metric_tags { key: "team" value: "search" }
response_cache { enable: true }
model_metrics { metric_control { metric_identifier { family: "nv_x" } } }
model_transaction_policy { decoupled: false }
""",
        {},
        [(1, "metric_tags"), (2, "response_cache.enable"), (3, "model_metrics")],
    ),
    "a cache that is off": ("response_cache { enable: false }", {}, []),
}


def expected(changes):
    return ModelConfig(**changes)
