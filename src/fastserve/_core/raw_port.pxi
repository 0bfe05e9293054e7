# RawPort of core.pyi.


cdef class RawPort:
    cdef unique_ptr[c.CRawPort] handle
    cdef Engine engine  # outlives the port
    cdef CallLog call_log  # likewise

    def __init__(self, Engine engine not None, CallLog call_log=None):
        self.engine = engine
        self.call_log = call_log
        self.handle = make_unique[c.CRawPort](engine.running(), log_of(call_log))
        if not self.handle.get().is_open():
            raise CoreError(8, "no port is left; raise max_ports of the engine")

    cdef c.CRawPort* running(self) except NULL:
        if self.handle.get() == NULL:
            raise ValueError("the port is closed")
        return self.handle.get()

    @property
    def event_fd(self):
        return self.running().event_fd()

    def submit(self, uint64_t token, bytes request not None, int64_t deadline_ns, headers=(),
               origin=None):
        cdef c.CRawPort* port = self.running()
        cdef CByteSpan data = span_of(request)
        cdef int64_t retry_after = 0
        cdef int64_t deadline = NEVER if deadline_ns < 0 else deadline_ns
        cdef vector[pair[string, string]] looked_at = pairs_of(headers)
        cdef CStatus status
        cdef c.CRawOrigin source
        cdef bytes peer, traceparent, tracestate
        if origin is not None:
            peer, traceparent, tracestate = [
                encoded(text) for text in (origin.peer, origin.traceparent, origin.tracestate)]
            if origin.is_stream:
                source.method = lg.CCallMethod.kModelStreamInfer
            source.peer = CStringView(<const char*>peer, <size_t>len(peer))
            source.traceparent = CStringView(<const char*>traceparent, <size_t>len(traceparent))
            source.tracestate = CStringView(<const char*>tracestate, <size_t>len(tracestate))
            source.token = origin.token
        with nogil:
            status = port.submit(token, data, deadline, move(looked_at), source, &retry_after)
        if not status.ok():
            raise CoreError(
                <int>status.code(), text_of(status.message()), retry_after)

    def cancel(self, uint64_t token):
        cdef c.CRawPort* port = self.running()
        with nogil:
            port.cancel(token)

    def take(self):
        cdef vector[c.CRawAnswer] answers
        cdef c.CRawPort* port = self.running()
        cdef size_t i
        cdef const char* reply
        with nogil:
            port.take(&answers)
        result = []
        for i in range(answers.size()):
            if answers[i].status.ok():
                reply = <const char*>answers[i].reply.data()
                payload = reply[HEADROOM:answers[i].reply.size()]
            else:
                payload = text_of(answers[i].status.message())
            routed = None
            if not answers[i].route.empty():
                routed = (answers[i].version.decode(), answers[i].route.decode())
            result.append((answers[i].token, <int>answers[i].status.code(), payload, routed))
        return result

    def close(self):
        cdef c.CRawPort* port = self.handle.release()
        with nogil:
            del port
