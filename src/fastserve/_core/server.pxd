# The transport and the bridge of csrc/fastserve, as core.pyx uses them. C++ names get a C in front.
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t, uint8_t
from libcpp cimport bool as cbool
from libcpp.memory cimport shared_ptr
from libcpp.pair cimport pair
from libcpp.string cimport string
from libcpp.vector cimport vector

from fastserve._core.call_log cimport CCallLog
from fastserve._core.engine cimport CBuffer, CEngine, CResult
from fastserve._core.wire cimport CByteSpan, CStatus, CStringView

cdef extern from "fastserve/front/bridge.h" namespace "fastserve::front" nogil:
    cdef enum class CEventKind "fastserve::front::BridgeEvent::Kind"(uint8_t):
        kStart
        kMessage
        kHalfClose
        kCancelled
        kWritable

    cdef cppclass CBridgeEvent "fastserve::front::BridgeEvent":
        CEventKind kind
        uint64_t call
        string path
        string peer
        int64_t deadline
        vector[pair[string, string]] metadata
        CBuffer message

    cdef enum class CCommandKind "fastserve::front::BridgeCommand::Kind"(uint8_t):
        kInitialMetadata
        kMessage
        kFinish
        kCredit
        kCompress

    cdef cppclass CBridgeCommand "fastserve::front::BridgeCommand":
        CBridgeCommand()
        CCommandKind kind
        uint64_t call
        vector[pair[string, string]] metadata
        CBuffer message
        CStatus status
        size_t credit_bytes

    cdef cppclass CBridge "fastserve::front::Bridge":
        CBridge()
        int event_fd()
        void take_events(vector[CBridgeEvent]*)
        void send(CBridgeCommand)

cdef extern from "fastserve/front/token_list.h" namespace "fastserve::front" nogil:
    cdef cppclass CTokenList "fastserve::front::TokenList":
        CTokenList(vector[string] tokens)
        void replace(vector[string] tokens)

cdef extern from "fastserve/front/thread_front.h" namespace "fastserve::front" nogil:
    cdef cppclass CFrontOptions "fastserve::front::FrontOptions":
        shared_ptr[const CTokenList] tokens
        CCallLog* call_log

    cdef cppclass CLoopFrontFactory "fastserve::front::LoopFrontFactory":
        pass

    CLoopFrontFactory thread_front_factory "fastserve::front::thread_front_factory"(
        CEngine*, CBridge*, CFrontOptions)

cdef extern from "fastserve/net/tls_context.h" namespace "fastserve::net" nogil:
    cdef cppclass CTlsContext "fastserve::net::TlsContext":
        pass
    CResult[shared_ptr[const CTlsContext]] make_tls "fastserve::net::TlsContext::make"(
        CStringView certificate, CStringView key, CStringView client_ca)
    CResult[shared_ptr[const CTlsContext]] make_tls_client \
        "fastserve::net::TlsContext::make_client"(
            const string& server_name, CStringView authorities, CStringView certificate,
            CStringView key)

cdef extern from "fastserve/net/server.h" namespace "fastserve::net" nogil:
    cdef cppclass CHostPort "fastserve::net::HostPort":
        string host
        uint16_t port

    cdef cppclass CHttp2Limits "fastserve::http2::Limits":
        uint32_t max_concurrent_streams
        uint32_t max_header_bytes

    cdef cppclass CConnectionOptions "fastserve::grpc::ConnectionOptions":
        CHttp2Limits http2
        size_t max_message_bytes

    cdef cppclass CServerOptions "fastserve::net::ServerOptions":
        int io_threads
        CConnectionOptions connection
        size_t max_connections

    cdef cppclass CServer "fastserve::net::Server":
        CServer(const CServerOptions&, CLoopFrontFactory)
        CResult[CHostPort] listen_tcp(const string& host, uint16_t port,
                                      shared_ptr[const CTlsContext] tls, int* os_error)
        CStatus listen_unix(const string& path, int* os_error)
        CStatus start()
        void start_drain()
        void close()
        size_t open_calls()
        size_t open_connections()

cdef extern from *:
    """
    #include "fastserve/front/bridge.h"
    namespace fastserve::front {
    // A message as a command wants it: room for the frame's prefix, then the bytes.
    inline void set_message(BridgeCommand* command, ByteSpan bytes) {
      command->message.extend(grpc::kMessageHeadroom);
      command->message.append(bytes);
    }
    }  // namespace fastserve::front
    """
    void set_message "fastserve::front::set_message"(CBridgeCommand*, CByteSpan) nogil
