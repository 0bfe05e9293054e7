"""fastserve.v1.Feedback: what turned out to be true of earlier requests, and how good that is."""

import itertools
import numbers
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from fastserve._proto import fastserve_feedback_pb2 as pb
from fastserve.client.call import Call, reader
from fastserve.client.metadata import message_as_dict
from fastserve.errors import InvalidTensor, quoted

_SERVICE: Final = "/fastserve.v1.Feedback/"
SEND_MANY_PATH: Final = _SERVICE + "SendMany"
# In one message of a stream.
LABELS_A_MESSAGE: Final = 1000

LabelValue: TypeAlias = int | float | str


class Label(NamedTuple):
    """What is true of the request with this id: one value, or one for each of its rows.

    `time_ns` is when that became known, since the epoch; 0 for now.
    """

    id: str
    value: LabelValue | Sequence[LabelValue]
    time_ns: int = 0


Labels: TypeAlias = Mapping[str, LabelValue | Sequence[LabelValue]] | Iterable[Label]


class LabelProblem(NamedTuple):
    """A label that was not joined. `place` is that among the labels of the call, from 0."""

    place: int
    id: str
    outcome: str
    reason: str


class FeedbackResult(NamedTuple):
    """What became of each label: joined, early, late, unknown, duplicate or invalid."""

    outcomes: list[str]
    problems: list[LabelProblem]


class FeedbackSummary(NamedTuple):
    """How many labels came to what; `problems` are the first 100."""

    joined: int
    early: int
    late: int
    unknown: int
    duplicate: int
    invalid: int
    problems: list[LabelProblem]

    @property
    def labels(self) -> int:
        return sum(self[:6])


def send_call(model: str, labels: Labels) -> Call[FeedbackResult]:
    """Errors: InvalidTensor for a value that is no number and no text."""
    request = pb.SendFeedbackRequest(model=model, labels=map(_message, _listed(labels)))
    return Call(
        _SERVICE + "Send", request.SerializeToString(), reader(pb.SendFeedbackResponse, _result)
    )


def quality_call(model: str, version: int, window_seconds: int) -> Call[list[dict[str, Any]]]:
    """Of all models that have labels where `model` is empty."""
    request = pb.ShowQualityRequest(model=model, version=version, window_seconds=window_seconds)
    return Call(
        _SERVICE + "ShowQuality",
        request.SerializeToString(),
        reader(pb.ShowQualityResponse, _models),
    )


def messages(model: str, labels: Labels) -> Iterator[bytes]:
    """The messages of a stream, made as they are sent. At least one: it names the model."""
    rest = iter(_listed(labels))
    is_first = True
    while (some := list(itertools.islice(rest, LABELS_A_MESSAGE))) or is_first:
        request = pb.SendFeedbackRequest(model=model, labels=map(_message, some))
        yield request.SerializeToString()
        is_first = False


def _listed(labels: Labels) -> Iterable[Label]:
    if isinstance(labels, Mapping):
        return (Label(request_id, value) for request_id, value in labels.items())
    return labels


def _message(label: Label) -> pb.Label:
    value = label.value
    is_one = isinstance(value, str | bytes | numbers.Number) or not isinstance(value, Iterable)
    values: list[Any] = [value] if is_one else list(value)  # type: ignore[arg-type]
    message = pb.Label(id=label.id, time_unix_ns=label.time_ns)
    try:
        if all(isinstance(each, numbers.Integral) for each in values):
            message.int64s.extend(int(each) for each in values)
        elif all(isinstance(each, str) for each in values):
            message.strings.extend(values)
        else:
            message.doubles.extend(float(each) for each in values)
    except (TypeError, ValueError) as error:
        raise InvalidTensor(
            f"the label of request {quoted(label.id)}: expected numbers or texts: {error}"
        ) from None
    return message


def _models(response: pb.ShowQualityResponse) -> list[dict[str, Any]]:
    return [message_as_dict(each) for each in response.models]


def _result(response: pb.SendFeedbackResponse) -> FeedbackResult:
    return FeedbackResult(
        [_name(outcome) for outcome in response.outcomes], _problems(response.problems)
    )


def read_summary(message: pb.FeedbackSummary) -> FeedbackSummary:
    return FeedbackSummary(
        message.joined,
        message.early,
        message.late,
        message.unknown,
        message.duplicate,
        message.invalid,
        _problems(message.problems),
    )


parse_summary = reader(pb.FeedbackSummary, read_summary)


def _problems(found: Iterable[pb.LabelProblem]) -> list[LabelProblem]:
    return [LabelProblem(each.place, each.id, _name(each.outcome), each.reason) for each in found]


def _name(outcome: pb.LabelOutcome) -> str:
    """In lower case; a number for one that this client does not know."""
    try:
        return pb.LabelOutcome.Name(outcome).lower()
    except ValueError:
        return str(int(outcome))
