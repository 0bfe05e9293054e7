"""What was inferred from a graph, in the protocol's own words: ModelConfig and ModelMetadata."""

from collections.abc import Iterable
from typing import Final, cast

from fastserve._core import core
from fastserve._proto import open_inference_grpc_pb2 as pb
from fastserve.models.loader import LoadedVersion

PLATFORM: Final = "onnxruntime_onnx"
BACKEND: Final = "onnxruntime"
# A model may carry anything in its metadata; a client asked for a signature.
_MAX_PROPERTIES: Final = 64
# What ONNX Runtime says for a model without a version of its own.
_UNSET_VERSION: Final = (1 << 63) - 1
_MAX_PROPERTY_CHARACTERS: Final = 4_096


def model_config(loaded: LoadedVersion) -> pb.ModelConfig:
    """The configuration that says what was found out. With batching, dims leave rows out."""
    is_batching = loaded.batching.is_batching
    skipped = 1 if is_batching else 0
    config = pb.ModelConfig(
        name=loaded.model,
        platform=PLATFORM,
        backend=BACKEND,
        default_model_filename="model.onnx",
        max_batch_size=loaded.max_rows if is_batching else 0,
        version_policy=pb.ModelVersionPolicy(latest=pb.ModelVersionPolicy.Latest(num_versions=1)),
        input=[
            pb.ModelInput(
                name=spec.name, data_type=_data_type(spec.datatype), dims=spec.shape[skipped:]
            )
            for spec in loaded.inputs
        ],
        output=[
            pb.ModelOutput(
                name=spec.name, data_type=_data_type(spec.datatype), dims=spec.shape[skipped:]
            )
            for spec in loaded.outputs
        ],
        instance_group=[
            pb.ModelInstanceGroup(name=loaded.model, kind=pb.ModelInstanceGroup.KIND_CPU, count=1)
        ],
        model_transaction_policy=pb.ModelTransactionPolicy(decoupled=False),
    )
    if is_batching:
        config.dynamic_batching.max_queue_delay_microseconds = loaded.config.batching.max_delay_us
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
        inputs=[_tensor(spec) for spec in loaded.inputs],
        outputs=[_tensor(spec) for spec in loaded.outputs],
        properties=_properties(loaded.metadata),
    )


def _tensor(spec: core.TensorSpec) -> pb.ModelMetadataResponse.TensorMetadata:
    return pb.ModelMetadataResponse.TensorMetadata(
        name=spec.name, datatype=spec.datatype, shape=spec.shape
    )


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
