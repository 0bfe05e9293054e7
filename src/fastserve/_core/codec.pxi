# The codec as tests see it: whole messages in and out of Python values. Nothing on a serving path
# comes here.
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t
from libcpp.vector cimport vector

from fastserve._core cimport wire


cdef str _text(wire.CStringView view):
    return view.data()[:view.size()].decode("utf-8")


cdef wire.CStringView _view(bytes data):
    return wire.CStringView(PyBytes_AS_STRING(data), <size_t>PyBytes_GET_SIZE(data))


cdef list _parameters(const wire.CInferRequestView& view, wire.CParameterRange run):
    cdef const wire.CParameter* parameter
    cdef list result = []
    for i in range(run.begin, run.begin + run.count):
        parameter = &view.parameters_pool[i]
        key = _text(parameter.key)
        if parameter.kind == wire.CParameterKind.kBool:
            result.append((key, "bool_param", bool(parameter.as_bool)))
        elif parameter.kind == wire.CParameterKind.kInt64:
            result.append((key, "int64_param", parameter.as_int64))
        elif parameter.kind == wire.CParameterKind.kString:
            result.append((key, "string_param", _text(parameter.as_string)))
        elif parameter.kind == wire.CParameterKind.kDouble:
            result.append((key, "double_param", parameter.as_double))
        elif parameter.kind == wire.CParameterKind.kUint64:
            result.append((key, "uint64_param", parameter.as_uint64))
        else:
            result.append((key, None, None))
    return result


cdef dict _contents(const wire.CInferRequestView& view, const wire.CInputView& input):
    cdef wire.CContentsKind kind
    cdef int64_t elements = 0
    cdef size_t size = 0
    cdef wire.CStatus status = wire.count_contents(view, input, &kind, &elements, &size)
    if not status.ok():
        message = status.message().decode("utf-8")
        # What protobuf refuses too is the message's fault; the rest is a rule about tensors.
        if message.startswith("malformed "):
            raise ValueError(message)
        return {"error": message}
    raw = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>size)
    status = wire.copy_contents(view, input, wire.writable_bytes(PyBytes_AS_STRING(raw), size))
    if not status.ok():
        return {"error": status.message().decode("utf-8")}
    return {"field": <int>kind, "elements": elements, "raw": raw}


def decode_infer_request(bytes message not None):
    """A ModelInferRequest as the core reads it. ValueError with the core's message when refused.

    `contents` of an input is None, {"error": message}, or {"field": its field number (0: no data),
    "elements": count, "raw": bytes in raw form}.
    """
    cdef wire.CInferRequestView view
    cdef wire.CRequestLimits limits
    cdef wire.CStatus status
    cdef const wire.CInputView* input
    status = wire.parse_infer_request(wire.as_bytes(_view(message)), limits, &view)
    if not status.ok():
        raise ValueError(status.message().decode("utf-8"))
    inputs = []
    for i in range(view.inputs.size()):
        input = &view.inputs[i]
        inputs.append({
            "name": _text(input.name),
            "datatype": _text(input.datatype),
            "dtype": _text(wire.dtype_name(input.dtype)),
            "shape": [input.shape.data()[axis] for axis in range(input.shape.rank())],
            "rank_too_large": bool(input.rank_too_large),
            "parameters": _parameters(view, input.parameters),
            "contents": _contents(view, input[0]) if input.has_contents else None,
        })
    return {
        "model_name": _text(view.model_name),
        "model_version": _text(view.model_version),
        "id": _text(view.id),
        "parameters": _parameters(view, view.parameters),
        "inputs": inputs,
        "outputs": [
            {
                "name": _text(view.outputs[i].name),
                "parameters": _parameters(view, view.outputs[i].parameters),
            }
            for i in range(view.outputs.size())
        ],
        "raw_inputs": [
            (<const char*>view.raw_inputs[i].data())[:view.raw_inputs[i].size()]
            for i in range(view.raw_inputs.size())
        ],
    }


cdef class _Held:
    """Python bytes that C++ views point into, kept alive."""

    cdef list items

    def __cinit__(self):
        self.items = []

    cdef wire.CStringView bytes(self, bytes data):
        self.items.append(data)
        return _view(data)

    cdef wire.CStringView text(self, str text):
        return self.bytes(text.encode("utf-8"))


def encode_infer_response(dict response not None):
    """The bytes of a ModelInferResponse.

    Keys: model_name, model_version, id; parameters [(key, field, value)]; outputs [{name, datatype,
    shape, data in raw form}]; typed. With "error_message" (may be empty) it is wrapped into a
    ModelStreamInferResponse.
    """
    cdef _Held held = _Held()
    cdef vector[wire.COutputTensor] outputs
    cdef vector[wire.CParameter] parameters
    cdef wire.COutputTensor output
    cdef wire.CParameter parameter
    cdef wire.CStreamResponse message
    cdef size_t size
    cdef bint is_stream = "error_message" in response
    for key, field, value in response.get("parameters", ()):
        parameter = wire.CParameter()
        parameter.key = held.text(key)
        if field == "bool_param":
            parameter.kind = wire.CParameterKind.kBool
            parameter.as_bool = value
        elif field == "int64_param":
            parameter.kind = wire.CParameterKind.kInt64
            parameter.as_int64 = value
        elif field == "string_param":
            parameter.kind = wire.CParameterKind.kString
            parameter.as_string = held.text(value)
        elif field == "double_param":
            parameter.kind = wire.CParameterKind.kDouble
            parameter.as_double = value
        elif field == "uint64_param":
            parameter.kind = wire.CParameterKind.kUint64
            parameter.as_uint64 = value
        parameters.push_back(parameter)
    for item in response["outputs"]:
        if len(item["shape"]) > wire.kMaxRank:
            raise ValueError(f"rank {len(item['shape'])} is above {wire.kMaxRank}")
        output = wire.COutputTensor()
        output.name = held.text(item["name"])
        output.dtype = wire.dtype_from_name(held.text(item["datatype"]))
        for dim in item["shape"]:
            output.shape.push_back(dim)
        output.data = wire.as_bytes(held.bytes(item["data"]))
        outputs.push_back(output)
    message.response.model_name = held.text(response["model_name"])
    message.response.model_version = held.text(response["model_version"])
    message.response.id = held.text(response["id"])
    message.response.parameters = wire.CParameterSpan(parameters.data(), parameters.size())
    message.response.outputs = wire.COutputSpan(outputs.data(), outputs.size())
    message.response.typed = response["typed"]
    if is_stream:
        message.error_message = held.text(response["error_message"])
        size = wire.stream_response_size(message)
    else:
        size = wire.infer_response_size(message.response)
    encoded = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>size)
    target = wire.writable_bytes(PyBytes_AS_STRING(encoded), size)
    if is_stream:
        wire.write_stream_response(message, target)
    else:
        wire.write_infer_response(message.response, target)
    return encoded
