"""fastserve.v1.Feedback: labels from callers, and the live quality that follows from them."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final, Protocol

from fastserve._proto import fastserve_feedback_pb2 as pb
from fastserve.drift.feedback_label import Label, LabelResult, Outcome, Value
from fastserve.drift.feedback_view import check_length, view
from fastserve.errors import Unsupported
from fastserve.models.catalog import Catalog
from fastserve.rpc.context import CallContext
from fastserve.rpc.feedback_messages import model_message, version_message
from fastserve.rpc.method_table import Method, service_methods

if TYPE_CHECKING:  # numpy, which a server without labels does not need
    from fastserve.drift.feedback_model import ModelFeedback

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

    @property
    def models(self) -> "list[ModelFeedback]": ...
    @property
    def counts(self) -> Mapping[tuple[str, Outcome], int]: ...
    def send(self, model: str, labels: Sequence[Label]) -> list[LabelResult]: ...


class FeedbackServicer:
    """Thread: the event loop's.

    Errors: ModelNotFound, VersionNotFound, InvalidConfig for a window, Unsupported.
    """

    def __init__(self, feedback: LabelTaker | None, catalog: Catalog) -> None:
        """`feedback`: None where the server keeps no predictions."""
        self._feedback = feedback
        self._catalog = catalog

    def methods(self) -> Iterator[Method]:
        return service_methods(
            SERVICE,
            {"Send": self.send, "SendMany": self.send_many, "ShowQuality": self.show_quality},
        )

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

    async def show_quality(
        self, request: pb.ShowQualityRequest, _context: CallContext
    ) -> pb.ShowQualityResponse:
        taker = self._taker()
        check_length(request.window_seconds)
        if request.model:
            model = self._catalog.model(request.model)
        labelled = {each.model: each for each in taker.models}
        known = {name for name, _ in taker.counts}
        response = pb.ShowQualityResponse()
        for name in [request.model] if request.model else sorted(known | labelled.keys()):
            message = model_message(name, taker.counts, labelled.get(name))
            for quality in labelled[name].versions if name in labelled else ():
                if request.version in (0, quality.version):
                    # Milliseconds with many segments: other calls have their turn.
                    await asyncio.sleep(0)
                    message.versions.append(version_message(view(quality, request.window_seconds)))
            response.models.append(message)
        if request.model and request.version and not response.models[0].versions:
            self._catalog.record(model, str(request.version))
        return response

    def _taker(self) -> LabelTaker:
        if self._feedback is None:
            raise Unsupported(
                "the server takes no labels: its settings say feedback.enabled = false"
            )
        return self._feedback

    async def _results(
        self, request: pb.SendFeedbackRequest
    ) -> AsyncIterator[tuple[list[Label], list[LabelResult]]]:
        """Some labels after the other, each with its result."""
        taker = self._taker()
        self._catalog.model(request.model)
        for start in range(0, len(request.labels), _LABELS_A_TURN):
            # A stream whose messages have come already would let nobody else run.
            await asyncio.sleep(0)
            labels = [_label(each) for each in request.labels[start : start + _LABELS_A_TURN]]
            yield labels, taker.send(request.model, labels)


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
