# Generated from proto/fastserve_watch.proto by proto/generate.py. Do not edit.
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ShowDriftRequest(_message.Message):
    __slots__ = ("model", "version", "features", "top", "window_seconds", "histograms")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    TOP_FIELD_NUMBER: _ClassVar[int]
    WINDOW_SECONDS_FIELD_NUMBER: _ClassVar[int]
    HISTOGRAMS_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: int
    features: _containers.RepeatedScalarFieldContainer[str]
    top: int
    window_seconds: int
    histograms: bool
    def __init__(self, model: _Optional[str] = ..., version: _Optional[int] = ..., features: _Optional[_Iterable[str]] = ..., top: _Optional[int] = ..., window_seconds: _Optional[int] = ..., histograms: bool = ...) -> None: ...

class ShowDriftResponse(_message.Message):
    __slots__ = ("versions",)
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    versions: _containers.RepeatedCompositeFieldContainer[VersionDrift]
    def __init__(self, versions: _Optional[_Iterable[_Union[VersionDrift, _Mapping]]] = ...) -> None: ...

class VersionDrift(_message.Message):
    __slots__ = ("model", "version", "profile", "window", "is_judged", "features", "feature_count", "rows_seen", "rows_skipped", "history_ends", "window_lengths", "problem", "judged_seconds", "minimum_rows", "tensors", "has_rows_axis")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    IS_JUDGED_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    FEATURE_COUNT_FIELD_NUMBER: _ClassVar[int]
    ROWS_SEEN_FIELD_NUMBER: _ClassVar[int]
    ROWS_SKIPPED_FIELD_NUMBER: _ClassVar[int]
    HISTORY_ENDS_FIELD_NUMBER: _ClassVar[int]
    WINDOW_LENGTHS_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    JUDGED_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_ROWS_FIELD_NUMBER: _ClassVar[int]
    TENSORS_FIELD_NUMBER: _ClassVar[int]
    HAS_ROWS_AXIS_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: int
    profile: ProfileState
    window: WatchWindow
    is_judged: bool
    features: _containers.RepeatedCompositeFieldContainer[FeatureDrift]
    feature_count: int
    rows_seen: int
    rows_skipped: int
    history_ends: _containers.RepeatedScalarFieldContainer[float]
    window_lengths: _containers.RepeatedScalarFieldContainer[int]
    problem: str
    judged_seconds: int
    minimum_rows: int
    tensors: _containers.RepeatedCompositeFieldContainer[WatchTensor]
    has_rows_axis: bool
    def __init__(self, model: _Optional[str] = ..., version: _Optional[int] = ..., profile: _Optional[_Union[ProfileState, _Mapping]] = ..., window: _Optional[_Union[WatchWindow, _Mapping]] = ..., is_judged: bool = ..., features: _Optional[_Iterable[_Union[FeatureDrift, _Mapping]]] = ..., feature_count: _Optional[int] = ..., rows_seen: _Optional[int] = ..., rows_skipped: _Optional[int] = ..., history_ends: _Optional[_Iterable[float]] = ..., window_lengths: _Optional[_Iterable[int]] = ..., problem: _Optional[str] = ..., judged_seconds: _Optional[int] = ..., minimum_rows: _Optional[int] = ..., tensors: _Optional[_Iterable[_Union[WatchTensor, _Mapping]]] = ..., has_rows_axis: bool = ...) -> None: ...

class WatchTensor(_message.Message):
    __slots__ = ("name", "is_input", "datatype", "elements")
    NAME_FIELD_NUMBER: _ClassVar[int]
    IS_INPUT_FIELD_NUMBER: _ClassVar[int]
    DATATYPE_FIELD_NUMBER: _ClassVar[int]
    ELEMENTS_FIELD_NUMBER: _ClassVar[int]
    name: str
    is_input: bool
    datatype: str
    elements: int
    def __init__(self, name: _Optional[str] = ..., is_input: bool = ..., datatype: _Optional[str] = ..., elements: _Optional[int] = ...) -> None: ...

class WatchWindow(_message.Message):
    __slots__ = ("start", "end", "rows")
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    start: float
    end: float
    rows: int
    def __init__(self, start: _Optional[float] = ..., end: _Optional[float] = ..., rows: _Optional[int] = ...) -> None: ...

class FeatureDrift(_message.Message):
    __slots__ = ("name", "label", "unit", "kind", "is_input", "scores", "measure", "score", "threshold", "severity", "p_value", "has_alarm", "history", "reference", "live", "edges", "categories")
    class ScoresEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    IS_INPUT_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    MEASURE_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    P_VALUE_FIELD_NUMBER: _ClassVar[int]
    HAS_ALARM_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    LIVE_FIELD_NUMBER: _ClassVar[int]
    EDGES_FIELD_NUMBER: _ClassVar[int]
    CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    name: str
    label: str
    unit: str
    kind: str
    is_input: bool
    scores: _containers.ScalarMap[str, float]
    measure: str
    score: float
    threshold: float
    severity: float
    p_value: float
    has_alarm: bool
    history: _containers.RepeatedScalarFieldContainer[float]
    reference: FeatureShape
    live: FeatureShape
    edges: _containers.RepeatedScalarFieldContainer[float]
    categories: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., label: _Optional[str] = ..., unit: _Optional[str] = ..., kind: _Optional[str] = ..., is_input: bool = ..., scores: _Optional[_Mapping[str, float]] = ..., measure: _Optional[str] = ..., score: _Optional[float] = ..., threshold: _Optional[float] = ..., severity: _Optional[float] = ..., p_value: _Optional[float] = ..., has_alarm: bool = ..., history: _Optional[_Iterable[float]] = ..., reference: _Optional[_Union[FeatureShape, _Mapping]] = ..., live: _Optional[_Union[FeatureShape, _Mapping]] = ..., edges: _Optional[_Iterable[float]] = ..., categories: _Optional[_Iterable[str]] = ...) -> None: ...

class FeatureShape(_message.Message):
    __slots__ = ("count", "missing", "mean", "deviation", "minimum", "maximum", "distinct", "shares")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    MEAN_FIELD_NUMBER: _ClassVar[int]
    DEVIATION_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_FIELD_NUMBER: _ClassVar[int]
    MAXIMUM_FIELD_NUMBER: _ClassVar[int]
    DISTINCT_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    count: int
    missing: int
    mean: float
    deviation: float
    minimum: float
    maximum: float
    distinct: float
    shares: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, count: _Optional[int] = ..., missing: _Optional[int] = ..., mean: _Optional[float] = ..., deviation: _Optional[float] = ..., minimum: _Optional[float] = ..., maximum: _Optional[float] = ..., distinct: _Optional[float] = ..., shares: _Optional[_Iterable[float]] = ...) -> None: ...

class FreezeProfileRequest(_message.Message):
    __slots__ = ("model", "version", "rows", "from_version", "forget")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    FROM_VERSION_FIELD_NUMBER: _ClassVar[int]
    FORGET_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: int
    rows: int
    from_version: int
    forget: bool
    def __init__(self, model: _Optional[str] = ..., version: _Optional[int] = ..., rows: _Optional[int] = ..., from_version: _Optional[int] = ..., forget: bool = ...) -> None: ...

class PutProfileRequest(_message.Message):
    __slots__ = ("model", "version", "profile")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: int
    profile: bytes
    def __init__(self, model: _Optional[str] = ..., version: _Optional[int] = ..., profile: _Optional[bytes] = ...) -> None: ...

class ProfileState(_message.Message):
    __slots__ = ("model", "version", "rows", "origin", "source", "made", "has_outputs", "freeze_rows", "freeze_wanted_rows")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    MADE_FIELD_NUMBER: _ClassVar[int]
    HAS_OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    FREEZE_ROWS_FIELD_NUMBER: _ClassVar[int]
    FREEZE_WANTED_ROWS_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: int
    rows: int
    origin: str
    source: str
    made: float
    has_outputs: bool
    freeze_rows: int
    freeze_wanted_rows: int
    def __init__(self, model: _Optional[str] = ..., version: _Optional[int] = ..., rows: _Optional[int] = ..., origin: _Optional[str] = ..., source: _Optional[str] = ..., made: _Optional[float] = ..., has_outputs: bool = ..., freeze_rows: _Optional[int] = ..., freeze_wanted_rows: _Optional[int] = ...) -> None: ...

class ListAlarmsRequest(_message.Message):
    __slots__ = ("model", "history")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    model: str
    history: bool
    def __init__(self, model: _Optional[str] = ..., history: bool = ...) -> None: ...

class ListAlarmsResponse(_message.Message):
    __slots__ = ("standing", "recent")
    STANDING_FIELD_NUMBER: _ClassVar[int]
    RECENT_FIELD_NUMBER: _ClassVar[int]
    standing: _containers.RepeatedCompositeFieldContainer[WatchAlarm]
    recent: _containers.RepeatedCompositeFieldContainer[WatchAlarm]
    def __init__(self, standing: _Optional[_Iterable[_Union[WatchAlarm, _Mapping]]] = ..., recent: _Optional[_Iterable[_Union[WatchAlarm, _Mapping]]] = ...) -> None: ...

class WatchAlarm(_message.Message):
    __slots__ = ("kind", "model", "version", "subject", "is_raised", "score", "threshold", "window", "evidence", "time")
    KIND_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    IS_RAISED_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    kind: str
    model: str
    version: int
    subject: str
    is_raised: bool
    score: float
    threshold: float
    window: WatchWindow
    evidence: str
    time: float
    def __init__(self, kind: _Optional[str] = ..., model: _Optional[str] = ..., version: _Optional[int] = ..., subject: _Optional[str] = ..., is_raised: bool = ..., score: _Optional[float] = ..., threshold: _Optional[float] = ..., window: _Optional[_Union[WatchWindow, _Mapping]] = ..., evidence: _Optional[str] = ..., time: _Optional[float] = ...) -> None: ...
