"""What a team writes first: grpc.aio, one session.run per ModelInfer, no batching.

python server.py MODEL.onnx PORT FOLDER
"""

import sys

import grpc
import numpy as np
import uvloop
from onnx_model import OnnxModel

from fastserve._proto import open_inference_grpc_pb2 as pb

DATATYPES = {"float32": "FP32", "int64": "INT64"}
DTYPES = {datatype: dtype for dtype, datatype in DATATYPES.items()}


async def serve(path: str, port: str, _: str) -> None:
    """Answers until it is ended."""
    model = OnnxModel(path)

    async def infer(request: pb.ModelInferRequest, _: object) -> pb.ModelInferResponse:
        tensor = request.inputs[0]
        flat = np.frombuffer(request.raw_input_contents[0], DTYPES[tensor.datatype])
        outputs = model.run(flat.reshape(tensor.shape))
        answer = pb.ModelInferResponse(model_name=request.model_name)
        for name, array in zip(model.outputs, outputs, strict=True):
            answer.outputs.add(name=name, datatype=DATATYPES[array.dtype.name], shape=array.shape)
            answer.raw_output_contents.append(array.tobytes())
        return answer

    handler = grpc.unary_unary_rpc_method_handler(
        infer, pb.ModelInferRequest.FromString, pb.ModelInferResponse.SerializeToString
    )
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        [
            grpc.method_handlers_generic_handler(
                "inference.GRPCInferenceService", {"ModelInfer": handler}
            )
        ]
    )
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(serve(*sys.argv[1:]))
