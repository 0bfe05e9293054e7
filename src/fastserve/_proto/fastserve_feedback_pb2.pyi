# Generated from proto/fastserve_feedback.proto by proto/generate.py. Do not edit.
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LabelOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LABEL_OUTCOME_UNSPECIFIED: _ClassVar[LabelOutcome]
    JOINED: _ClassVar[LabelOutcome]
    EARLY: _ClassVar[LabelOutcome]
    LATE: _ClassVar[LabelOutcome]
    UNKNOWN: _ClassVar[LabelOutcome]
    DUPLICATE: _ClassVar[LabelOutcome]
    INVALID: _ClassVar[LabelOutcome]
LABEL_OUTCOME_UNSPECIFIED: LabelOutcome
JOINED: LabelOutcome
EARLY: LabelOutcome
LATE: LabelOutcome
UNKNOWN: LabelOutcome
DUPLICATE: LabelOutcome
INVALID: LabelOutcome

class Label(_message.Message):
    __slots__ = ("id", "int64s", "doubles", "strings", "time_unix_ns")
    ID_FIELD_NUMBER: _ClassVar[int]
    INT64S_FIELD_NUMBER: _ClassVar[int]
    DOUBLES_FIELD_NUMBER: _ClassVar[int]
    STRINGS_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    id: str
    int64s: _containers.RepeatedScalarFieldContainer[int]
    doubles: _containers.RepeatedScalarFieldContainer[float]
    strings: _containers.RepeatedScalarFieldContainer[str]
    time_unix_ns: int
    def __init__(self, id: _Optional[str] = ..., int64s: _Optional[_Iterable[int]] = ..., doubles: _Optional[_Iterable[float]] = ..., strings: _Optional[_Iterable[str]] = ..., time_unix_ns: _Optional[int] = ...) -> None: ...

class LabelProblem(_message.Message):
    __slots__ = ("place", "id", "outcome", "reason")
    PLACE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    place: int
    id: str
    outcome: LabelOutcome
    reason: str
    def __init__(self, place: _Optional[int] = ..., id: _Optional[str] = ..., outcome: _Optional[_Union[LabelOutcome, str]] = ..., reason: _Optional[str] = ...) -> None: ...

class SendFeedbackRequest(_message.Message):
    __slots__ = ("model", "labels")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    model: str
    labels: _containers.RepeatedCompositeFieldContainer[Label]
    def __init__(self, model: _Optional[str] = ..., labels: _Optional[_Iterable[_Union[Label, _Mapping]]] = ...) -> None: ...

class SendFeedbackResponse(_message.Message):
    __slots__ = ("outcomes", "problems")
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedScalarFieldContainer[LabelOutcome]
    problems: _containers.RepeatedCompositeFieldContainer[LabelProblem]
    def __init__(self, outcomes: _Optional[_Iterable[_Union[LabelOutcome, str]]] = ..., problems: _Optional[_Iterable[_Union[LabelProblem, _Mapping]]] = ...) -> None: ...

class FeedbackSummary(_message.Message):
    __slots__ = ("joined", "early", "late", "unknown", "duplicate", "invalid", "problems")
    JOINED_FIELD_NUMBER: _ClassVar[int]
    EARLY_FIELD_NUMBER: _ClassVar[int]
    LATE_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_FIELD_NUMBER: _ClassVar[int]
    INVALID_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    joined: int
    early: int
    late: int
    unknown: int
    duplicate: int
    invalid: int
    problems: _containers.RepeatedCompositeFieldContainer[LabelProblem]
    def __init__(self, joined: _Optional[int] = ..., early: _Optional[int] = ..., late: _Optional[int] = ..., unknown: _Optional[int] = ..., duplicate: _Optional[int] = ..., invalid: _Optional[int] = ..., problems: _Optional[_Iterable[_Union[LabelProblem, _Mapping]]] = ...) -> None: ...
