"""What a model is told and what its graph says, in the protocol's words: ModelConfig and metadata.

Who wrote a config.pbtxt reads it back here, with what was inferred filled in.
"""

from collections.abc import Iterable, Mapping
from typing import Final, cast

from fastserve._core import core
from fastserve._proto import open_inference_grpc_pb2 as pb
from fastserve.model_config import (
    ModelConfig,
    PriorityConfig,
    QueuePolicy,
    RuntimeConfig,
    TensorConfig,
    VersionsConfig,
)
from fastserve.models.loader import LoadedVersion

PLATFORM: Final = "onnxruntime_onnx"
BACKEND: Final = "onnxruntime"
# A model may carry anything in its metadata; a client asked for a signature.
_MAX_PROPERTIES: Final = 64
# What ONNX Runtime says for a model without a version of its own.
_UNSET_VERSION: Final = (1 << 63) - 1
_MAX_PROPERTY_CHARACTERS: Final = 4_096
# As Triton's backend for ONNX Runtime numbers what we keep in ONNX Runtime's own numbers.
_GRAPH_LEVELS: Final = {0: 2, 1: -1, 2: 1}


def model_config(loaded: LoadedVersion) -> pb.ModelConfig:
    """What was configured and what was found out, as one configuration.

    With an axis of rows, dims leave it out: where requests share runs, and where the configuration
    bounds the rows of a request.
    """
    told, is_batching = loaded.config, loaded.batching.is_batching
    skipped = 1 if _leaves_rows_out(loaded) else 0
    max_rows = told.max_request_rows or loaded.max_rows
    config = pb.ModelConfig(
        name=loaded.model,
        platform=PLATFORM,
        backend=BACKEND,
        default_model_filename=told.model_file,
        max_batch_size=max_rows if skipped else 0,
        version_policy=_version_policy(told.versions),
        input=[
            pb.ModelInput(
                name=spec.name,
                data_type=_data_type(spec.datatype),
                dims=_client_shape(spec, told.tensors)[skipped:],
                reshape=_reshape(told.tensors.get(spec.name)),
            )
            for spec in loaded.inputs
        ],
        output=[
            pb.ModelOutput(
                name=spec.name,
                data_type=_data_type(spec.datatype),
                dims=_client_shape(spec, told.tensors)[skipped:],
                reshape=_reshape(told.tensors.get(spec.name)),
            )
            for spec in loaded.outputs
        ],
        instance_group=[_instance_group(loaded.model, told.runtime)],
        model_transaction_policy=pb.ModelTransactionPolicy(decoupled=False),
    )
    if is_batching or told.queue != PriorityConfig():
        config.dynamic_batching.CopyFrom(_dynamic_batching(told, max_rows, loaded.max_rows))
    _add_runtime(config, told.runtime)
    # Triton's place for what has no field; `fastserve model describe` shows it.
    config.parameters["batching"].string_value = loaded.batching.reason
    config.parameters["max_rows"].string_value = loaded.rows.reason
    return config


def model_metadata(loaded: LoadedVersion, versions: Iterable[int]) -> pb.ModelMetadataResponse:
    """The signature of `loaded`, beside all versions of its model that answer."""
    return pb.ModelMetadataResponse(
        name=loaded.model,
        versions=[str(number) for number in versions],
        platform=PLATFORM,
        inputs=[_tensor(spec, loaded.config.tensors) for spec in loaded.inputs],
        outputs=[_tensor(spec, loaded.config.tensors) for spec in loaded.outputs],
        properties=_properties(loaded.metadata),
    )


def _tensor(
    spec: core.TensorSpec, tensors: Mapping[str, TensorConfig]
) -> pb.ModelMetadataResponse.TensorMetadata:
    return pb.ModelMetadataResponse.TensorMetadata(
        name=spec.name, datatype=spec.datatype, shape=_client_shape(spec, tensors)
    )


def _client_shape(spec: core.TensorSpec, tensors: Mapping[str, TensorConfig]) -> tuple[int, ...]:
    """The shape that clients see: the graph's own, unless it is told another."""
    told = tensors.get(spec.name)
    if told is None or told.shape is None:
        return spec.shape
    in_graph = told.shape if told.reshape is None else told.reshape
    rows = spec.shape[: max(0, len(spec.shape) - len(in_graph))]
    return (*rows, *told.shape)


def _reshape(told: TensorConfig | None) -> pb.ModelTensorReshape | None:
    if told is None or told.reshape is None:
        return None
    return pb.ModelTensorReshape(shape=told.reshape)


def _leaves_rows_out(loaded: LoadedVersion) -> bool:
    if loaded.batching.is_batching:
        return True
    tensors = (*loaded.inputs, *loaded.outputs)
    is_open = all(spec.shape[:1] == (-1,) for spec in tensors)
    return loaded.config.max_request_rows is not None and is_open


def _version_policy(told: VersionsConfig) -> pb.ModelVersionPolicy:
    if told.all:
        return pb.ModelVersionPolicy(all=pb.ModelVersionPolicy.All())
    if told.specific:
        return pb.ModelVersionPolicy(
            specific=pb.ModelVersionPolicy.Specific(versions=told.specific)
        )
    latest = pb.ModelVersionPolicy.Latest(num_versions=told.latest or 1)
    return pb.ModelVersionPolicy(latest=latest)


def _dynamic_batching(told: ModelConfig, max_rows: int, batch_rows: int) -> pb.ModelDynamicBatching:
    """`max_rows` bounds a request, `batch_rows` a run."""
    queue = told.queue
    return pb.ModelDynamicBatching(
        preferred_batch_size=[batch_rows] if batch_rows < max_rows else [],
        max_queue_delay_microseconds=told.batching.max_delay_us,
        priority_levels=queue.priority_levels,
        default_priority_level=queue.default_priority,
        default_queue_policy=(
            None if queue.default == QueuePolicy() else _queue_policy(queue.default)
        ),
        priority_queue_policy={
            int(level): _queue_policy(policy) for level, policy in queue.levels.items()
        },
    )


def _queue_policy(told: QueuePolicy) -> pb.ModelQueuePolicy:
    is_delay = told.timeout_action == "delay"
    return pb.ModelQueuePolicy(
        timeout_action=pb.ModelQueuePolicy.DELAY if is_delay else pb.ModelQueuePolicy.REJECT,
        default_timeout_microseconds=told.timeout_us,
        allow_timeout_override=told.allow_timeout_override,
        max_queue_size=told.max_requests,
    )


def _instance_group(model: str, told: RuntimeConfig) -> pb.ModelInstanceGroup:
    for provider in told.providers:
        if provider.name.removesuffix("ExecutionProvider") == "CUDA":
            device = provider.options.get("device_id", "")
            return pb.ModelInstanceGroup(
                name=model,
                kind=pb.ModelInstanceGroup.KIND_GPU,
                count=1,
                gpus=[int(device)] if device.isdecimal() else [],
            )
    return pb.ModelInstanceGroup(name=model, kind=pb.ModelInstanceGroup.KIND_CPU, count=1)


def _add_runtime(config: pb.ModelConfig, told: RuntimeConfig) -> None:
    """What differs from the defaults, under the names of Triton's backend."""
    if told.optimization_level in _GRAPH_LEVELS:
        config.optimization.graph.level = _GRAPH_LEVELS[told.optimization_level]
    for provider in told.providers:
        if provider.name.removesuffix("ExecutionProvider") == "CUDA":
            accelerators = config.optimization.execution_accelerators.gpu_execution_accelerator
            accelerators.add(name="cuda", parameters=provider.options)
    parameters = dict(told.config_entries)
    if told.intra_op_threads:
        parameters["intra_op_thread_count"] = str(told.intra_op_threads)
    if told.inter_op_threads > 1:
        parameters["inter_op_thread_count"] = str(told.inter_op_threads)
        parameters["execution_mode"] = "1"
    for name, is_on in (
        ("enable_mem_arena", told.cpu_arena),
        ("enable_mem_pattern", told.memory_pattern),
    ):
        if is_on is not None:
            parameters[name] = "1" if is_on else "0"
    for name, value in parameters.items():
        config.parameters[name].string_value = value


def _data_type(datatype: str) -> pb.DataType:
    name = "TYPE_STRING" if datatype == "BYTES" else f"TYPE_{datatype}"
    return cast("pb.DataType", pb.DataType.Value(name))


def _properties(metadata: core.ModelMetadata) -> dict[str, str]:
    own = {
        "producer": metadata.producer,
        "graph_name": metadata.graph_name,
        "domain": metadata.domain,
        "description": metadata.description,
        "model_version": str(metadata.version) if 0 < metadata.version < _UNSET_VERSION else "",
    }
    named = {key: value for key, value in own.items() if value}
    custom = dict(list(metadata.custom.items())[:_MAX_PROPERTIES])
    return {
        key[:_MAX_PROPERTY_CHARACTERS]: value[:_MAX_PROPERTY_CHARACTERS]
        for key, value in {**custom, **named}.items()
    }
