# Shadow of core_traffic.pyi.
from fastserve._core cimport shadow as sh


class ShadowExample(NamedTuple):
    id: str
    row: int
    difference: float
    live: list
    candidate: list


class ShadowOutput(NamedTuple):
    name: str
    rows: int
    differing_rows: int
    unequal_rows: int
    nan_rows: int
    wrong_shape_rows: int
    argmax_rows: int
    argmax_flips: int
    max_absolute: float
    max_relative: float
    correlated_rows: int
    mean_correlation: float
    min_correlation: float
    worst: list


class ShadowReport(NamedTuple):
    offered: int
    compared: int
    dropped: int
    failed: int
    waiting: int
    waiting_bytes: int
    differing: int
    runs: int
    failed_runs: int
    run_ns: int
    first_error: str
    outputs: list
    differences: object


cdef list texts_of_vector(vector[string] texts):
    return [text_of(text) for text in texts]


cdef object shadow_output(const string& name, const sh.CShadowOutputTally& tally):
    nan = float("nan")
    rows = tally.correlated_rows
    return ShadowOutput(
        text_of(name), tally.rows, tally.differing_rows, tally.unequal_rows, tally.nan_rows,
        tally.wrong_shape_rows, tally.argmax_rows, tally.argmax_flips, tally.max_absolute,
        tally.max_relative, rows, tally.correlation_sum / rows if rows else nan,
        tally.min_correlation if rows else nan,
        [ShadowExample(text_of(tally.worst[i].id), tally.worst[i].row, tally.worst[i].difference,
                       texts_of_vector(tally.worst[i].live),
                       texts_of_vector(tally.worst[i].candidate))
         for i in range(tally.worst.size())],
    )


cdef class Shadow:
    cdef shared_ptr[sh.CShadow] handle
    cdef Engine engine  # outlives the shadow
    cdef list attached

    def __init__(self, Engine engine not None, Version candidate not None, double share,
                 size_t max_bytes, uint64_t seed, *, double absolute_tolerance=1e-6,
                 double relative_tolerance=1e-3):
        cdef sh.CShadowOptions options
        cdef c.CResult[shared_ptr[sh.CShadow]]* made
        options.share = share
        options.max_bytes = max_bytes
        options.seed = seed
        options.tolerance.absolute = absolute_tolerance
        options.tolerance.relative = relative_tolerance
        self.attached = []
        self.engine = engine
        made = new c.CResult[shared_ptr[sh.CShadow]](
            sh.make_shadow(engine.running()[0], candidate.handle, options))
        try:
            if not made.ok():
                raise_status(made.status())
            self.handle = made.value()
        finally:
            del made

    def __dealloc__(self):
        cdef sh.CShadow* shadow = self.handle.get()
        if shadow != NULL:
            with nogil:
                shadow.close()

    def attach(self, Version version not None):
        cdef c.CEngine* engine = self.engine.running()
        cdef c.CResult[sh.CShadowMapping]* mapping
        if version.observed.get() == NULL:
            raise ValueError("the version is not watched")
        mapping = new c.CResult[sh.CShadowMapping](
            self.handle.get().map(version.handle.get()[0]))
        try:
            if not mapping.ok():
                raise_status(mapping.status())
            # What was served before is not the shadow's.
            with nogil:
                engine.observer().sweep()
                version.observed.get().set_shadow(self.handle, mapping.value())
        finally:
            del mapping
        self.attached.append(version)

    def detach(self):
        cdef Version version  # of self.attached, each watched
        cdef sh.CShadowMapping none
        cdef shared_ptr[sh.CShadow] nobody
        for version in self.attached:
            version.observed.get().set_shadow(nobody, none)
        self.attached.clear()

    def report(self):
        cdef sh.CShadowReport now
        cdef size_t i
        with nogil:
            now = self.handle.get().report()
        return ShadowReport(
            now.counts.offered, now.counts.compared, now.counts.dropped, now.counts.failed,
            now.counts.waiting, now.counts.waiting_bytes, now.counts.differing, now.counts.runs,
            now.counts.failed_runs, now.counts.run_ns, text_of(now.first_error),
            [shadow_output(now.names[i], now.outputs[i]) for i in range(now.names.size())],
            sketch_of(now.differences.value()) if now.differences.has_value() else None,
        )

    def wait(self, double timeout_seconds):
        cdef cbool is_settled
        cdef int64_t timeout = <int64_t>(timeout_seconds * 1e9)
        cdef c.CEngine* engine = self.engine.running()
        with nogil:
            engine.observer().sweep()
            is_settled = self.handle.get().wait(timeout)
        return is_settled

    def reset(self):
        with nogil:
            self.handle.get().reset()

    def close(self):
        self.detach()
        with nogil:
            self.handle.get().close()
