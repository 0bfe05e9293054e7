# Server of core.pyi: the transport with its bridge.
from cpython.buffer cimport PyBuffer_FillInfo

from fastserve._core cimport server as s
from fastserve._core.wire cimport CCode

_EVENT_KINDS = ("start", "message", "half_close", "cancelled", "writable")


# Copying a message holds up whoever waits for the GIL: 200 MB some tenth of a second.
cdef size_t LARGE_MESSAGE_BYTES = 1 << 20


# The bytes of one received message, where they lie. Python sees them through a memoryview alone.
cdef class MessageBytes:
    cdef c.CBuffer buffer

    def __getbuffer__(self, Py_buffer* view, int flags):
        PyBuffer_FillInfo(view, self, <void*>self.buffer.data(), <Py_ssize_t>self.buffer.size(),
                          True, flags)

    def __dealloc__(self):
        # The system takes the pages back one by one.
        with nogil:
            self.buffer.shrink(0)


cdef object received_bytes(c.CBuffer* buffer):
    cdef const char* data = <const char*>buffer.data()
    cdef MessageBytes held
    if buffer.size() < LARGE_MESSAGE_BYTES:
        return data[:buffer.size()]
    held = MessageBytes()
    held.buffer.swap(buffer[0])
    return memoryview(held)


cdef bytes encoded(object text):
    return text if isinstance(text, bytes) else text.encode()


cdef vector[pair[string, string]] metadata_of(object items) except *:
    cdef vector[pair[string, string]] result
    cdef pair[string, string] entry
    for key, value in items:
        entry.first = encoded(key)
        entry.second = encoded(value)
        result.push_back(entry)
    return result


cdef list metadata_list(vector[pair[string, string]] items):
    result = []
    for item in items:
        key = (<bytes>item.first).decode("ascii", "replace")
        value = <bytes>item.second
        result.append((key, value if key.endswith("-bin") else value.decode("utf-8", "replace")))
    return result


cdef vector[string] texts_of(object items) except *:
    cdef vector[string] result
    for item in items:
        result.push_back(encoded(item))
    return result


cdef object os_failure(int os_error, const CStatus& status):
    message = text_of(status.message())
    return OSError(os_error, message) if os_error else CoreError(<int>status.code(), message)


cdef CStringView view_of(bytes text):
    return CStringView(<const char*>text, <size_t>len(text))


# Takes `made` over.
cdef shared_ptr[const s.CTlsContext] tls_of(
        c.CResult[shared_ptr[const s.CTlsContext]]* made) except *:
    try:
        if not made.ok():
            raise_status(made.status())
        return made.value()
    finally:
        del made


cdef class Server:
    cdef Engine engine  # outlives the server's fronts
    cdef CallLog call_log  # likewise
    # Cython destroys in this order: the io threads end before their bridge goes.
    cdef unique_ptr[s.CServer] handle
    cdef unique_ptr[s.CBridge] bridge
    cdef shared_ptr[s.CTokenList] tokens

    def __init__(self, Engine engine not None, *, int io_threads, size_t max_message_bytes,
                 uint32_t max_concurrent_streams, uint32_t max_header_bytes,
                 size_t max_connections, tokens, CallLog call_log=None):
        cdef s.CServerOptions options
        cdef s.CFrontOptions front
        options.io_threads = io_threads
        options.connection.max_message_bytes = max_message_bytes
        options.connection.http2.max_concurrent_streams = max_concurrent_streams
        options.connection.http2.max_header_bytes = max_header_bytes
        options.max_connections = max_connections
        self.tokens = make_shared[s.CTokenList](texts_of(tokens))
        front.tokens = <shared_ptr[const s.CTokenList]>self.tokens
        front.call_log = log_of(call_log)
        self.engine = engine
        self.call_log = call_log
        self.bridge = make_unique[s.CBridge]()
        self.handle = make_unique[s.CServer](
            options, s.thread_front_factory(engine.running(), self.bridge.get(), front))

    cdef s.CServer* running(self) except NULL:
        if self.handle.get() == NULL:
            raise ValueError("the server is closed")
        return self.handle.get()

    def listen_tcp(self, str host not None, uint16_t port, *, certificate_pem=None, key_pem=None,
                   client_ca_pem=None):
        cdef s.CServer* server = self.running()
        cdef shared_ptr[const s.CTlsContext] tls
        cdef c.CResult[s.CHostPort]* bound
        cdef int os_error = 0
        cdef string name = host.encode()
        cdef bytes certificate = certificate_pem or b""
        cdef bytes key = key_pem or b""
        cdef bytes client_ca = client_ca_pem or b""
        if certificate_pem is not None:
            tls = tls_of(new c.CResult[shared_ptr[const s.CTlsContext]](s.make_tls(
                view_of(certificate), view_of(key), view_of(client_ca))))
        with nogil:
            bound = new c.CResult[s.CHostPort](server.listen_tcp(name, port, tls, &os_error))
        try:
            if not bound.ok():
                raise os_failure(os_error, bound.status())
            return text_of(bound.value().host), bound.value().port
        finally:
            del bound

    def listen_unix(self, str path not None):
        cdef s.CServer* server = self.running()
        cdef int os_error = 0
        cdef string name = path.encode()
        cdef CStatus status = server.listen_unix(name, &os_error)
        if not status.ok():
            raise os_failure(os_error, status)

    def start(self):
        cdef s.CServer* server = self.running()
        cdef CStatus status
        with nogil:
            status = server.start()
        raise_status(status)

    def replace_tokens(self, tokens):
        cdef vector[string] texts = texts_of(tokens)
        self.tokens.get().replace(texts)

    def start_drain(self):
        cdef s.CServer* server = self.running()
        with nogil:
            server.start_drain()

    @property
    def open_calls(self):
        return self.running().open_calls()

    @property
    def open_connections(self):
        return self.running().open_connections()

    def close(self):
        cdef s.CServer* server = self.handle.release()
        if server == NULL:
            return
        with nogil:
            del server

    @property
    def event_fd(self):
        return self.bridge.get().event_fd()

    def take_events(self):
        cdef vector[s.CBridgeEvent] events
        cdef size_t i
        self.bridge.get().take_events(&events)
        result = []
        for i in range(events.size()):
            payload = None
            if events[i].kind == s.CEventKind.kStart:
                payload = (
                    text_of(events[i].path), text_of(events[i].peer),
                    -1 if events[i].deadline == NEVER else events[i].deadline,
                    metadata_list(events[i].metadata),
                )
            elif events[i].kind == s.CEventKind.kMessage:
                payload = received_bytes(&events[i].message)
            result.append((_EVENT_KINDS[<int>events[i].kind], events[i].call, payload))
        return result

    def send_initial_metadata(self, uint64_t call, metadata):
        cdef s.CBridgeCommand command
        command.kind = s.CCommandKind.kInitialMetadata
        command.call = call
        command.metadata = metadata_of(metadata)
        self.bridge.get().send(move(command))

    def send_message(self, uint64_t call, bytes message not None):
        cdef s.CBridgeCommand command
        command.kind = s.CCommandKind.kMessage
        command.call = call
        s.set_message(&command, span_of(message))
        self.bridge.get().send(move(command))

    def set_compression(self, uint64_t call):
        cdef s.CBridgeCommand command
        command.kind = s.CCommandKind.kCompress
        command.call = call
        self.bridge.get().send(move(command))

    def finish(self, uint64_t call, int code, str message not None, trailers):
        cdef s.CBridgeCommand command
        command.kind = s.CCommandKind.kFinish
        command.call = call
        command.status = CStatus(<CCode>code, encoded(message))
        command.metadata = metadata_of(trailers)
        self.bridge.get().send(move(command))

    def credit(self, uint64_t call, size_t size):
        cdef s.CBridgeCommand command
        command.kind = s.CCommandKind.kCredit
        command.call = call
        command.credit_bytes = size
        self.bridge.get().send(move(command))
