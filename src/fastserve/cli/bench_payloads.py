"""The requests of `fastserve bench`: from files, or made up from what the server tells."""

from pathlib import Path

from google.protobuf.message import DecodeError

from fastserve._proto import open_inference_grpc_pb2 as pb
from fastserve.bench.payloads import make_inputs
from fastserve.bench.plan import Payload
from fastserve.cli.source import read_inputs
from fastserve.client import Client, InferRequest
from fastserve.errors import InvalidConfig


def read_payloads(model: str, files: tuple[Path, ...]) -> list[Payload]:
    """Requests as they lie in files. Errors: InvalidConfig for what is no ModelInferRequest."""
    payloads = []
    for path in files:
        message = path.read_bytes()
        try:
            asked = pb.ModelInferRequest.FromString(message).model_name
        except DecodeError:
            asked = ""
        if not asked:
            raise InvalidConfig(f"payload {str(path)!r} is no serialised ModelInferRequest")
        if asked != model:
            raise InvalidConfig(f"payload {str(path)!r} asks model {asked!r}, expected {model!r}")
        payloads.append(Payload(model, message))
    return payloads


def data_payloads(client: Client, model: str, version: str, data: Path) -> list[Payload]:
    """One request of a file's inputs."""
    inputs = read_inputs(client.model_metadata(model, version), data, ())
    request = InferRequest(model=model, version=version, inputs=inputs)
    return [Payload(model, request.serialize())]


def made_up_payloads(
    client: Client, model: str, version: str, *, rows: int, variants: int, seed: int
) -> list[Payload]:
    """`variants` requests of random values, each of its own seed."""
    metadata = client.model_metadata(model, version)
    signature = [(each.name, each.datatype, each.shape) for each in metadata.inputs]
    payloads = []
    for variant in range(variants):
        inputs, datatypes = make_inputs(signature, rows=rows, seed=seed * variants + variant)
        request = InferRequest(model=model, version=version, inputs=inputs, datatypes=datatypes)
        payloads.append(Payload(model, request.serialize()))
    return payloads
