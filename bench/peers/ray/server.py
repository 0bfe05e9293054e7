"""Ray Serve with dynamic batching; rows come and go as raw float32.

python server.py MODEL.onnx PORT FOLDER
"""

import signal
import sys

import numpy as np
import ray
from onnx_model import MAX_DELAY_SECONDS, MAX_ROWS, OnnxModel
from ray import serve
from ray.serve.config import HTTPOptions
from starlette.requests import Request
from starlette.responses import Response

OBJECT_STORE_BYTES = 100_000_000  # the least that Ray takes is 75 MiB


@serve.deployment(num_replicas=1, max_ongoing_requests=1024, ray_actor_options={"num_cpus": 0.1})
class Onnx:
    """One ONNX file with one input."""

    def __init__(self, path: str) -> None:
        self.model = OnnxModel(path)

    @serve.batch(max_batch_size=MAX_ROWS, batch_wait_timeout_s=MAX_DELAY_SECONDS)
    async def predict(self, rows: list[np.ndarray]) -> list[np.ndarray]:
        return list(self.model.flat(np.stack(rows)))

    async def __call__(self, request: Request) -> Response:
        row = np.frombuffer(await request.body(), np.float32)
        output = await self.predict(row.reshape(self.model.input.shape[1:]))
        return Response(output.tobytes(), media_type="application/octet-stream")


def main(path: str, port: str, folder: str) -> None:
    """Answers until it is ended."""
    ray.init(
        num_cpus=1,
        include_dashboard=False,
        object_store_memory=OBJECT_STORE_BYTES,
        _temp_dir=folder,
    )
    serve.start(http_options=HTTPOptions(host="127.0.0.1", port=int(port)))
    serve.run(Onnx.bind(path))
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    main(*sys.argv[1:])
