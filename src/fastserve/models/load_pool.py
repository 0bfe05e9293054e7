"""Threads for work that may take long: reading files, building sessions, first runs.

Once the server serves, they run at a low priority, so that a load takes what time the serving
threads leave. Threads that ONNX Runtime makes inherit it, so a model that asks for threads of its
own is built at normal priority: those threads will serve.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from fastserve.thread_priority import lower_priority

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


class LoadPool:
    """Two pools of `threads` threads each, made when they are needed."""

    def __init__(self, threads: int) -> None:
        self._normal = ThreadPoolExecutor(threads, thread_name_prefix="load")
        self._low = ThreadPoolExecutor(
            threads, thread_name_prefix="load-low", initializer=lower_priority
        )
        self._is_low = False

    def lower(self) -> None:
        """Work that begins from here on gives way to the serving threads."""
        self._is_low = True

    async def run(
        self,
        function: Callable[_Arguments, _Result],
        *args: _Arguments.args,
        **kwargs: _Arguments.kwargs,
    ) -> _Result:
        """Runs it in a thread."""
        return await self._run(self._low if self._is_low else self._normal, function, args, kwargs)

    async def run_normal(
        self,
        function: Callable[_Arguments, _Result],
        *args: _Arguments.args,
        **kwargs: _Arguments.kwargs,
    ) -> _Result:
        """Runs it in a thread of normal priority."""
        return await self._run(self._normal, function, args, kwargs)

    def close(self) -> None:
        """Waits for what runs."""
        for pool in (self._normal, self._low):
            pool.shutdown(wait=True, cancel_futures=True)

    async def _run(
        self,
        pool: ThreadPoolExecutor,
        function: Callable[..., _Result],
        args: tuple[object, ...],
        kwargs: dict[str, object],
    ) -> _Result:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(pool, lambda: function(*args, **kwargs))
