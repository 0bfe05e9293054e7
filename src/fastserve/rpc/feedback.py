"""fastserve.v1.Feedback: labels from callers."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import islice
from typing import Final, Protocol

from fastserve._proto import fastserve_feedback_pb2 as pb
from fastserve.drift.feedback_label import Label, LabelResult, Outcome, Value
from fastserve.errors import Unsupported
from fastserve.models.catalog import Catalog
from fastserve.rpc.context import CallContext
from fastserve.rpc.method_table import Method, service_methods

SERVICE: Final = "fastserve.v1.Feedback"
# Of one message, judged before other calls have their turn.
_LABELS_A_TURN: Final = 1000
_MOST_PROBLEMS: Final = 100
_OUTCOMES: Final[dict[Outcome, "pb.LabelOutcome"]] = {
    "joined": pb.JOINED,
    "early": pb.EARLY,
    "late": pb.LATE,
    "unknown": pb.UNKNOWN,
    "duplicate": pb.DUPLICATE,
    "invalid": pb.INVALID,
}
_SILENT: Final = ("joined", "early")


class LabelTaker(Protocol):
    """Who takes labels: fastserve.drift.feedback.Feedback."""

    def send(self, model: str, labels: Sequence[Label]) -> list[LabelResult]: ...


class FeedbackServicer:
    """Thread: the event loop's. Errors: ModelNotFound, Unsupported."""

    def __init__(self, feedback: LabelTaker | None, catalog: Catalog) -> None:
        """`feedback`: None where the server keeps no predictions."""
        self._feedback = feedback
        self._catalog = catalog

    def methods(self) -> Iterator[Method]:
        return service_methods(SERVICE, {"Send": self.send, "SendMany": self.send_many})

    async def send(
        self, request: pb.SendFeedbackRequest, _context: CallContext
    ) -> pb.SendFeedbackResponse:
        response = pb.SendFeedbackResponse()
        place = 0
        async for labels, results in self._results(request):
            response.outcomes.extend([_OUTCOMES[result.outcome] for result in results])
            response.problems.extend(_problems(place, labels, results))
            place += len(labels)
        return response

    async def send_many(
        self, requests: AsyncIterator[pb.SendFeedbackRequest], _context: CallContext
    ) -> pb.FeedbackSummary:
        summary = pb.FeedbackSummary()
        counts: Counter[Outcome] = Counter()
        place = 0
        async for request in requests:
            async for labels, results in self._results(request):
                counts.update([result.outcome for result in results])
                room = _MOST_PROBLEMS - len(summary.problems)
                summary.problems.extend(islice(_problems(place, labels, results), room))
                place += len(labels)
        for outcome, count in counts.items():
            setattr(summary, outcome, count)
        return summary

    async def _results(
        self, request: pb.SendFeedbackRequest
    ) -> AsyncIterator[tuple[list[Label], list[LabelResult]]]:
        """Some labels after the other, each with its result."""
        if self._feedback is None:
            raise Unsupported(
                "the server takes no labels: its settings say feedback.enabled = false"
            )
        self._catalog.model(request.model)
        for start in range(0, len(request.labels), _LABELS_A_TURN):
            # A stream whose messages have come already would let nobody else run.
            await asyncio.sleep(0)
            labels = [_label(each) for each in request.labels[start : start + _LABELS_A_TURN]]
            yield labels, self._feedback.send(request.model, labels)


def _label(message: pb.Label) -> Label:
    values: list[Sequence[Value]] = [
        field for field in (message.int64s, message.doubles, message.strings) if field
    ]
    if len(values) == 1:
        return Label(message.id, values[0], message.time_unix_ns)
    problem = "has values of more than one kind" if values else ""
    return Label(message.id, (), message.time_unix_ns, problem)


def _problems(
    place: int, labels: list[Label], results: list[LabelResult]
) -> Iterator[pb.LabelProblem]:
    """`place`: of the first of these labels among those of the call."""
    for number, (label, result) in enumerate(zip(labels, results, strict=True), place):
        if result.outcome not in _SILENT:
            yield pb.LabelProblem(
                place=number,
                id=label.id,
                outcome=_OUTCOMES[result.outcome],
                reason=result.reason,
            )
