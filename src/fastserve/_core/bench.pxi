# LoadRun of core.pyi: the load generator.
from fastserve._core cimport bench as b


class LoadGroup(NamedTuple):
    statuses: tuple
    measured: int
    measured_ok: int
    latency: list


class LoadSnapshot(NamedTuple):
    groups: list
    sent: int
    unanswered: int
    unsent: int
    connects: int
    lost: int
    received_bytes: int
    busy_ns: int
    delay: list
    examples: dict
    failure: str
    began_ns: int
    measure_from_ns: int
    last_reply_ns: int
    now_ns: int
    is_done: bool


cdef list histogram_list(const vector[uint64_t]& counts):
    cdef size_t i
    return [(b.bucket_value(i), counts[i]) for i in range(counts.size()) if counts[i]]


cdef class LoadRun:
    cdef unique_ptr[b.CLoadRun] handle

    def __init__(self, payloads, *, uint32_t groups, str host not None="", uint16_t port=0,
                 str unix_path not None="", tls=None, str server_name not None="",
                 str path not None, str authority not None, headers=(), int threads,
                 int connections, int in_flight, double per_second, cbool is_poisson,
                 uint64_t seed, uint64_t max_requests, int64_t duration_ns, int64_t warm_up_ns,
                 int64_t deadline_ns, int64_t drain_ns, int64_t connect_timeout_ns):
        cdef b.CLoadOptions options
        cdef c.CResult[unique_ptr[b.CLoadRun]]* started
        cdef bytes message
        cdef bytes authorities
        cdef bytes certificate
        cdef bytes key
        options.host = host.encode()
        options.port = port
        options.unix_path = unix_path.encode()
        if tls is not None:
            authorities, certificate, key = tls
            options.tls = tls_of(new c.CResult[shared_ptr[const s.CTlsContext]](s.make_tls_client(
                server_name.encode(), view_of(authorities), view_of(certificate), view_of(key))))
        options.path = path.encode()
        options.authority = authority.encode()
        options.headers = metadata_of(headers)
        for group, message in payloads:
            options.payloads.push_back(
                b.make_payload(CStringView(<const char*>message, <size_t>len(message)), group))
        options.groups = groups
        options.threads = threads
        options.connections = connections
        options.in_flight = in_flight
        options.per_second = per_second
        options.arrivals = b.CArrivals.kPoisson if is_poisson else b.CArrivals.kConstant
        options.seed = seed
        options.max_requests = max_requests
        options.duration = NEVER if duration_ns < 0 else duration_ns
        options.warm_up = warm_up_ns
        options.deadline = NEVER if deadline_ns < 0 else deadline_ns
        options.drain = drain_ns
        options.connect_timeout = connect_timeout_ns
        with nogil:
            started = new c.CResult[unique_ptr[b.CLoadRun]](b.start_load(move(options)))
        try:
            if not started.ok():
                raise_status(started.status())
            self.handle = move(started.value())
        finally:
            del started

    cdef b.CLoadRun* running(self) except NULL:
        if self.handle.get() == NULL:
            raise ValueError("the load is closed")
        return self.handle.get()

    def snapshot(self):
        cdef b.CLoadRun* run = self.running()
        cdef b.CSnapshot now
        cdef size_t i
        cdef size_t k
        with nogil:
            now = run.snapshot()
        groups = []
        for i in range(now.groups.size()):
            groups.append(LoadGroup(
                tuple([now.groups[i].statuses_data()[k]
                       for k in range(now.groups[i].statuses_size())]),
                now.groups[i].measured, now.groups[i].measured_ok,
                histogram_list(now.groups[i].latency)))
        return LoadSnapshot(
            groups, now.sent, now.unanswered, now.unsent, now.connects, now.lost,
            now.received_bytes, now.busy_ns, histogram_list(now.delay),
            {k: text_of(now.examples_data()[k]) for k in range(17)
             if now.examples_data()[k].size()},
            text_of(now.failure), now.began,
            -1 if now.measure_from == NEVER else now.measure_from, now.last_reply, now.now,
            now.is_done)

    def stop(self):
        self.running().stop()

    def wait(self, double seconds):
        cdef b.CLoadRun* run = self.running()
        cdef int64_t until = b.monotonic_now() + <int64_t>(seconds * 1e9)
        cdef cbool is_done
        with nogil:
            is_done = run.wait(until)
        return is_done

    def close(self):
        cdef b.CLoadRun* run = self.handle.release()
        with nogil:
            del run
