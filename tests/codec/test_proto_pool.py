"""The generated modules live beside those of other packages that define the same names."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fastserve._proto import (
    POOL,
    health_pb2,
    open_inference_grpc_pb2,
    reflection_pb2,
    reflection_v1alpha_pb2,
)

OURS = "from fastserve._proto import open_inference_grpc_pb2_grpc, health_pb2_grpc"
THEIRS = "import tritonclient.grpc"
EXCHANGE = """
from fastserve._proto import open_inference_grpc_pb2 as ours
from tritonclient.grpc import service_pb2 as theirs
message = ours.ModelInferRequest(model_name="m")
message.parameters["k"].int64_param = 3
message.inputs.add(name="x", shape=[1, -1]).contents.fp32_contents.append(0.5)
echo = theirs.ModelInferRequest.FromString(message.SerializeToString())
assert ours.ModelInferRequest.FromString(echo.SerializeToString()) == message
"""


@pytest.mark.parametrize("order", [(OURS, THEIRS), (THEIRS, OURS)], ids=["ours_first", "ours_last"])
def test_proto_shares_a_process_with_tritonclient(order):
    program = "\n".join([*order, EXCHANGE])
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("module", "service", "methods"),
    [
        (open_inference_grpc_pb2, "inference.GRPCInferenceService", 20),
        (health_pb2, "grpc.health.v1.Health", 2),
        (reflection_pb2, "grpc.reflection.v1.ServerReflection", 1),
        (reflection_v1alpha_pb2, "grpc.reflection.v1alpha.ServerReflection", 1),
    ],
)
def test_proto_pool_knows_every_service(module, service, methods):
    found = POOL.FindServiceByName(service)
    assert found.file is module.DESCRIPTOR
    assert len(found.methods) == methods


def test_proto_agrees_with_tritonclient_on_every_field():
    from tritonclient.grpc import model_config_pb2, service_pb2

    def facts(message):
        found = {
            field.full_name: (field.number, field.type, field.name) for field in message.fields
        }
        for nested in message.nested_types:
            found.update(facts(nested))
        return found

    def all_facts(*modules):
        found = {}
        for module in modules:
            for message in module.DESCRIPTOR.message_types_by_name.values():
                found.update(facts(message))
        return found

    ours = all_facts(open_inference_grpc_pb2)
    theirs = all_facts(service_pb2, model_config_pb2)
    # Theirs may be older than ours, and lacks `properties` of the Open Inference Protocol.
    assert theirs.items() <= ours.items()
    assert len(theirs) > 300
