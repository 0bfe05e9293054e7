"""grpc.reflection on each transport and in both versions."""

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from fastserve._proto import reflection_pb2, reflection_v1alpha_pb2

VERSIONS = {"v1": reflection_pb2, "v1alpha": reflection_v1alpha_pb2}
SERVICES = [
    "fastserve.v1.Capture",
    "fastserve.v1.Control",
    "fastserve.v1.Feedback",
    "fastserve.v1.Release",
    "fastserve.v1.Rollouts",
    "fastserve.v1.Shadow",
    "fastserve.v1.Watch",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
    "inference.GRPCInferenceService",
]


@pytest.fixture(params=VERSIONS)
def ask(request, server):
    module = VERSIONS[request.param]
    path = f"/grpc.reflection.{request.param}.ServerReflection/ServerReflectionInfo"

    with grpc.insecure_channel(server.grpc) as channel:
        call = channel.stream_stream(
            path,
            request_serializer=module.ServerReflectionRequest.SerializeToString,
            response_deserializer=module.ServerReflectionResponse.FromString,
        )

        def one(**fields):
            (answer,) = call(iter([module.ServerReflectionRequest(**fields)]), timeout=30)
            return answer

        yield one


def file_names(answer):
    files = answer.file_descriptor_response.file_descriptor_proto
    return [FileDescriptorProto.FromString(data).name for data in files]


def test_list_services_names_all_that_is_served(ask):
    answer = ask(list_services="*")
    assert [service.name for service in answer.list_services_response.service] == SERVICES


@pytest.mark.parametrize(
    "symbol",
    [
        "inference.GRPCInferenceService",
        "inference.GRPCInferenceService.ModelInfer",
        "inference.ModelInferRequest",
        "inference.ModelInferRequest.InferInputTensor",
        "inference.DataType",
    ],
)
def test_symbol_leads_to_its_file(ask, symbol):
    assert file_names(ask(file_containing_symbol=symbol)) == ["open_inference_grpc.proto"]


def test_answer_repeats_the_question(ask):
    answer = ask(host="here", list_services="*")
    assert answer.valid_host == "here"
    assert answer.original_request.list_services == "*"


@pytest.mark.parametrize(
    ("question", "code"),
    [
        ({"file_containing_symbol": "no.such.Symbol"}, 5),
        ({"file_containing_symbol": ""}, 5),
        ({"file_containing_symbol": "inference.GRPCInferenceService.Nothing"}, 5),
        ({"file_by_filename": "../setup.py"}, 5),
        (
            {
                "file_containing_extension": {
                    "containing_type": "inference.ModelInferRequest",
                    "extension_number": 100,
                }
            },
            5,
        ),
        ({"all_extension_numbers_of_type": "no.such.Type"}, 5),
        ({"host": "only"}, 3),
    ],
)
def test_question_without_an_answer_gets_an_error_in_its_place(ask, question, code):
    assert ask(**question).error_response.error_code == code


def test_messages_have_no_extensions(ask):
    answer = ask(all_extension_numbers_of_type="inference.ModelInferRequest")
    assert answer.all_extension_numbers_response.base_type_name == "inference.ModelInferRequest"
    assert not answer.all_extension_numbers_response.extension_number
