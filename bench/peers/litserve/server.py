"""LitServe with batching.

python server.py MODEL.onnx PORT FOLDER
"""

import sys

import litserve as ls
import numpy as np
from onnx_model import MAX_DELAY_SECONDS, MAX_ROWS, OnnxModel
from starlette.responses import Response


class OnnxApi(ls.LitAPI):
    """One ONNX file with one input; rows come as JSON, or as a file of raw float32."""

    def __init__(self, path: str) -> None:
        super().__init__(max_batch_size=MAX_ROWS, batch_timeout=MAX_DELAY_SECONDS)
        self.path = path

    def setup(self, _: str) -> None:
        self.model = OnnxModel(self.path)

    def decode_request(self, request):  # noqa: ANN001, ANN201  its annotation chooses the parser
        rows = request["input"]
        if isinstance(rows, list):
            return np.asarray(rows, np.float32)
        return np.frombuffer(rows.file.read(), np.float32).reshape(1, *self.model.input.shape[1:])

    def batch(self, inputs: list[np.ndarray]) -> np.ndarray:
        return np.concatenate(inputs)

    def predict(self, rows: np.ndarray) -> np.ndarray:
        return self.model.flat(rows)

    def unbatch(self, output: np.ndarray) -> list[np.ndarray]:
        return list(output)

    def encode_response(self, output: np.ndarray) -> Response:
        return Response(output.tobytes(), media_type="application/octet-stream")


if __name__ == "__main__":
    server = ls.LitServer(OnnxApi(sys.argv[1]), accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[2]),
        log_level="error",
        access_log=False,
        generate_client_file=False,
    )
