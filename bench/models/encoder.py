"""A small transformer's encoder as ONNX nodes: two layers, 128 wide, four heads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import helper

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Weights = dict[str, NDArray[Any]]

VOCABULARY, MOST_TOKENS = 1000, 512
LAYERS, WIDTH, HEADS = 2, 128, 4


def encoder(rng: np.random.Generator) -> tuple[list[Any], Weights]:
    """Returns nodes and random weights, from `input` (tokens) to `probabilities` of two classes."""
    weights: Weights = {
        "tokens": rng.normal(0, 1, (VOCABULARY, WIDTH)).astype(np.float32),
        "places": rng.normal(0, 1, (MOST_TOKENS, WIDTH)).astype(np.float32),
        "zero": np.array([0], np.int64),
        "scale": np.array(np.sqrt(WIDTH // HEADS), np.float32),
        "heads": np.array([0, 0, HEADS, WIDTH // HEADS], np.int64),
        "joined": np.array([0, 0, WIDTH], np.int64),
        "one": np.ones(WIDTH, np.float32),
        "head": rng.normal(0, 0.1, (WIDTH, 2)).astype(np.float32),
        "head_bias": np.zeros(2, np.float32),
    }
    nodes = [
        helper.make_node("Gather", ["tokens", "input"], ["embedded"]),
        helper.make_node("Shape", ["input"], ["length"], start=1, end=2),
        helper.make_node("Slice", ["places", "zero", "length"], ["place"]),
        helper.make_node("Add", ["embedded", "place"], ["layer0"]),
    ]
    for number in range(LAYERS):
        nodes += _attention(weights, rng, f"layer{number}", f"attended{number}")
        nodes += _dense(weights, rng, f"attended{number}", f"layer{number + 1}")
    nodes += [
        helper.make_node("ReduceMean", [f"layer{LAYERS}"], ["pooled"], axes=[1], keepdims=0),
        helper.make_node("Gemm", ["pooled", "head", "head_bias"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
    ]
    return nodes, weights


def _attention(weights: Weights, rng: np.random.Generator, source: str, out: str) -> list[Any]:
    nodes = []
    for part, order in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])):
        name = f"{out}_{part}"
        nodes += [
            _product(weights, rng, source, f"{name}_flat", (WIDTH, WIDTH)),
            helper.make_node("Reshape", [f"{name}_flat", "heads"], [f"{name}_split"]),
            helper.make_node("Transpose", [f"{name}_split"], [name], perm=order),
        ]
    return [
        *nodes,
        helper.make_node("MatMul", [f"{out}_q", f"{out}_k"], [f"{out}_raw"]),
        helper.make_node("Div", [f"{out}_raw", "scale"], [f"{out}_scaled"]),
        helper.make_node("Softmax", [f"{out}_scaled"], [f"{out}_shares"], axis=3),
        helper.make_node("MatMul", [f"{out}_shares", f"{out}_v"], [f"{out}_mixed"]),
        helper.make_node("Transpose", [f"{out}_mixed"], [f"{out}_turned"], perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", [f"{out}_turned", "joined"], [f"{out}_joined"]),
        _product(weights, rng, f"{out}_joined", f"{out}_own", (WIDTH, WIDTH)),
        *_added(source, out),
    ]


def _dense(weights: Weights, rng: np.random.Generator, source: str, out: str) -> list[Any]:
    return [
        _product(weights, rng, source, f"{out}_wide", (WIDTH, 4 * WIDTH)),
        helper.make_node("Relu", [f"{out}_wide"], [f"{out}_active"]),
        _product(weights, rng, f"{out}_active", f"{out}_own", (4 * WIDTH, WIDTH)),
        *_added(source, out),
    ]


def _product(
    weights: Weights, rng: np.random.Generator, source: str, out: str, shape: tuple[int, int]
) -> Any:
    values = rng.normal(0, np.sqrt(1 / shape[0]), shape)
    weights[f"{out}_kernel"] = values.astype(np.float32)
    return helper.make_node("MatMul", [source, f"{out}_kernel"], [out])


def _added(source: str, out: str) -> list[Any]:
    """Returns what adds a layer's own part to what came in, and normalises the sum."""
    return [
        helper.make_node("Add", [source, f"{out}_own"], [f"{out}_sum"]),
        helper.make_node("LayerNormalization", [f"{out}_sum", "one"], [out], axis=-1),
    ]
