# TableSchema and TableSketch of core.pyi.
from fastserve._core cimport sketch as k


class SketchFeature(NamedTuple):
    name: str
    tensor: str
    is_input: bool
    kind: str
    index: int


class FeatureSummary(NamedTuple):
    count: int
    missing: int
    infinite: int
    zeros: int
    minimum: float
    maximum: float
    mean: float
    deviation: float
    distinct: float
    top: list


class FeatureScores(NamedTuple):
    psi: float
    jensen_shannon: float
    kolmogorov_smirnov: float
    wasserstein: float
    cramers_v: float
    missing_change: float


cdef class TableSchema:
    cdef shared_ptr[const k.CTableSchema] handle

    def __init__(self, tensors not None):
        cdef vector[k.CTensorColumns] columns
        cdef k.CTensorColumns column
        for name, is_input, datatype, elements in tensors:
            column.name = name.encode()
            column.is_input = is_input
            column.dtype = dtype_from_name(_view(datatype.encode()))
            column.elements = elements
            columns.push_back(column)
        cdef c.CResult[k.CTableSchema]* made = new c.CResult[k.CTableSchema](
            k.make_schema(columns))
        try:
            if not made.ok():
                raise_status(made.status())
            self.handle = make_shared[k.CTableSchema](made.value())
        finally:
            del made

    @property
    def tensors(self):
        cdef size_t i
        cdef const k.CTensorColumns* tensor
        tensors = []
        for i in range(self.handle.get().tensors().size()):
            tensor = &self.handle.get().tensors()[i]
            tensors.append((
                text_of(tensor.name), bool(tensor.is_input), datatype_of(tensor.dtype),
                tensor.elements,
            ))
        return tensors

    @property
    def features(self):
        cdef size_t i
        cdef const k.CFeature* feature
        cdef const k.CTensorColumns* tensor
        features = []
        for i in range(self.handle.get().features().size()):
            feature = &self.handle.get().features()[i]
            tensor = &self.handle.get().tensors()[feature.tensor]
            kind = k.kind_name(feature.kind)
            features.append(SketchFeature(
                text_of(feature.name), text_of(tensor.name), bool(tensor.is_input),
                kind.data()[:kind.size()].decode("ascii"), feature.index,
            ))
        return features

    def __eq__(self, other):
        if not isinstance(other, TableSchema):
            return NotImplemented
        return self.handle.get()[0] == (<TableSchema>other).handle.get()[0]

    def __hash__(self):
        return hash(tuple(self.tensors))


cdef TableSchema schema_of(shared_ptr[const k.CTableSchema] handle):
    cdef TableSchema schema = TableSchema.__new__(TableSchema)
    schema.handle = handle
    return schema


cdef vector[double] doubles_of(object values) except *:
    cdef vector[double] result
    for value in values:
        result.push_back(value)
    return result


# Negative indexes name no feature either.
cdef size_t index_of(object number, str what) except *:
    if number < 0:
        raise CoreError(3, f"there is no {what} {number}, expected 0 or more")
    return number


cdef bytes bytes_of(const string& data):
    return PyBytes_FromStringAndSize(data.data(), <Py_ssize_t>data.size())


cdef bytes checked_bytes(c.CResult[string]* result):
    if not result.ok():
        raise_status(result.status())
    return bytes_of(result.value())


cdef object summary_of(const k.CFeatureSummary& summary):
    cdef size_t i
    return FeatureSummary(
        summary.count, summary.missing, summary.infinite, summary.zeros, summary.minimum,
        summary.maximum, summary.mean, summary.deviation, summary.distinct,
        [
            (text_of(summary.top[i].value), summary.top[i].count, summary.top[i].error)
            for i in range(summary.top.size())
        ],
    )


cdef class TableSketch:
    cdef unique_ptr[k.CTableSketch] handle

    def __init__(self, TableSchema schema not None):
        self.handle = make_unique[k.CTableSketch](schema.handle)

    @staticmethod
    def parse(bytes data not None):
        cdef CByteSpan span = span_of(data)
        cdef c.CResult[k.CTableSketch]* parsed
        with nogil:
            parsed = new c.CResult[k.CTableSketch](k.parse_table(span))
        try:
            if not parsed.ok():
                raise_status(parsed.status())
            return sketch_of(parsed.value())
        finally:
            del parsed

    @property
    def schema(self):
        return schema_of(self.handle.get().shared_schema())

    @property
    def rows(self):
        return self.handle.get().rows()

    @property
    def size_bytes(self):
        return self.handle.get().size_bytes()

    def add(self, tensor, int64_t rows, bytes data not None):
        cdef size_t number = index_of(tensor, "tensor")
        cdef CByteSpan span = span_of(data)
        cdef CStatus status
        with nogil:
            status = self.handle.get().add(number, rows, span)
        raise_status(status)

    def merge(self, TableSketch other not None):
        cdef CStatus status
        with nogil:
            status = self.handle.get().merge(other.handle.get()[0])
        raise_status(status)

    def serialize(self):
        cdef string data
        with nogil:
            data = self.handle.get().serialize()
        return bytes_of(data)

    def copy(self):
        return sketch_of(self.handle.get()[0])

    def summary(self, feature):
        cdef c.CResult[k.CFeatureSummary]* summary = new c.CResult[k.CFeatureSummary](
            self.handle.get().summary(index_of(feature, "feature")))
        try:
            if not summary.ok():
                raise_status(summary.status())
            return summary_of(summary.value())
        finally:
            del summary

    cdef c.CResult[k.CNumberFeature]* number(self, object feature) except NULL:
        cdef c.CResult[k.CNumberFeature]* number = new c.CResult[k.CNumberFeature](
            self.handle.get().number(index_of(feature, "feature")))
        if number.ok():
            return number
        try:
            raise_status(number.status())
        finally:
            del number

    def quantiles(self, feature, ranks not None):
        cdef vector[double] wanted = doubles_of(ranks)
        cdef c.CResult[k.CNumberFeature]* number = self.number(feature)
        try:
            return [number.value().distribution.quantile(rank) for rank in wanted]
        finally:
            del number

    def ranks(self, feature, values not None):
        cdef vector[double] wanted = doubles_of(values)
        cdef c.CResult[k.CNumberFeature]* number = self.number(feature)
        try:
            return [number.value().distribution.rank(value) for value in wanted]
        finally:
            del number

    def histogram(self, feature, edges not None):
        cdef vector[double] wanted = doubles_of(edges)
        for low, high in zip(edges, edges[1:]):
            if not low < high:
                raise CoreError(3, f"edge {low} is followed by {high}, expected a larger one")
        cdef c.CResult[k.CNumberFeature]* number = self.number(feature)
        try:
            return k.histogram_of(number.value().distribution, wanted)
        finally:
            del number

    def scores(self, TableSketch reference not None):
        cdef c.CResult[vector[k.CFeatureScores]]* scores
        with nogil:
            scores = new c.CResult[vector[k.CFeatureScores]](
                k.score_tables(reference.handle.get()[0], self.handle.get()[0]))
        try:
            if not scores.ok():
                raise_status(scores.status())
            return [
                FeatureScores(
                    of.psi, of.jensen_shannon, of.kolmogorov_smirnov, of.wasserstein,
                    of.cramers_v, of.missing_change,
                )
                for of in scores.value()
            ]
        finally:
            del scores

    def quantile_sketch(self, feature):
        cdef c.CResult[string]* data = new c.CResult[string](
            self.handle.get().quantile_sketch(index_of(feature, "feature")))
        try:
            return checked_bytes(data)
        finally:
            del data

    def distinct_sketch(self, feature):
        cdef c.CResult[string]* data = new c.CResult[string](
            self.handle.get().distinct_sketch(index_of(feature, "feature")))
        try:
            return checked_bytes(data)
        finally:
            del data


cdef TableSketch sketch_of(const k.CTableSketch& sketch):
    cdef TableSketch result = TableSketch.__new__(TableSketch)
    result.handle = make_unique[k.CTableSketch](sketch)
    return result
