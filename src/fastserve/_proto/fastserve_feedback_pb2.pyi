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

class ShowQualityRequest(_message.Message):
    __slots__ = ("model", "version", "window_seconds")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    WINDOW_SECONDS_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: int
    window_seconds: int
    def __init__(self, model: _Optional[str] = ..., version: _Optional[int] = ..., window_seconds: _Optional[int] = ...) -> None: ...

class ShowQualityResponse(_message.Message):
    __slots__ = ("models",)
    MODELS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[ModelQuality]
    def __init__(self, models: _Optional[_Iterable[_Union[ModelQuality, _Mapping]]] = ...) -> None: ...

class ModelQuality(_message.Message):
    __slots__ = ("model", "labels", "mean_delay_seconds", "versions")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    MODEL_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    MEAN_DELAY_SECONDS_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    model: str
    labels: _containers.ScalarMap[str, int]
    mean_delay_seconds: float
    versions: _containers.RepeatedCompositeFieldContainer[VersionQuality]
    def __init__(self, model: _Optional[str] = ..., labels: _Optional[_Mapping[str, int]] = ..., mean_delay_seconds: _Optional[float] = ..., versions: _Optional[_Iterable[_Union[VersionQuality, _Mapping]]] = ...) -> None: ...

class VersionQuality(_message.Message):
    __slots__ = ("version", "labelled_rows", "window_seconds", "window_start", "window_end", "is_over", "segments", "gaps", "detectors", "minimum_labels", "bounds", "history")
    class GapsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class BoundsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    VERSION_FIELD_NUMBER: _ClassVar[int]
    LABELLED_ROWS_FIELD_NUMBER: _ClassVar[int]
    WINDOW_SECONDS_FIELD_NUMBER: _ClassVar[int]
    WINDOW_START_FIELD_NUMBER: _ClassVar[int]
    WINDOW_END_FIELD_NUMBER: _ClassVar[int]
    IS_OVER_FIELD_NUMBER: _ClassVar[int]
    SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    GAPS_FIELD_NUMBER: _ClassVar[int]
    DETECTORS_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_LABELS_FIELD_NUMBER: _ClassVar[int]
    BOUNDS_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    version: int
    labelled_rows: int
    window_seconds: int
    window_start: float
    window_end: float
    is_over: bool
    segments: _containers.RepeatedCompositeFieldContainer[SegmentQuality]
    gaps: _containers.ScalarMap[str, float]
    detectors: _containers.RepeatedCompositeFieldContainer[ConceptDetector]
    minimum_labels: int
    bounds: _containers.ScalarMap[str, float]
    history: _containers.RepeatedCompositeFieldContainer[QualityHistory]
    def __init__(self, version: _Optional[int] = ..., labelled_rows: _Optional[int] = ..., window_seconds: _Optional[int] = ..., window_start: _Optional[float] = ..., window_end: _Optional[float] = ..., is_over: bool = ..., segments: _Optional[_Iterable[_Union[SegmentQuality, _Mapping]]] = ..., gaps: _Optional[_Mapping[str, float]] = ..., detectors: _Optional[_Iterable[_Union[ConceptDetector, _Mapping]]] = ..., minimum_labels: _Optional[int] = ..., bounds: _Optional[_Mapping[str, float]] = ..., history: _Optional[_Iterable[_Union[QualityHistory, _Mapping]]] = ...) -> None: ...

class SegmentQuality(_message.Message):
    __slots__ = ("name", "rows", "measures")
    class MeasuresEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    MEASURES_FIELD_NUMBER: _ClassVar[int]
    name: str
    rows: int
    measures: _containers.ScalarMap[str, float]
    def __init__(self, name: _Optional[str] = ..., rows: _Optional[int] = ..., measures: _Optional[_Mapping[str, float]] = ...) -> None: ...

class ConceptDetector(_message.Message):
    __slots__ = ("name", "has_alarm", "mean_error_before", "mean_error_after")
    NAME_FIELD_NUMBER: _ClassVar[int]
    HAS_ALARM_FIELD_NUMBER: _ClassVar[int]
    MEAN_ERROR_BEFORE_FIELD_NUMBER: _ClassVar[int]
    MEAN_ERROR_AFTER_FIELD_NUMBER: _ClassVar[int]
    name: str
    has_alarm: bool
    mean_error_before: float
    mean_error_after: float
    def __init__(self, name: _Optional[str] = ..., has_alarm: bool = ..., mean_error_before: _Optional[float] = ..., mean_error_after: _Optional[float] = ...) -> None: ...

class QualityHistory(_message.Message):
    __slots__ = ("measure", "values")
    MEASURE_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    measure: str
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, measure: _Optional[str] = ..., values: _Optional[_Iterable[float]] = ...) -> None: ...
