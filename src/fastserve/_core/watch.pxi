# Watching a version: Version.watch and what it gives.
from libcpp.optional cimport optional

from fastserve._core cimport watch as w


class WatchStats(NamedTuple):
    rows_seen: int
    rows_sketched: int
    rows_skipped: int
    violations: list


cdef shared_ptr[w.CContract] contract_of(
        TableSchema schema, object rules, bint is_enforced) except *:
    cdef vector[w.CContractRule] all_rules
    cdef w.CContractRule rule
    cdef c.CResult[shared_ptr[w.CContract]]* made
    cdef shared_ptr[w.CContract] contract
    for feature, kind, low, high, categories in rules:
        rule.feature = feature
        if kind == "range":
            rule.kind = w.RULE_RANGE
        elif kind == "category":
            rule.kind = w.RULE_CATEGORY
        else:
            rule.kind = w.RULE_MISSING
        rule.low = low
        rule.high = high
        rule.categories = [category.encode() for category in categories]
        all_rules.push_back(rule)
    made = new c.CResult[shared_ptr[w.CContract]](
        w.make_contract(schema.handle.get()[0], all_rules, is_enforced))
    try:
        if not made.ok():
            raise_status(made.status())
        contract = made.value()
    finally:
        del made
    return contract


cdef w.CWatchOptions watch_options(
        TableSchema schema, object contract, bint is_enforced) except *:
    cdef w.CWatchOptions options
    if schema is not None:
        options.schema = schema.handle
        if contract:
            options.contract = contract_of(schema, contract, is_enforced)
    return options


cdef object window_of(Version version):
    # Not by way of the engine: it may be closed by another thread meanwhile.
    cdef c.CVersion* handle = version.handle.get()
    cdef optional[k.CTableSketch] window
    if version.observed.get() == NULL:
        return None
    with nogil:
        handle.sweep()
        window = version.observed.get().take_window()
    return sketch_of(window.value()) if window.has_value() else None


cdef object watch_stats_of(Version version):
    cdef w.CWatchStats now
    if version.observed.get() == NULL:
        return WatchStats(0, 0, 0, [])
    now = version.observed.get().stats()
    return WatchStats(
        now.rows_sketched + now.rows_skipped, now.rows_sketched, now.rows_skipped,
        now.violations,
    )


cdef int watch_version(Version version, w.CWatchOptions options, bint is_enforced) except -1:
    cdef c.CVersion* handle = version.handle.get()
    cdef c.CResult[shared_ptr[w.CVersionWatch]]* made
    if version.observed.get() != NULL:
        raise ValueError("the version is watched already")
    made = new c.CResult[shared_ptr[w.CVersionWatch]](
        w.make_watch(handle.config().model, handle.config().number, handle.wire(),
                     handle.config().has_rows_axis, options))
    try:
        if not made.ok():
            raise_status(made.status())
        version.observed = made.value()
    finally:
        del made
    if not is_enforced:
        options.contract.reset()
    with nogil:
        handle.watch(version.observed, options.contract)
    return 0
