"""SIGHUP: the token file is read again, and what it says holds from then on.

A file that cannot be read, or is refused, changes nothing: a server whose tokens were all gone
would let nobody in, and one without tokens everybody. Part of the composition root.

Thread: the event loop's.
"""

import asyncio
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Literal

from fastserve.errors import InvalidConfig
from fastserve.observe.audit import AuditEvent
from fastserve.observe.logs import get_logger
from fastserve.state_folder import StateFolder
from fastserve.tokens import Token, read_tokens

_ACTION: Final = "tokens.reload"

_log = get_logger("tokens")


class TokenReload:
    """Between `start` and `stop`. A server without a token file leaves SIGHUP as it is."""

    def __init__(
        self,
        path: Path | None,
        tokens: Sequence[Token],
        state: StateFolder,
        replace: Callable[[Sequence[Token]], None],
    ) -> None:
        self._path = path
        self._tokens = tuple(tokens)
        self._state = state
        self._replace = replace
        self._asked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        if self._path is None:
            return
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._asked.set)
        self._task = asyncio.create_task(self._run(self._path), name="reload tokens")

    async def stop(self) -> None:
        if self._task is not None:
            asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, path: Path) -> None:
        # One after the other; signals that come meanwhile are one more reading.
        while True:
            await self._asked.wait()
            self._asked.clear()
            await self._reload(path)

    async def _reload(self, path: Path) -> None:
        before = self._tokens
        try:
            self._tokens = await asyncio.to_thread(read_tokens, path)
        except InvalidConfig as error:
            _log.error("tokens kept", reason=error.message)
            await self._record(before, outcome="refused", reason=error.message)
            return
        self._replace(self._tokens)
        _log.info("tokens read again", file=str(path), tokens=_described(self._tokens))
        await self._record(before, outcome="ok", reason=f"SIGHUP: {path} was read again")

    async def _record(
        self, before: Sequence[Token], *, outcome: Literal["ok", "refused"], reason: str
    ) -> None:
        await self._state.append(
            AuditEvent(
                action=_ACTION,
                # Who sent a signal is not known; it was somebody with rights on this machine.
                actor="signal",
                origin="operator",
                before=_described(before),
                after=_described(self._tokens),
                reason=reason,
                outcome=outcome,
            )
        )


def _described(tokens: Sequence[Token]) -> dict[str, str]:
    """Names and roles; never a secret."""
    return {token.name: token.role.word for token in tokens}
