# The one extension module of fastserve: thin classes over the engine in csrc/. What a class
# promises is written in core.pyi.
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.memory cimport make_shared, make_unique, shared_ptr, unique_ptr
from libcpp.pair cimport pair
from libcpp.string cimport string
from libcpp.utility cimport move
from libcpp.vector cimport vector

from typing import NamedTuple

from fastserve._core cimport engine as c
from fastserve._core.wire cimport CByteSpan, CStatus, CStringView, as_bytes, dtype_from_name


class CoreError(Exception):
    """A failed call of the core. `code` is a gRPC status number, `args[0]` the message."""

    def __init__(self, code, message, retry_after_ns=0):
        super().__init__(message)
        self.code = code
        self.retry_after_ns = retry_after_ns


# Not ok becomes CoreError; the one place where a status crosses into Python.
cdef int raise_status(const CStatus& status) except -1:
    if status.ok():
        return 0
    raise CoreError(<int>status.code(), status.message().decode("utf-8", "replace"))


include "codec.pxi"
include "sketch.pxi"
include "call_log.pxi"
include "capture.pxi"
include "feedback.pxi"
include "route.pxi"
include "engine.pxi"
include "raw_port.pxi"
include "watch.pxi"
include "shadow.pxi"
include "server.pxi"
include "bench.pxi"
