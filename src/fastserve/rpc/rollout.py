"""fastserve.v1.Rollouts: rollouts for operators."""

from collections.abc import Awaitable, Iterator
from typing import Final, Protocol

import msgspec

from fastserve._proto import fastserve_rollout_pb2 as pb
from fastserve.errors import InvalidConfig
from fastserve.rollout_spec import Rollout, read_rollout
from fastserve.routing.guard import GuardReport
from fastserve.routing.judge import Judgement
from fastserve.routing.rollout_controller import RolloutController, RolloutStatus
from fastserve.routing.rollout_record import Change
from fastserve.rpc.context import CallContext
from fastserve.rpc.method_table import Method, service_methods

SERVICE: Final = "fastserve.v1.Rollouts"
MAX_ROLLOUT_CHARACTERS: Final = 1 << 20
MAX_REASON_CHARACTERS: Final = 1000


class _Order(Protocol):
    """A move of the controller."""

    def __call__(self, model: str, *, actor: str, reason: str) -> Awaitable[RolloutStatus]: ...


class RolloutServicer:
    """Thread: the event loop's. Errors: FastserveError, as the error map knows them."""

    def __init__(self, controller: RolloutController) -> None:
        self._controller = controller

    def methods(self) -> Iterator[Method]:
        return service_methods(
            SERVICE,
            {
                "Start": self.start,
                "Status": self.status,
                "Pause": self.pause,
                "Resume": self.resume,
                "Promote": self.promote,
                "Rollback": self.roll_back,
                "History": self.history,
            },
        )

    async def start(self, request: pb.StartRolloutRequest, context: CallContext) -> pb.Rollout:
        found = await self._controller.start(
            request.model,
            _rollout(request.rollout),
            actor=context.actor.shown,
            reason=_reason(request.reason),
        )
        return rollout_message(found)

    async def status(
        self, request: pb.RolloutStatusRequest, _context: CallContext
    ) -> pb.RolloutStatusResponse:
        found = self._controller.status(request.model)
        return pb.RolloutStatusResponse(rollouts=map(rollout_message, found))

    async def pause(self, request: pb.MoveRolloutRequest, context: CallContext) -> pb.Rollout:
        return await self._move(self._controller.pause, request, context)

    async def resume(self, request: pb.MoveRolloutRequest, context: CallContext) -> pb.Rollout:
        return await self._move(self._controller.resume, request, context)

    async def promote(self, request: pb.MoveRolloutRequest, context: CallContext) -> pb.Rollout:
        return await self._move(self._controller.promote, request, context)

    async def roll_back(self, request: pb.MoveRolloutRequest, context: CallContext) -> pb.Rollout:
        return await self._move(self._controller.roll_back, request, context)

    async def history(
        self, request: pb.RolloutHistoryRequest, _context: CallContext
    ) -> pb.RolloutHistoryResponse:
        changes = self._controller.history(request.model)
        return pb.RolloutHistoryResponse(changes=map(change_message, changes))

    async def _move(
        self, order: _Order, request: pb.MoveRolloutRequest, context: CallContext
    ) -> pb.Rollout:
        reason = _reason(request.reason)
        return rollout_message(await order(request.model, actor=context.actor.shown, reason=reason))


def rollout_message(status: RolloutStatus) -> pb.Rollout:
    record, judgement = status.record, status.judgement
    return pb.Rollout(
        model=record.model,
        number=record.number,
        baseline=record.rollout.baseline,
        candidate=record.rollout.candidate,
        state=record.state,
        steps=[pb.RolloutStep(**msgspec.structs.asdict(step)) for step in record.rollout.steps],
        step=record.step,
        weight=record.candidate_weight,
        dry_run=record.rollout.dry_run,
        is_pending=record.is_pending,
        last=change_message(record.last),
        judgement=None if judgement is None else _judgement_message(judgement),
    )


def change_message(change: Change) -> pb.RolloutChange:
    return pb.RolloutChange(
        number=change.number,
        time=change.time,
        baseline=change.baseline,
        candidate=change.candidate,
        before=change.before or "",
        after=change.after,
        step=change.step,
        weight=change.weight,
        actor=change.actor,
        reason=change.reason,
        dry_run=change.is_dry_run,
        guards=map(_guard_message, change.guards),
    )


def _judgement_message(judgement: Judgement) -> pb.RolloutJudgement:
    return pb.RolloutJudgement(
        verdict=judgement.verdict,
        reason=judgement.reason,
        guards=map(_guard_message, judgement.guards),
        awaited=judgement.awaited,
        candidate_requests=judgement.candidate_requests,
        baseline_requests=judgement.baseline_requests,
        seconds=judgement.seconds,
    )


def _guard_message(report: GuardReport) -> pb.RolloutGuard:
    # Fields have one name in both; what is None is absent.
    return pb.RolloutGuard(**msgspec.structs.asdict(report))


def _rollout(text: str) -> Rollout:
    """Errors: InvalidConfig."""
    if len(text) > MAX_ROLLOUT_CHARACTERS:
        raise InvalidConfig(
            f"rollout: has {len(text)} characters, more than {MAX_ROLLOUT_CHARACTERS}"
        )
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise InvalidConfig(f"rollout: not JSON: {error}") from error
    except RecursionError:
        raise InvalidConfig("rollout: nested too deep") from None
    return read_rollout(value)


def _reason(text: str) -> str:
    """One bounded line: it is kept, and shown in terminals."""
    line = "".join(c if c.isprintable() else " " for c in text)
    return line if len(line) <= MAX_REASON_CHARACTERS else f"{line[:MAX_REASON_CHARACTERS]}..."
