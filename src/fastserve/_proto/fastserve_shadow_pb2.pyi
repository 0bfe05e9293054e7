# Generated from proto/fastserve_shadow.proto by proto/generate.py. Do not edit.
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ShadowStartRequest(_message.Message):
    __slots__ = ("model", "version", "candidate", "share", "max_bytes", "seed", "absolute_tolerance", "relative_tolerance")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    ABSOLUTE_TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    RELATIVE_TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: int
    candidate: int
    share: float
    max_bytes: int
    seed: int
    absolute_tolerance: float
    relative_tolerance: float
    def __init__(self, model: _Optional[str] = ..., version: _Optional[int] = ..., candidate: _Optional[int] = ..., share: _Optional[float] = ..., max_bytes: _Optional[int] = ..., seed: _Optional[int] = ..., absolute_tolerance: _Optional[float] = ..., relative_tolerance: _Optional[float] = ...) -> None: ...

class ShadowStopRequest(_message.Message):
    __slots__ = ("model", "reason")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    model: str
    reason: str
    def __init__(self, model: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ShadowReportRequest(_message.Message):
    __slots__ = ("model", "reset")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    RESET_FIELD_NUMBER: _ClassVar[int]
    model: str
    reset: bool
    def __init__(self, model: _Optional[str] = ..., reset: bool = ...) -> None: ...

class ShadowExample(_message.Message):
    __slots__ = ("id", "row", "difference", "live", "candidate")
    ID_FIELD_NUMBER: _ClassVar[int]
    ROW_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    LIVE_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    id: str
    row: int
    difference: float
    live: _containers.RepeatedScalarFieldContainer[str]
    candidate: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[str] = ..., row: _Optional[int] = ..., difference: _Optional[float] = ..., live: _Optional[_Iterable[str]] = ..., candidate: _Optional[_Iterable[str]] = ...) -> None: ...

class ShadowHistogram(_message.Message):
    __slots__ = ("edges", "absolute", "relative")
    EDGES_FIELD_NUMBER: _ClassVar[int]
    ABSOLUTE_FIELD_NUMBER: _ClassVar[int]
    RELATIVE_FIELD_NUMBER: _ClassVar[int]
    edges: _containers.RepeatedScalarFieldContainer[float]
    absolute: _containers.RepeatedScalarFieldContainer[float]
    relative: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, edges: _Optional[_Iterable[float]] = ..., absolute: _Optional[_Iterable[float]] = ..., relative: _Optional[_Iterable[float]] = ...) -> None: ...

class ShadowOutput(_message.Message):
    __slots__ = ("name", "rows", "differing_rows", "unequal_rows", "nan_rows", "wrong_shape_rows", "argmax_rows", "argmax_flips", "max_absolute", "max_relative", "correlated_rows", "mean_correlation", "min_correlation", "quantiles", "histogram", "worst")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    DIFFERING_ROWS_FIELD_NUMBER: _ClassVar[int]
    UNEQUAL_ROWS_FIELD_NUMBER: _ClassVar[int]
    NAN_ROWS_FIELD_NUMBER: _ClassVar[int]
    WRONG_SHAPE_ROWS_FIELD_NUMBER: _ClassVar[int]
    ARGMAX_ROWS_FIELD_NUMBER: _ClassVar[int]
    ARGMAX_FLIPS_FIELD_NUMBER: _ClassVar[int]
    MAX_ABSOLUTE_FIELD_NUMBER: _ClassVar[int]
    MAX_RELATIVE_FIELD_NUMBER: _ClassVar[int]
    CORRELATED_ROWS_FIELD_NUMBER: _ClassVar[int]
    MEAN_CORRELATION_FIELD_NUMBER: _ClassVar[int]
    MIN_CORRELATION_FIELD_NUMBER: _ClassVar[int]
    QUANTILES_FIELD_NUMBER: _ClassVar[int]
    HISTOGRAM_FIELD_NUMBER: _ClassVar[int]
    WORST_FIELD_NUMBER: _ClassVar[int]
    name: str
    rows: int
    differing_rows: int
    unequal_rows: int
    nan_rows: int
    wrong_shape_rows: int
    argmax_rows: int
    argmax_flips: int
    max_absolute: float
    max_relative: float
    correlated_rows: int
    mean_correlation: float
    min_correlation: float
    quantiles: _containers.RepeatedScalarFieldContainer[float]
    histogram: ShadowHistogram
    worst: _containers.RepeatedCompositeFieldContainer[ShadowExample]
    def __init__(self, name: _Optional[str] = ..., rows: _Optional[int] = ..., differing_rows: _Optional[int] = ..., unequal_rows: _Optional[int] = ..., nan_rows: _Optional[int] = ..., wrong_shape_rows: _Optional[int] = ..., argmax_rows: _Optional[int] = ..., argmax_flips: _Optional[int] = ..., max_absolute: _Optional[float] = ..., max_relative: _Optional[float] = ..., correlated_rows: _Optional[int] = ..., mean_correlation: _Optional[float] = ..., min_correlation: _Optional[float] = ..., quantiles: _Optional[_Iterable[float]] = ..., histogram: _Optional[_Union[ShadowHistogram, _Mapping]] = ..., worst: _Optional[_Iterable[_Union[ShadowExample, _Mapping]]] = ...) -> None: ...

class ShadowState(_message.Message):
    __slots__ = ("model", "version", "candidate", "share", "is_running", "ended", "seconds", "offered", "compared", "dropped", "failed", "waiting", "differing", "first_error", "outputs", "lines")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    IS_RUNNING_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    OFFERED_FIELD_NUMBER: _ClassVar[int]
    COMPARED_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    DIFFERING_FIELD_NUMBER: _ClassVar[int]
    FIRST_ERROR_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: int
    candidate: int
    share: float
    is_running: bool
    ended: str
    seconds: float
    offered: int
    compared: int
    dropped: int
    failed: int
    waiting: int
    differing: int
    first_error: str
    outputs: _containers.RepeatedCompositeFieldContainer[ShadowOutput]
    lines: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, model: _Optional[str] = ..., version: _Optional[int] = ..., candidate: _Optional[int] = ..., share: _Optional[float] = ..., is_running: bool = ..., ended: _Optional[str] = ..., seconds: _Optional[float] = ..., offered: _Optional[int] = ..., compared: _Optional[int] = ..., dropped: _Optional[int] = ..., failed: _Optional[int] = ..., waiting: _Optional[int] = ..., differing: _Optional[int] = ..., first_error: _Optional[str] = ..., outputs: _Optional[_Iterable[_Union[ShadowOutput, _Mapping]]] = ..., lines: _Optional[_Iterable[str]] = ...) -> None: ...

class ShadowReportResponse(_message.Message):
    __slots__ = ("shadows",)
    SHADOWS_FIELD_NUMBER: _ClassVar[int]
    shadows: _containers.RepeatedCompositeFieldContainer[ShadowState]
    def __init__(self, shadows: _Optional[_Iterable[_Union[ShadowState, _Mapping]]] = ...) -> None: ...
