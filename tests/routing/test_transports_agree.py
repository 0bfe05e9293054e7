"""Routed inferences on both transports: the same version and trailers for the same headers."""

import grpc
import pytest

from fastserve._proto import open_inference_grpc_pb2 as pb

TRANSPORTS = ("native", "grpcio")
HEADERS = {
    "a rule": (("x-tenant", "acme"),),
    "a rule before a key": (("x-user", "anna"), ("x-tenant", "acme")),
    "a key": (("x-user", "anna"),),
    "a key twice": (("x-user", "anna"), ("x-user", "bert")),
    "an empty key and a rule": (("x-user", ""), ("x-tenant", "ac")),
    "a long key": (("x-user", "x" * 4000),),
}


@pytest.mark.parametrize("case", HEADERS)
def test_choice_agrees_for(sides, case):
    native, oracle = (sides[name][1].ask(HEADERS[case]) for name in TRANSPORTS)
    assert native == oracle
    assert native[1]


def test_choice_agrees_for_many_keys(sides):
    for number in range(200):
        headers = (("x-user", f"user-{number}"),)
        native, oracle = (sides[name][1].ask(headers) for name in TRANSPORTS)
        assert native == oracle


def test_streams_follow_the_headers_of_their_call(sides):
    message = pb.ModelInferRequest(
        model_name="m",
        inputs=[{"name": "x", "datatype": "FP32", "shape": [1, 2]}],
        raw_input_contents=[bytes(8)],
    )
    path = "/inference.GRPCInferenceService/ModelStreamInfer"
    for user in ("anna", "bert", "carla", "dora"):
        found = []
        for name in TRANSPORTS:
            address, caller = sides[name]
            with grpc.insecure_channel(address) as channel:
                call = channel.stream_stream(
                    path,
                    request_serializer=pb.ModelInferRequest.SerializeToString,
                    response_deserializer=pb.ModelStreamInferResponse.FromString,
                )(iter([message] * 3), metadata=(("x-user", user),), timeout=30)
                versions = {answer.infer_response.model_version for answer in call}
            assert versions == {str(caller.ask((("x-user", user),))[0])}
            found.append(versions)
        assert found[0] == found[1]
