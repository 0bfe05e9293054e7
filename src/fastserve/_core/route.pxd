# Routes. C++ names get a C in front.
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint64_t
from libcpp.memory cimport shared_ptr
from libcpp.pair cimport pair
from libcpp.string cimport string
from libcpp.vector cimport vector

from fastserve._core.engine cimport CResult, CRouteTable

cdef extern from "fastserve/route/route_table.h" namespace "fastserve::route" nogil:
    cdef cppclass CRouteEntry "fastserve::route::RouteEntry":
        int64_t version
        double weight

    cdef cppclass CMatch "fastserve::route::HeaderRule::Match":
        pass
    CMatch MATCH_EQUALS "fastserve::route::HeaderRule::Match::kEquals"
    CMatch MATCH_PREFIX "fastserve::route::HeaderRule::Match::kPrefix"
    CMatch MATCH_PRESENT "fastserve::route::HeaderRule::Match::kPresent"

    cdef cppclass CHeaderRule "fastserve::route::HeaderRule":
        string header
        CMatch match
        string value
        int64_t version

    cdef cppclass CSource "fastserve::route::StickyKey::Source":
        pass
    CSource SOURCE_NONE "fastserve::route::StickyKey::Source::kNone"
    CSource SOURCE_HEADER "fastserve::route::StickyKey::Source::kHeader"
    CSource SOURCE_PARAMETER "fastserve::route::StickyKey::Source::kParameter"

    cdef cppclass CStickyKey "fastserve::route::StickyKey":
        CSource source
        string name

    cdef cppclass CRouteSpec "fastserve::route::RouteSpec":
        CRouteSpec()
        uint64_t generation
        vector[CRouteEntry] entries
        vector[CHeaderRule] rules
        CStickyKey sticky
        uint64_t seed
        int64_t fallback

    CResult[shared_ptr[const CRouteTable]] make_route "fastserve::route::RouteTable::make"(
        CRouteSpec spec, size_t writers)

cdef extern from "fastserve/route/explanation.h" namespace "fastserve::route" nogil:
    cdef cppclass CExplained "fastserve::route::Explained":
        int64_t version
        size_t reason
        int64_t rule
        int64_t slot

    CExplained explain(const CRouteTable& table, const vector[pair[string, string]]& headers,
                       const vector[pair[string, string]]& parameters)
    vector[double] shares(const CRouteTable& table)

cdef extern from *:
    """
    #include "fastserve/route/route_table.h"
    inline uint64_t fastserve_route_count(const fastserve::route::RouteTable& table, size_t i) {
      return table.counts()[i];
    }
    """
    uint64_t route_count "fastserve_route_count"(const CRouteTable& table, size_t reason) nogil
