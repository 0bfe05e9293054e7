"""PyTriton: Triton's server in front of a Python function, dynamic batching on.

python server.py MODEL.onnx PORT FOLDER
"""

import sys
from pathlib import Path

import numpy as np
from onnx_model import MAX_ROWS, OnnxModel, free_port
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

DTYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64}


def main(path: str, port: str, folder: str) -> None:
    """Answers until it is ended."""
    model = OnnxModel(path)

    @batch
    def infer(**inputs: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(model.outputs, model.run(inputs[model.input.name]), strict=True))

    def tensor(spec: object) -> Tensor:
        shape = tuple(-1 if isinstance(side, str) else side for side in spec.shape[1:])
        return Tensor(name=spec.name, dtype=DTYPES[spec.type], shape=shape or (1,))

    config = TritonConfig(
        allow_http=True,  # PyTriton asks it whether the server lives
        http_address="127.0.0.1",
        http_port=free_port(),
        grpc_address="127.0.0.1",
        grpc_port=int(port),
        allow_metrics=False,
    )
    with Triton(config=config, workspace=Path(folder) / "workspace") as triton:
        triton.bind(
            model_name=Path(path).parents[1].name,
            infer_func=infer,
            inputs=[tensor(model.input)],
            outputs=[tensor(spec) for spec in model.session.get_outputs()],
            config=ModelConfig(max_batch_size=MAX_ROWS, batcher=DynamicBatcher()),
            strict=False,
        )
        triton.serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
