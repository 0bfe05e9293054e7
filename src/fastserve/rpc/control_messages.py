"""Records of the catalog as messages of fastserve.v1.Control."""

from collections.abc import Iterable, Mapping

from fastserve._core import core
from fastserve._proto import fastserve_control_pb2 as pb
from fastserve.models.inspector import Inspection
from fastserve.models.lineage import Lineage, lineage_of
from fastserve.models.loader import LoadedVersion
from fastserve.models.policy import describe_policy
from fastserve.models.record import ModelRecord, VersionRecord


def model_message(model: ModelRecord, shares: Mapping[int, float], *, is_brief: bool) -> pb.Model:
    """All that is known of a model; brief: without tensors and lineage.

    `shares`: by version, of the model's route; empty where it has none.
    """
    return pb.Model(
        name=model.name,
        problem=model.problem,
        versions=[
            _version_message(model, record, shares, is_brief=is_brief)
            for record in model.versions.values()
        ],
        labels=model.labels,
        policy=describe_policy(model.config.versions),
        ignored=model.ignored,
        has_route=bool(shares),
    )


def check_message(inspection: Inspection) -> pb.CheckModelResponse:
    """What a check found."""
    return pb.CheckModelResponse(
        version=inspection.number,
        problem=inspection.problem,
        notes=inspection.notes,
        lineage=None if inspection.lineage is None else _lineage(inspection.lineage),
        inputs=_tensors(inspection.inputs),
        outputs=_tensors(inspection.outputs),
        memory_bytes=inspection.memory_bytes,
        seconds=inspection.seconds,
    )


def _version_message(
    model: ModelRecord, record: VersionRecord, shares: Mapping[int, float], *, is_brief: bool
) -> pb.ModelVersion:
    can_answer = record.is_ready or record.is_on_demand
    share = shares.get(record.number, 0.0)
    has_traffic = share > 0 if shares else model.serving == record.number
    message = pb.ModelVersion(
        number=record.number,
        state=record.state.name,
        reason=record.reason or _route_reason(record, shares),
        state_seconds=record.state_seconds,
        is_serving=has_traffic and can_answer,
        route_share=share,
        labels=model.labels_of(record.number),
        idle_seconds=-1,
    )
    if record.loaded is not None:
        _add_loaded(message, record.loaded, is_brief=is_brief)
    return message


def _route_reason(record: VersionRecord, shares: Mapping[int, float]) -> str:
    if shares and record.is_ready and record.number > max(shares):
        return "newer than the route, which does not name it: no request gets it unasked"
    return ""


def _add_loaded(message: pb.ModelVersion, loaded: LoadedVersion, *, is_brief: bool) -> None:
    idle_ns = loaded.version.idle_ns
    message.memory_bytes = loaded.memory_bytes
    message.load_seconds = loaded.load_seconds
    message.max_rows = loaded.max_rows
    message.idle_seconds = -1 if idle_ns < 0 else idle_ns / 1e9
    message.in_flight = loaded.version.in_flight
    if is_brief:
        return
    message.batching = loaded.batching.reason
    message.notes.extend(loaded.notes)
    message.inputs.extend(_tensors(loaded.wire_inputs))
    message.outputs.extend(_tensors(loaded.wire_outputs))
    message.lineage.CopyFrom(_lineage(lineage_of(loaded)))


def _tensors(specs: Iterable[core.TensorSpec]) -> list[pb.Tensor]:
    return [
        pb.Tensor(name=spec.name, datatype=spec.datatype, shape=spec.shape, symbols=spec.symbols)
        for spec in specs
    ]


def _lineage(lineage: Lineage) -> pb.Lineage:
    return pb.Lineage(
        digest=lineage.digest,
        model_sha256=lineage.model_sha256,
        file_bytes=lineage.file_bytes,
        producer=lineage.producer,
        graph_name=lineage.graph_name,
        domain=lineage.domain,
        description=lineage.description,
        model_version=lineage.model_version,
        opsets=lineage.opsets,
        metadata=lineage.metadata,
        declared=lineage.declared,
    )
