import numpy as np
import pytest

from fastserve.bench.payloads import make_inputs
from fastserve.client import InferRequest
from fastserve.errors import InvalidConfig

DATATYPES = (
    *("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"),
    *("FP16", "BF16", "FP32", "FP64", "BYTES"),
)


@pytest.mark.parametrize("datatype", DATATYPES)
def test_inputs_of_every_datatype_serialise(datatype):
    arrays, datatypes = make_inputs([("x", datatype, (-1, 3))], rows=4, seed=1)
    request = InferRequest(model="m", inputs=arrays, datatypes=datatypes)
    assert f"\x12{chr(len(datatype))}{datatype}".encode() in request.serialize()
    assert np.shape(arrays["x"]) == (4, 3)


def test_only_what_may_vary_is_chosen():
    arrays, _ = make_inputs([("x", "FP32", (-1, -1, 5)), ("y", "INT64", (2,))], rows=7, seed=1)
    assert arrays["x"].shape == (7, 1, 5)
    assert arrays["y"].shape == (2,)


def test_same_seed_makes_the_same_values_and_another_others():
    signature = [("x", "FP32", (-1, 30)), ("y", "BYTES", (-1,))]
    once, again, other = (
        InferRequest(model="m", inputs=make_inputs(signature, rows=3, seed=seed)[0]).serialize()
        for seed in (1, 1, 2)
    )
    assert once == again != other


def test_unknown_datatype_is_refused_by_name():
    with pytest.raises(InvalidConfig, match=r"'x' has datatype 'FP4'"):
        make_inputs([("x", "FP4", (1,))], rows=1, seed=1)


def test_input_too_large_to_make_up_is_refused_by_name():
    with pytest.raises(InvalidConfig, match="'x'"):
        make_inputs([("x", "FP32", (1 << 40, 1 << 40))], rows=1, seed=1)
