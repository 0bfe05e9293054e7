# Generated from proto/fastserve_rollout.proto by proto/generate.py. Do not edit.
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StartRolloutRequest(_message.Message):
    __slots__ = ("model", "rollout", "reason")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    model: str
    rollout: str
    reason: str
    def __init__(self, model: _Optional[str] = ..., rollout: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class RolloutStatusRequest(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: str
    def __init__(self, model: _Optional[str] = ...) -> None: ...

class RolloutStatusResponse(_message.Message):
    __slots__ = ("rollouts",)
    ROLLOUTS_FIELD_NUMBER: _ClassVar[int]
    rollouts: _containers.RepeatedCompositeFieldContainer[Rollout]
    def __init__(self, rollouts: _Optional[_Iterable[_Union[Rollout, _Mapping]]] = ...) -> None: ...

class MoveRolloutRequest(_message.Message):
    __slots__ = ("model", "reason")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    model: str
    reason: str
    def __init__(self, model: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class RolloutHistoryRequest(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: str
    def __init__(self, model: _Optional[str] = ...) -> None: ...

class RolloutHistoryResponse(_message.Message):
    __slots__ = ("changes",)
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    changes: _containers.RepeatedCompositeFieldContainer[RolloutChange]
    def __init__(self, changes: _Optional[_Iterable[_Union[RolloutChange, _Mapping]]] = ...) -> None: ...

class RolloutStep(_message.Message):
    __slots__ = ("weight", "min_requests", "min_seconds", "max_seconds", "gate")
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    MIN_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    MIN_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MAX_SECONDS_FIELD_NUMBER: _ClassVar[int]
    GATE_FIELD_NUMBER: _ClassVar[int]
    weight: float
    min_requests: int
    min_seconds: float
    max_seconds: float
    gate: bool
    def __init__(self, weight: _Optional[float] = ..., min_requests: _Optional[int] = ..., min_seconds: _Optional[float] = ..., max_seconds: _Optional[float] = ..., gate: bool = ...) -> None: ...

class RolloutGuard(_message.Message):
    __slots__ = ("name", "verdict", "value", "lower", "upper", "limit", "evidence", "candidate_requests", "baseline_requests", "awaited", "text")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    LOWER_FIELD_NUMBER: _ClassVar[int]
    UPPER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    BASELINE_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    AWAITED_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    name: str
    verdict: str
    value: float
    lower: float
    upper: float
    limit: float
    evidence: float
    candidate_requests: int
    baseline_requests: int
    awaited: str
    text: str
    def __init__(self, name: _Optional[str] = ..., verdict: _Optional[str] = ..., value: _Optional[float] = ..., lower: _Optional[float] = ..., upper: _Optional[float] = ..., limit: _Optional[float] = ..., evidence: _Optional[float] = ..., candidate_requests: _Optional[int] = ..., baseline_requests: _Optional[int] = ..., awaited: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class RolloutJudgement(_message.Message):
    __slots__ = ("verdict", "reason", "guards", "awaited", "candidate_requests", "baseline_requests", "seconds")
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    GUARDS_FIELD_NUMBER: _ClassVar[int]
    AWAITED_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    BASELINE_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    verdict: str
    reason: str
    guards: _containers.RepeatedCompositeFieldContainer[RolloutGuard]
    awaited: _containers.RepeatedScalarFieldContainer[str]
    candidate_requests: int
    baseline_requests: int
    seconds: float
    def __init__(self, verdict: _Optional[str] = ..., reason: _Optional[str] = ..., guards: _Optional[_Iterable[_Union[RolloutGuard, _Mapping]]] = ..., awaited: _Optional[_Iterable[str]] = ..., candidate_requests: _Optional[int] = ..., baseline_requests: _Optional[int] = ..., seconds: _Optional[float] = ...) -> None: ...

class Rollout(_message.Message):
    __slots__ = ("model", "number", "baseline", "candidate", "state", "steps", "step", "weight", "dry_run", "is_pending", "last", "judgement")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    BASELINE_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    IS_PENDING_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    JUDGEMENT_FIELD_NUMBER: _ClassVar[int]
    model: str
    number: int
    baseline: int
    candidate: int
    state: str
    steps: _containers.RepeatedCompositeFieldContainer[RolloutStep]
    step: int
    weight: float
    dry_run: bool
    is_pending: bool
    last: RolloutChange
    judgement: RolloutJudgement
    def __init__(self, model: _Optional[str] = ..., number: _Optional[int] = ..., baseline: _Optional[int] = ..., candidate: _Optional[int] = ..., state: _Optional[str] = ..., steps: _Optional[_Iterable[_Union[RolloutStep, _Mapping]]] = ..., step: _Optional[int] = ..., weight: _Optional[float] = ..., dry_run: bool = ..., is_pending: bool = ..., last: _Optional[_Union[RolloutChange, _Mapping]] = ..., judgement: _Optional[_Union[RolloutJudgement, _Mapping]] = ...) -> None: ...

class RolloutChange(_message.Message):
    __slots__ = ("number", "time", "baseline", "candidate", "before", "after", "step", "weight", "actor", "reason", "dry_run", "guards")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    BASELINE_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    GUARDS_FIELD_NUMBER: _ClassVar[int]
    number: int
    time: float
    baseline: int
    candidate: int
    before: str
    after: str
    step: int
    weight: float
    actor: str
    reason: str
    dry_run: bool
    guards: _containers.RepeatedCompositeFieldContainer[RolloutGuard]
    def __init__(self, number: _Optional[int] = ..., time: _Optional[float] = ..., baseline: _Optional[int] = ..., candidate: _Optional[int] = ..., before: _Optional[str] = ..., after: _Optional[str] = ..., step: _Optional[int] = ..., weight: _Optional[float] = ..., actor: _Optional[str] = ..., reason: _Optional[str] = ..., dry_run: bool = ..., guards: _Optional[_Iterable[_Union[RolloutGuard, _Mapping]]] = ...) -> None: ...
