"""What becomes of each field of a ModelConfig: read, ignored, or refused. A literal table.

One question decides: can answers or guarantees differ from what the field asks for? Then it is
refused. What asks only for speed, memory or looks is ignored, with the reason. Fields that are read
are those that the other triton_*.py map; their messages have a table of their own here.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from fastserve.models.triton_lines import FieldPath, Key
from fastserve.models.triton_reading import Reading
from fastserve.models.triton_text import no_such_value


class Rule(NamedTuple):
    """What becomes of a field, and why where it is not read."""

    verdict: Literal["read", "ignore", "refuse"]
    why: str = ""


READ: Final = Rule("read")


def _ignore(why: str) -> Rule:
    return Rule("ignore", why)


def _refuse(why: str) -> Rule:
    return Rule("refuse", why)


_TENSORRT: Final = "is for TensorRT alone; leave it out"

# By the name of the message inside the protocol's package.
FIELDS: Final[dict[str, dict[str, Rule]]] = {
    "ModelConfig": {
        "name": READ,
        "platform": READ,
        "backend": READ,
        "version_policy": READ,
        "max_batch_size": READ,
        "input": READ,
        "output": READ,
        "instance_group": READ,
        "default_model_filename": READ,
        "dynamic_batching": READ,
        "optimization": READ,
        "parameters": READ,
        "model_warmup": READ,
        "model_transaction_policy": READ,
        "response_cache": READ,
        # Read: it depends on the GPU whether they count.
        "cc_model_filenames": READ,
        "metric_tags": _ignore("fastserve's metrics have fixed labels; add them when scraping"),
        "model_metrics": _ignore("fastserve's histograms have fixed buckets"),
        "sequence_batching": _refuse("state kept between requests is not served"),
        "ensemble_scheduling": _refuse("ensembles are not served; serve each step as a model"),
        "batch_input": _refuse("inputs made up from a batch are not served"),
        "batch_output": _refuse("outputs scattered by another tensor's shape are not served"),
        "model_operations": _refuse("libraries of custom operators are not loaded"),
        "model_repository_agents": _refuse(
            "agents are not run, and what they check or decode would be missing"
        ),
        "runtime": _refuse("names a library of Triton's; there is one runtime here, leave it out"),
    },
    "ModelVersionPolicy": {"latest": READ, "all": READ, "specific": READ},
    "ModelVersionPolicy.Latest": {"num_versions": READ},
    "ModelVersionPolicy.All": {},
    "ModelVersionPolicy.Specific": {"versions": READ},
    "ModelInput": {
        "name": READ,
        "data_type": READ,
        "dims": READ,
        "reshape": READ,
        # Whether the graph can do without is known only with the graph.
        "optional": READ,
        "format": _ignore("a remark: tensors are handed on as they come"),
        "is_shape_tensor": _refuse(_TENSORRT),
        "is_non_linear_format_io": _refuse(_TENSORRT),
        "allow_ragged_batch": _refuse("requests of different shapes never share a batch"),
    },
    "ModelOutput": {
        "name": READ,
        "data_type": READ,
        "dims": READ,
        "reshape": READ,
        "label_filename": _ignore(
            "answers are tensors: the classification extension, which has labels, is not served"
        ),
        "is_shape_tensor": _refuse(_TENSORRT),
        "is_non_linear_format_io": _refuse(_TENSORRT),
    },
    "ModelTensorReshape": {"shape": READ},
    "ModelInstanceGroup": {
        "name": READ,
        "count": READ,
        "kind": READ,
        "gpus": READ,
        "rate_limiter": _ignore("executors are shared by weight, without resources to wait for"),
        "host_policy": _ignore("threads are placed by the server's own plan"),
        "secondary_devices": _refuse(_TENSORRT),
        "profile": _refuse(_TENSORRT),
        "passive": _refuse("an instance that gets no work cannot be asked for"),
    },
    "ModelDynamicBatching": {
        "preferred_batch_size": READ,
        "max_queue_delay_microseconds": READ,
        "priority_levels": READ,
        "default_priority_level": READ,
        "default_queue_policy": READ,
        "priority_queue_policy": READ,
        "preserve_ordering": _ignore(
            "a stream's answers keep their order anyway, and calls of their own have none"
        ),
    },
    "ModelQueuePolicy": {
        "timeout_action": READ,
        "default_timeout_microseconds": READ,
        "allow_timeout_override": READ,
        "max_queue_size": READ,
    },
    "ModelOptimizationPolicy": {
        "graph": READ,
        "execution_accelerators": READ,
        "priority": _ignore("ONNX Runtime knows no priority of a model; see weight in model.toml"),
        "cuda": _ignore("CUDA graphs are not captured"),
        "input_pinned_memory": _ignore("inputs are read where they arrived"),
        "output_pinned_memory": _ignore("outputs are sent from where they were made"),
        "gather_kernel_buffer_threshold": _ignore("batches are gathered on the CPU"),
        "eager_batching": _ignore("batches are gathered when they run"),
    },
    "ModelOptimizationPolicy.Graph": {"level": READ},
    "ModelOptimizationPolicy.ExecutionAccelerators": {
        "gpu_execution_accelerator": READ,
        "cpu_execution_accelerator": READ,
    },
    "ModelOptimizationPolicy.ExecutionAccelerators.Accelerator": {"name": READ, "parameters": READ},
    "ModelParameter": {"string_value": READ},
    "ModelWarmup": {"name": READ, "batch_size": READ, "inputs": READ, "count": READ},
    "ModelWarmup.Input": {
        "data_type": READ,
        "dims": READ,
        "zero_data": READ,
        "random_data": READ,
        "input_data_file": READ,
    },
    "ModelTransactionPolicy": {
        "decoupled": _refuse("a request has exactly one answer: decoupled models are not served")
    },
    "ModelResponseCache": {"enable": _ignore("fastserve has no response cache")},
}

_PACKAGE: Final = "inference."


def apply_rules(reading: Reading) -> None:
    """Notes what is ignored. Errors: InvalidConfig for the first field that is refused."""
    # A list instead of recursion: messages nest no deeper than the table, but this needs no proof.
    pending: list[tuple[FieldPath, Message]] = [((), reading.message)]
    while pending:
        path, message = pending.pop()
        rules = FIELDS[message.DESCRIPTOR.full_name.removeprefix(_PACKAGE)]
        for field, value in message.ListFields():
            rule, here = rules[field.name], (*path, field.name)
            if rule.verdict == "refuse":
                raise reading.refused(here, rule.why)
            if rule.verdict == "ignore":
                reading.ignore(here, rule.why)
                continue
            _check_enum(reading, here, field, value)
            pending += _messages(here, field, value)


def _check_enum(reading: Reading, path: FieldPath, field: FieldDescriptor, value: object) -> None:
    """Both parsers take any number for an enum."""
    if field.enum_type is not None and value not in field.enum_type.values_by_number:
        raise reading.refused(path, no_such_value(field.enum_type.full_name, str(value)))


def _messages(
    path: FieldPath, field: FieldDescriptor, value: Any
) -> Iterator[tuple[FieldPath, Message]]:
    """The messages in a field's value, each with its path."""
    if field.message_type is None:
        return
    if isinstance(value, Message):
        yield path, value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            if isinstance(each, Message):
                yield (*path, Key(key)), each
    else:
        for place, each in enumerate(value):
            yield (*path, place), each
