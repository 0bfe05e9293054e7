"""A small convolutional net for 8x8 images, trained with numpy and written as an ONNX graph.

conv 3x3, 16 channels - relu - max pool 2x2 - dense 10 - softmax: 2.7 thousand weights, trained by
Adam in about two seconds on one core.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from onnx import TensorProto, checker, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

CHANNELS = 16
CLASSES = 10
SIDE = 8
POOLED = SIDE // 2


@dataclass
class ConvNet:
    """The weights. Images are [rows, 1, 8, 8] float32 in 0..1, labels [rows] int64 in 0..9."""

    kernel: Array  # [9, CHANNELS], rows in the order of a 3x3 window
    kernel_bias: Array
    dense: Array  # [CHANNELS * POOLED * POOLED, CLASSES], rows in the order channel, y, x
    dense_bias: Array
    _moments: dict[str, tuple[Array, Array]] = field(default_factory=dict, repr=False)
    _steps: int = 0

    @classmethod
    def seeded(cls, seed: int) -> ConvNet:
        rng = np.random.default_rng(seed)

        def scaled(inputs: int, outputs: int) -> Array:
            return rng.normal(0, np.sqrt(2 / inputs), (inputs, outputs)).astype(np.float32)

        flat = CHANNELS * POOLED * POOLED
        return cls(
            scaled(9, CHANNELS),
            np.zeros(CHANNELS, np.float32),
            scaled(flat, CLASSES),
            np.zeros(CLASSES, np.float32),
        )

    def step(self, images: Array, labels: NDArray[np.int64], rate: float) -> None:
        """Takes one Adam step on one mini-batch (Kingma and Ba 2015, its default constants)."""
        rows = len(images)
        padded = np.pad(images[:, 0], ((0, 0), (1, 1), (1, 1)))
        windows = sliding_window_view(padded, (3, 3), axis=(1, 2)).reshape(rows, SIDE, SIDE, 9)
        before_relu = windows @ self.kernel + self.kernel_bias
        cells = np.maximum(before_relu, 0).reshape(rows, POOLED, 2, POOLED, 2, CHANNELS)
        pooled = cells.max(axis=(2, 4))
        flat = pooled.transpose(0, 3, 1, 2).reshape(rows, -1)
        scores = flat @ self.dense + self.dense_bias
        odds = np.exp(scores - scores.max(axis=1, keepdims=True))
        by_score = odds / odds.sum(axis=1, keepdims=True)
        by_score[np.arange(rows), labels] -= 1
        by_score /= rows

        by_flat = (by_score @ self.dense.T).reshape(rows, CHANNELS, POOLED, POOLED)
        by_cell = by_flat.transpose(0, 2, 3, 1)[:, :, None, :, None, :]
        is_maximum = cells == pooled[:, :, None, :, None, :]
        by_relu = (by_cell * is_maximum).reshape(before_relu.shape) * (before_relu > 0)
        self._steps += 1
        self._move("kernel", windows.reshape(-1, 9).T @ by_relu.reshape(-1, CHANNELS), rate)
        self._move("kernel_bias", by_relu.sum(axis=(0, 1, 2)), rate)
        self._move("dense", flat.T @ by_score, rate)
        self._move("dense_bias", by_score.sum(axis=0), rate)

    def _move(self, name: str, gradient: Array, rate: float) -> None:
        zero = np.zeros_like(gradient)
        first, second = self._moments.get(name, (zero, zero))
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        self._moments[name] = (first, second)
        first_unbiased = first / (1 - 0.9**self._steps)
        second_unbiased = second / (1 - 0.999**self._steps)
        moved = getattr(self, name) - rate * first_unbiased / (np.sqrt(second_unbiased) + 1e-8)
        setattr(self, name, moved.astype(np.float32))

    def to_onnx(self) -> bytes:
        """Returns the serialized graph: `image` in, `label` and `probabilities` out."""
        kernel = self.kernel.T.reshape(CHANNELS, 1, 3, 3)
        weights = {
            "kernel": kernel,
            "kernel_bias": self.kernel_bias,
            "dense": self.dense,
            "dense_bias": self.dense_bias,
        }
        nodes = [
            helper.make_node(
                "Conv",
                ["image", "kernel", "kernel_bias"],
                ["conv"],
                kernel_shape=[3, 3],
                pads=[1, 1, 1, 1],
            ),
            helper.make_node("Relu", ["conv"], ["relu"]),
            helper.make_node("MaxPool", ["relu"], ["pool"], kernel_shape=[2, 2], strides=[2, 2]),
            helper.make_node("Flatten", ["pool"], ["flat"], axis=1),
            helper.make_node("Gemm", ["flat", "dense", "dense_bias"], ["scores"]),
            helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
            helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
        ]
        graph = helper.make_graph(
            nodes,
            "digits",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["rows", 1, SIDE, SIDE])],
            [
                helper.make_tensor_value_info("label", TensorProto.INT64, ["rows"]),
                helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["rows", 10]),
            ],
            [
                numpy_helper.from_array(np.ascontiguousarray(value), name)
                for name, value in weights.items()
            ],
        )
        model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 17)])
        checker.check_model(model, full_check=True)
        return model.SerializeToString()


def fit(images: Array, labels: NDArray[np.int64], *, epochs: int, seed: int) -> ConvNet:
    """Trains a net on all rows, `epochs` times, in an order that only the seed decides."""
    net = ConvNet.seeded(seed)
    for rate, chosen in _batches(len(images), epochs, seed):
        net.step(images[chosen], labels[chosen], rate)
    return net


def _batches(rows: int, epochs: int, seed: int) -> Iterator[tuple[float, NDArray[np.int64]]]:
    rng = np.random.default_rng(seed)
    for epoch in range(epochs):
        order = rng.permutation(rows)
        for start in range(0, rows, 32):
            yield 0.003 * (1 - epoch / epochs), order[start : start + 32]
