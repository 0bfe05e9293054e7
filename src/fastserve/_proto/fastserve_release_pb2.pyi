# Generated from proto/fastserve_release.proto by proto/generate.py. Do not edit.
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RouteEntry(_message.Message):
    __slots__ = ("version", "weight")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    version: int
    weight: float
    def __init__(self, version: _Optional[int] = ..., weight: _Optional[float] = ...) -> None: ...

class RouteRule(_message.Message):
    __slots__ = ("header", "match", "value", "version")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    MATCH_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    header: str
    match: str
    value: str
    version: int
    def __init__(self, header: _Optional[str] = ..., match: _Optional[str] = ..., value: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class RouteShadow(_message.Message):
    __slots__ = ("version", "share")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    version: int
    share: float
    def __init__(self, version: _Optional[int] = ..., share: _Optional[float] = ...) -> None: ...

class RouteBandit(_message.Message):
    __slots__ = ("min_share", "max_share", "interval_seconds")
    MIN_SHARE_FIELD_NUMBER: _ClassVar[int]
    MAX_SHARE_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    min_share: float
    max_share: float
    interval_seconds: float
    def __init__(self, min_share: _Optional[float] = ..., max_share: _Optional[float] = ..., interval_seconds: _Optional[float] = ...) -> None: ...

class Route(_message.Message):
    __slots__ = ("model", "generation", "strategy", "entries", "rules", "sticky", "seed", "fallback", "shadow", "bandit")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    STICKY_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_FIELD_NUMBER: _ClassVar[int]
    SHADOW_FIELD_NUMBER: _ClassVar[int]
    BANDIT_FIELD_NUMBER: _ClassVar[int]
    model: str
    generation: int
    strategy: str
    entries: _containers.RepeatedCompositeFieldContainer[RouteEntry]
    rules: _containers.RepeatedCompositeFieldContainer[RouteRule]
    sticky: str
    seed: int
    fallback: int
    shadow: RouteShadow
    bandit: RouteBandit
    def __init__(self, model: _Optional[str] = ..., generation: _Optional[int] = ..., strategy: _Optional[str] = ..., entries: _Optional[_Iterable[_Union[RouteEntry, _Mapping]]] = ..., rules: _Optional[_Iterable[_Union[RouteRule, _Mapping]]] = ..., sticky: _Optional[str] = ..., seed: _Optional[int] = ..., fallback: _Optional[int] = ..., shadow: _Optional[_Union[RouteShadow, _Mapping]] = ..., bandit: _Optional[_Union[RouteBandit, _Mapping]] = ...) -> None: ...

class BanditArm(_message.Message):
    __slots__ = ("version", "right", "wrong")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RIGHT_FIELD_NUMBER: _ClassVar[int]
    WRONG_FIELD_NUMBER: _ClassVar[int]
    version: int
    right: int
    wrong: int
    def __init__(self, version: _Optional[int] = ..., right: _Optional[int] = ..., wrong: _Optional[int] = ...) -> None: ...

class BanditState(_message.Message):
    __slots__ = ("arms", "awaited")
    ARMS_FIELD_NUMBER: _ClassVar[int]
    AWAITED_FIELD_NUMBER: _ClassVar[int]
    arms: _containers.RepeatedCompositeFieldContainer[BanditArm]
    awaited: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, arms: _Optional[_Iterable[_Union[BanditArm, _Mapping]]] = ..., awaited: _Optional[_Iterable[str]] = ...) -> None: ...

class RouteState(_message.Message):
    __slots__ = ("model", "generation", "route", "previous", "source", "actor", "reason", "time", "requests", "not_ready", "bandit")
    class RequestsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class NotReadyEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: int
        value: str
        def __init__(self, key: _Optional[int] = ..., value: _Optional[str] = ...) -> None: ...
    MODEL_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    ROUTE_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    NOT_READY_FIELD_NUMBER: _ClassVar[int]
    BANDIT_FIELD_NUMBER: _ClassVar[int]
    model: str
    generation: int
    route: Route
    previous: Route
    source: str
    actor: str
    reason: str
    time: float
    requests: _containers.ScalarMap[str, int]
    not_ready: _containers.ScalarMap[int, str]
    bandit: BanditState
    def __init__(self, model: _Optional[str] = ..., generation: _Optional[int] = ..., route: _Optional[_Union[Route, _Mapping]] = ..., previous: _Optional[_Union[Route, _Mapping]] = ..., source: _Optional[str] = ..., actor: _Optional[str] = ..., reason: _Optional[str] = ..., time: _Optional[float] = ..., requests: _Optional[_Mapping[str, int]] = ..., not_ready: _Optional[_Mapping[int, str]] = ..., bandit: _Optional[_Union[BanditState, _Mapping]] = ...) -> None: ...

class ShowRoutesRequest(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: str
    def __init__(self, model: _Optional[str] = ...) -> None: ...

class ShowRoutesResponse(_message.Message):
    __slots__ = ("routes",)
    ROUTES_FIELD_NUMBER: _ClassVar[int]
    routes: _containers.RepeatedCompositeFieldContainer[RouteState]
    def __init__(self, routes: _Optional[_Iterable[_Union[RouteState, _Mapping]]] = ...) -> None: ...

class SetRouteRequest(_message.Message):
    __slots__ = ("model", "route", "blue_green", "back", "expected_generation", "reason")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    ROUTE_FIELD_NUMBER: _ClassVar[int]
    BLUE_GREEN_FIELD_NUMBER: _ClassVar[int]
    BACK_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_GENERATION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    model: str
    route: Route
    blue_green: int
    back: bool
    expected_generation: int
    reason: str
    def __init__(self, model: _Optional[str] = ..., route: _Optional[_Union[Route, _Mapping]] = ..., blue_green: _Optional[int] = ..., back: bool = ..., expected_generation: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class RemoveRouteRequest(_message.Message):
    __slots__ = ("model", "expected_generation", "reason")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_GENERATION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    model: str
    expected_generation: int
    reason: str
    def __init__(self, model: _Optional[str] = ..., expected_generation: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class ExplainRouteRequest(_message.Message):
    __slots__ = ("model", "key", "headers")
    class HeadersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    MODEL_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    model: str
    key: str
    headers: _containers.ScalarMap[str, str]
    def __init__(self, model: _Optional[str] = ..., key: _Optional[str] = ..., headers: _Optional[_Mapping[str, str]] = ...) -> None: ...

class RouteShare(_message.Message):
    __slots__ = ("version", "weight", "weight_share", "key_share")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_SHARE_FIELD_NUMBER: _ClassVar[int]
    KEY_SHARE_FIELD_NUMBER: _ClassVar[int]
    version: int
    weight: float
    weight_share: float
    key_share: float
    def __init__(self, version: _Optional[int] = ..., weight: _Optional[float] = ..., weight_share: _Optional[float] = ..., key_share: _Optional[float] = ...) -> None: ...

class ExplainRouteResponse(_message.Message):
    __slots__ = ("model", "generation", "version", "reason", "rule", "rule_place", "slot", "key", "is_ready", "fallback", "shares")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    RULE_PLACE_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    IS_READY_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    model: str
    generation: int
    version: int
    reason: str
    rule: RouteRule
    rule_place: int
    slot: int
    key: str
    is_ready: bool
    fallback: int
    shares: _containers.RepeatedCompositeFieldContainer[RouteShare]
    def __init__(self, model: _Optional[str] = ..., generation: _Optional[int] = ..., version: _Optional[int] = ..., reason: _Optional[str] = ..., rule: _Optional[_Union[RouteRule, _Mapping]] = ..., rule_place: _Optional[int] = ..., slot: _Optional[int] = ..., key: _Optional[str] = ..., is_ready: bool = ..., fallback: _Optional[int] = ..., shares: _Optional[_Iterable[_Union[RouteShare, _Mapping]]] = ...) -> None: ...

class RouteResultsRequest(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: str
    def __init__(self, model: _Optional[str] = ...) -> None: ...

class RateDifference(_message.Message):
    __slots__ = ("difference", "lower", "upper")
    DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    LOWER_FIELD_NUMBER: _ClassVar[int]
    UPPER_FIELD_NUMBER: _ClassVar[int]
    difference: float
    lower: float
    upper: float
    def __init__(self, difference: _Optional[float] = ..., lower: _Optional[float] = ..., upper: _Optional[float] = ...) -> None: ...

class ArmRate(_message.Message):
    __slots__ = ("count", "events", "rate", "difference")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    count: int
    events: int
    rate: float
    difference: RateDifference
    def __init__(self, count: _Optional[int] = ..., events: _Optional[int] = ..., rate: _Optional[float] = ..., difference: _Optional[_Union[RateDifference, _Mapping]] = ...) -> None: ...

class ArmLatency(_message.Message):
    __slots__ = ("quantile", "seconds")
    QUANTILE_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    quantile: float
    seconds: float
    def __init__(self, quantile: _Optional[float] = ..., seconds: _Optional[float] = ...) -> None: ...

class ArmResult(_message.Message):
    __slots__ = ("version", "errors", "wrong_labels", "latency")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    WRONG_LABELS_FIELD_NUMBER: _ClassVar[int]
    LATENCY_FIELD_NUMBER: _ClassVar[int]
    version: int
    errors: ArmRate
    wrong_labels: ArmRate
    latency: _containers.RepeatedCompositeFieldContainer[ArmLatency]
    def __init__(self, version: _Optional[int] = ..., errors: _Optional[_Union[ArmRate, _Mapping]] = ..., wrong_labels: _Optional[_Union[ArmRate, _Mapping]] = ..., latency: _Optional[_Iterable[_Union[ArmLatency, _Mapping]]] = ...) -> None: ...

class RouteResultsResponse(_message.Message):
    __slots__ = ("model", "generation", "since", "confidence", "arms")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    ARMS_FIELD_NUMBER: _ClassVar[int]
    model: str
    generation: int
    since: float
    confidence: float
    arms: _containers.RepeatedCompositeFieldContainer[ArmResult]
    def __init__(self, model: _Optional[str] = ..., generation: _Optional[int] = ..., since: _Optional[float] = ..., confidence: _Optional[float] = ..., arms: _Optional[_Iterable[_Union[ArmResult, _Mapping]]] = ...) -> None: ...
