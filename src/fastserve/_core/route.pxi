# RouteTable of core.pyi.
from fastserve._core cimport route as r

# In the order of the C++ enum Reason.
_ROUTE_REASONS = ("rule", "sticky", "weight", "fallback")


cdef r.CRouteSpec route_spec(
        object entries, object rules, object sticky, uint64_t generation, uint64_t seed,
        int64_t fallback) except *:
    cdef r.CRouteSpec spec
    cdef r.CRouteEntry entry
    cdef r.CHeaderRule rule
    for version, weight in entries:
        entry.version = version
        entry.weight = weight
        spec.entries.push_back(entry)
    for header, match, value, version in rules:
        rule.header = header.encode()
        if match == "equals":
            rule.match = r.MATCH_EQUALS
        elif match == "prefix":
            rule.match = r.MATCH_PREFIX
        else:
            rule.match = r.MATCH_PRESENT
        rule.value = value.encode()
        rule.version = version
        spec.rules.push_back(rule)
    if sticky is not None:
        source, name = sticky
        spec.sticky.source = r.SOURCE_HEADER if source == "header" else r.SOURCE_PARAMETER
        spec.sticky.name = name.encode()
    spec.generation = generation
    spec.seed = seed
    spec.fallback = fallback
    return spec


cdef class RouteTable:
    cdef shared_ptr[const r.CRouteTable] handle

    def __init__(self, entries not None, *, rules=(), sticky=None, uint64_t generation=0,
                 uint64_t seed=0, int64_t fallback=0, size_t writers=1):
        cdef r.CRouteSpec spec = route_spec(entries, rules, sticky, generation, seed, fallback)
        cdef c.CResult[shared_ptr[const r.CRouteTable]]* made
        with nogil:
            made = new c.CResult[shared_ptr[const r.CRouteTable]](r.make_route(spec, writers))
        try:
            if not made.ok():
                raise_status(made.status())
            self.handle = made.value()
        finally:
            del made

    def choose_key(self, str key not None):
        cdef bytes encoded = key.encode()
        if self.handle.get().slots() == NULL:
            raise ValueError("the route has no sticky key")
        return self.handle.get().choose_key(_view(encoded)).version

    def slot(self, str key not None):
        cdef bytes encoded = key.encode()
        if self.handle.get().slots() == NULL:
            raise ValueError("the route has no sticky key")
        return self.handle.get().slots().slot_of(_view(encoded))

    def explain(self, headers not None, parameters=()):
        cdef r.CExplained found = r.explain(
            self.handle.get()[0], pairs_of(headers), pairs_of(parameters))
        return found.version, _ROUTE_REASONS[found.reason], found.rule, found.slot

    @property
    def shares(self):
        return list(r.shares(self.handle.get()[0]))

    @property
    def counts(self):
        return {
            reason: r.route_count(self.handle.get()[0], i)
            for i, reason in enumerate(_ROUTE_REASONS)
        }
