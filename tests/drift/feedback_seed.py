"""A store of predictions with a clock that tests turn, and what fills it."""

import numpy as np

from fastserve._core import core
from fastserve.config import FeedbackSettings
from fastserve.drift.alarm import AlarmBook
from fastserve.drift.feedback import Feedback
from fastserve.drift.feedback_label import Label
from fastserve.model_config import FeedbackConfig

DATATYPES = {"f4": "FP32", "f8": "FP64", "i8": "INT64", "b1": "BOOL"}


def tensor(name, values):
    """(name, datatype, shape, raw bytes) of an array, or of texts."""
    if isinstance(values, list):
        data = b"".join(len(v.encode()).to_bytes(4, "little") + v.encode() for v in values)
        return (name, "BYTES", (len(values),), data)
    return (name, DATATYPES[values.dtype.str[1:]], values.shape, values.tobytes())


class Clock:
    def __init__(self):
        self.now = 1_000_000_020.0

    def time(self):
        return self.now

    def monotonic_ns(self):
        return int(self.now * 1e9)


class Scene:
    """Feedback of one model over a store of its own; changes of alarms are kept in their order."""

    def __init__(self, model="m", max_segments=16, **config):
        self.clock = Clock()
        self.model = model
        self.alarms = []
        self.problems = []
        self.book = AlarmBook(self.problems.append)
        self.book.listen(self.alarms.append)
        self.config = FeedbackConfig(**config)
        self.store = core.PredictionStore(
            max_bytes=4 << 20, max_record_bytes=4096, max_age_ns=10**13, max_waiting=10,
            max_wait_ns=10**10, key=b"0123456789abcdef",
        )  # fmt: skip
        self.feedback = Feedback(
            self.store,
            FeedbackSettings(max_segments=max_segments),
            lambda _: self.config,
            self.book,
            clock=self.clock,
        )

    def put(self, id_, *outputs, version=1, segment=None):
        self.store.put(
            self.model, version, id_, outputs,
            time_ns=int(self.clock.now * 1e9), segment=segment, now_ns=self.clock.monotonic_ns(),
        )  # fmt: skip

    def send(self, *labels):
        return self.feedback.send(self.model, labels)

    def measures(self, segment="all", version=1):
        (quality,) = [q for q in self.feedback.models[0].versions if q.version == version]
        return quality.shown.sums[segment].measures()


def column(values, dtype=np.float32):
    return np.array(values, dtype).reshape(-1, 1)


def put_segmented(scene, rows, segment=None):
    """Rows of (segment, predicted, true), one request each."""
    for n, (value, predicted, truth) in enumerate(rows):
        name = f"s{scene.store.stats().kept}-{n}"
        kept = segment(value) if segment else tensor("country", [value])
        scene.put(name, tensor("label", np.array([predicted])), segment=kept)
        assert [each.outcome for each in scene.send(Label(name, [truth]))] == ["joined"]
