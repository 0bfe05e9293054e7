"""Routes as messages of fastserve.v1.Release, and back."""

from collections.abc import Mapping
from typing import Any

import msgspec

from fastserve._proto import fastserve_release_pb2 as pb
from fastserve.decoding import convert_plain
from fastserve.errors import InvalidRoute
from fastserve.route_spec import Bandit, Rule
from fastserve.routing.bandit import BanditStatus
from fastserve.routing.experiment import ALPHA, ArmResult, Rate
from fastserve.routing.experiments import RunningExperiment
from fastserve.routing.route import Route
from fastserve.routing.route_store import Kept


def route_message(route: Route) -> pb.Route:
    """All of it."""
    return pb.Route(
        model=route.model,
        generation=route.generation,
        strategy=route.strategy,
        entries=[pb.RouteEntry(version=e.version, weight=e.weight) for e in route.entries],
        rules=[rule_message(rule) for rule in route.rules],
        sticky=route.sticky,
        seed=route.seed,
        fallback=route.fallback,
        shadow=None
        if route.shadow is None
        else pb.RouteShadow(version=route.shadow.version, share=route.shadow.share),
        bandit=pb.RouteBandit(**msgspec.structs.asdict(route.bandit or Bandit()))
        if route.strategy == "bandit"
        else None,
    )


def rule_message(rule: Rule) -> pb.RouteRule:
    return pb.RouteRule(
        header=rule.header, match=rule.match, value=rule.value, version=rule.version
    )


def read_route(model: str, message: pb.Route, *, seed: int) -> Route:
    """The route of a message. `seed`: where it has none. Errors: InvalidRoute, the field first."""
    if message.model not in ("", model):
        raise InvalidRoute(f"model: the route is of {message.model!r}, the request of {model!r}")
    fields: dict[str, Any] = {
        "model": model,
        "strategy": message.strategy or "weights",
        "entries": [{"version": e.version, "weight": e.weight} for e in message.entries],
        "rules": [
            {
                "header": rule.header,
                "match": rule.match or "equals",
                "value": rule.value,
                "version": rule.version,
            }
            for rule in message.rules
        ],
        "sticky": message.sticky,
        "seed": message.seed if message.HasField("seed") else seed,
        "fallback": message.fallback,
    }
    if message.HasField("shadow"):
        fields["shadow"] = {"version": message.shadow.version, "share": message.shadow.share}
    if message.HasField("bandit"):
        fields["bandit"] = {field.name: value for field, value in message.bandit.ListFields()}
    try:
        return convert_plain(fields, Route)
    except msgspec.ValidationError as error:
        if isinstance(error.__cause__, InvalidRoute):
            raise error.__cause__ from None
        # Of a field's own type: "Expected `int` >= 1 - at `$.entries[0].version`".
        what, _, place = str(error).partition(" - at `$.")
        raise InvalidRoute(f"{place.rstrip('`') or 'route'}: {what[0].lower()}{what[1:]}") from None


def state_message(
    model: str, kept: Kept, requests: Mapping[str, int], states: Mapping[int, str]
) -> pb.RouteState:
    """`states`: of the model's versions, in lower case."""
    route = kept.route
    return pb.RouteState(
        model=model,
        generation=kept.generation,
        route=None if route is None else route_message(route),
        previous=None if kept.previous is None else route_message(kept.previous),
        source=kept.source,
        actor=kept.actor,
        reason=kept.reason,
        time=kept.time,
        requests=requests,
        not_ready={}
        if route is None
        else {
            number: states.get(number, "not found").upper()
            for number in sorted(route.versions)
            if states.get(number) != "ready"
        },
    )


def bandit_message(status: BanditStatus) -> pb.BanditState:
    return pb.BanditState(
        arms=[
            pb.BanditArm(version=version, right=reward.right, wrong=reward.wrong)
            for version, reward in status.rewards.items()
        ],
        awaited=status.awaited,
    )


def results_message(model: str, running: RunningExperiment) -> pb.RouteResultsResponse:
    return pb.RouteResultsResponse(
        model=model,
        generation=running.generation,
        since=running.since,
        confidence=1 - ALPHA,
        arms=map(_arm_message, running.experiment.results()),
    )


def _arm_message(result: ArmResult) -> pb.ArmResult:
    return pb.ArmResult(
        version=result.version,
        errors=_rate_message(result.errors),
        wrong_labels=_rate_message(result.wrong_labels),
        latency=[
            pb.ArmLatency(quantile=quantile, seconds=seconds)
            for quantile, seconds in result.latency.items()
        ],
    )


def _rate_message(rate: Rate) -> pb.ArmRate:
    difference = rate.difference
    return pb.ArmRate(
        count=rate.count,
        events=rate.events,
        rate=rate.rate,
        difference=None
        if difference is None
        else pb.RateDifference(**msgspec.structs.asdict(difference)),
    )
