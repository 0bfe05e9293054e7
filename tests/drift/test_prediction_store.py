"""The store of predictions through its seam."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parent))  # test folders are not packages

from feedback_seed import tensor

from fastserve._core import core


def make_store(**options):
    given = {
        "max_bytes": 1 << 20, "max_record_bytes": 4096, "max_age_ns": 10**12, "max_waiting": 10,
        "max_wait_ns": 10**9, "key": bytes(16),
    }  # fmt: skip
    return core.PredictionStore(**given | options)


def test_prediction_comes_back_as_it_was_put():
    store = make_store()
    outputs = [tensor("y", np.arange(6, dtype=np.float32).reshape(2, 3)), tensor("t", ["a", "é"])]
    store.put("m", 3, "r", outputs, time_ns=77, segment=tensor("s", np.array([5, 6])))
    ((outcome, prediction, ticket),) = store.join("m", ["r"])
    assert (outcome, ticket) == ("joined", 0)
    assert (prediction.version, prediction.time_ns) == (3, 77)
    assert prediction.outputs == outputs
    assert prediction.segment == tensor("s", np.array([5, 6]))


def test_outcomes_come_in_the_order_of_the_ids():
    store = make_store()
    store.put("m", 1, "a", [], time_ns=0)
    store.put("m", 1, "large", [tensor("y", np.zeros(2000, np.float32))], time_ns=0)
    ids = ["a", "nobody", "a", "large"]
    assert [each.outcome for each in store.join("m", ids)] == [
        "joined", "unknown", "duplicate", "too_large",
    ]  # fmt: skip


def test_label_that_waits_is_told_by_its_ticket():
    store = make_store()
    first, second = store.join("m", ["a", "b"], may_wait=True, now_ns=0)
    assert (first.outcome, second.outcome) == ("waiting", "waiting")
    store.put("m", 1, "b", [], time_ns=0, now_ns=1)
    assert store.take_waited(now_ns=10**9) == ([second.ticket], [first.ticket])
    assert store.stats().early == 1


def test_memory_is_bounded_over_a_million_bytes_many_times():
    store = make_store()
    for number in range(30_000):
        store.put("m", 1, f"request-{number}", [tensor("y", np.ones(8, np.float32))], time_ns=0)
    stats = store.stats()
    assert stats.bytes <= store.ring_bytes < 1 << 20
    assert stats.kept == stats.records + stats.evicted == 30_000
    assert store.join("m", ["request-29999"])[0].outcome == "joined"
    assert store.join("m", ["request-20000"])[0].outcome == "late"


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (("y", "FP33", (1,), b""), "there is no datatype 'FP33'"),
        (("y", "FP32", (1,) * 17, b""), "17 dimensions"),
    ],
)
def test_tensor_that_cannot_be_is_refused(output, message):
    with pytest.raises(core.CoreError, match=message):
        make_store().put("m", 1, "r", [output], time_ns=0)


def test_key_has_16_bytes():
    with pytest.raises(core.CoreError, match="the key has 3 bytes, expected 16"):
        make_store(key=b"abc")
