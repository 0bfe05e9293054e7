#include "fastserve/engine/reshape.h"

#include <algorithm>

#include "fastserve/base/quoted.h"

namespace fastserve::engine {
namespace {

using runtime::TensorSpec;

// Elements before, between and behind the variable dimensions. False when a dimension is neither
// variable nor positive, or a product is too large.
bool count_parts(const Shape& shape, std::vector<int64_t>* parts) {
  parts->assign(1, 1);
  for (const int64_t dim : shape.dims()) {
    if (dim == kDynamic) {
      parts->push_back(1);
    } else if (dim < 1 || !checked_multiply(parts->back(), dim, &parts->back())) {
      return false;
    }
  }
  return true;
}

// Why the two shapes cannot hold the same elements; empty when they do.
std::string obstacle(const Shape& wire, const Shape& graph) {
  std::vector<int64_t> wire_parts;
  std::vector<int64_t> graph_parts;
  if (!count_parts(wire, &wire_parts) || !count_parts(graph, &graph_parts)) {
    return "dimensions are positive, or -1 where the request chooses";
  }
  if (wire_parts.size() != graph_parts.size()) {
    return "they have " + std::to_string(wire_parts.size() - 1) + " and " +
           std::to_string(graph_parts.size() - 1) + " variable dimensions";
  }
  for (size_t i = 0; i < wire_parts.size(); ++i) {
    if (wire_parts[i] == graph_parts[i]) continue;
    const bool is_last = i + 1 == wire_parts.size();
    return "they have " + std::to_string(wire_parts[i]) + " and " + std::to_string(graph_parts[i]) +
           " elements" +
           (i > 0 && is_last ? " behind the last variable dimension"
            : is_last        ? ""
                             : " before variable dimension " + std::to_string(i + 1));
  }
  return "";
}

bool matches(const Shape& shape, const Shape& spec) {
  if (shape.rank() != spec.rank()) return false;
  for (size_t axis = 0; axis < shape.rank(); ++axis) {
    if (spec[axis] != kDynamic && spec[axis] != shape[axis]) return false;
  }
  return true;
}

// `shape`, which matches `from`, in the dimensions of `to`.
Shape map(const Shape& shape, const Shape& from, const Shape& to) {
  Shape mapped = to;
  size_t axis = 0;
  for (size_t variable = 0; variable < from.rank(); ++variable) {
    if (from[variable] != kDynamic) continue;
    while (mapped[axis] != kDynamic) ++axis;
    mapped[axis++] = shape[variable];
  }
  return mapped;
}

}  // namespace

Result<std::unique_ptr<const Reshapes>> Reshapes::make(const runtime::Signature& signature,
                                                       bool has_rows_axis,
                                                       std::span<const TensorReshape> reshapes) {
  if (reshapes.empty()) return std::unique_ptr<const Reshapes>();
  auto made = std::make_unique<Reshapes>();
  made->wire_ = signature;
  made->graph_ = signature;
  made->is_reshaped_input_.resize(signature.inputs.size());
  made->is_reshaped_output_.resize(signature.outputs.size());
  for (const TensorReshape& reshape : reshapes) {
    if (Status status = made->add(reshape, has_rows_axis); !status.ok()) return status;
  }
  return std::unique_ptr<const Reshapes>(std::move(made));
}

Status Reshapes::add(const TensorReshape& reshape, bool has_rows_axis) {
  const std::string what = (reshape.is_input ? "input " : "output ") + quoted(reshape.name);
  std::vector<TensorSpec>& wire = reshape.is_input ? wire_.inputs : wire_.outputs;
  std::vector<TensorSpec>& graph = reshape.is_input ? graph_.inputs : graph_.outputs;
  std::vector<bool>& is_reshaped = reshape.is_input ? is_reshaped_input_ : is_reshaped_output_;
  const auto found = std::ranges::find(wire, reshape.name, &TensorSpec::name);
  if (found == wire.end()) {
    return invalid_argument(what + " is given a shape, but the model has no such tensor");
  }
  const auto index = static_cast<size_t>(found - wire.begin());
  if (is_reshaped[index]) return invalid_argument(what + " is given a shape twice");
  const std::string shapes =
      "from " + reshape.wire.to_string() + " to " + reshape.graph.to_string();
  if (const std::string why = obstacle(reshape.wire, reshape.graph); !why.empty()) {
    return invalid_argument(what + " cannot be reshaped " + shapes + ": " + why);
  }
  const Shape declared = graph[index].shape;
  const size_t first = has_rows_axis ? 1 : 0;
  if (std::max(reshape.wire.rank(), reshape.graph.rank()) + first > kMaxRank) {
    return invalid_argument(what + " cannot be reshaped " + shapes + ": more than " +
                            std::to_string(kMaxRank) + " dimensions are not supported");
  }
  auto whole = [&](const Shape& shape) {
    Shape with_rows;
    if (has_rows_axis) with_rows.push_back(declared[0]);
    for (const int64_t dim : shape.dims()) with_rows.push_back(dim);
    return with_rows;
  };
  graph[index].shape = whole(reshape.graph);
  wire[index].shape = whole(reshape.wire);
  if (!matches(graph[index].shape, declared)) {
    return invalid_argument(what + " cannot be given to the graph as " +
                            graph[index].shape.to_string() + ", since the model declares it " +
                            declared.to_string() + (has_rows_axis ? ", rows first" : ""));
  }
  // Names of axes say nothing about the dimensions of another shape.
  if (wire[index].shape != declared) {
    wire[index].symbols.resize(first);
    wire[index].symbols.resize(wire[index].shape.rank());
  }
  is_reshaped[index] = true;
  return ok_status();
}

void Reshapes::to_graph(size_t index, Shape* shape) const {
  if (!is_reshaped_input_[index]) return;
  *shape = map(*shape, wire_.inputs[index].shape, graph_.inputs[index].shape);
}

Status Reshapes::to_wire(std::span<runtime::RunOutput> outputs) const {
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!is_reshaped_output_[i] || !outputs[i].present) continue;
    const TensorSpec& spec = graph_.outputs[i];
    if (!matches(outputs[i].shape, spec.shape)) {
      return {Code::kInternal, "the model gave output " + quoted(spec.name) + " the shape " +
                                   outputs[i].shape.to_string() + ", but its reshape expects " +
                                   spec.shape.to_string()};
    }
    outputs[i].shape = map(outputs[i].shape, spec.shape, wire_.outputs[i].shape);
  }
  return ok_status();
}

}  // namespace fastserve::engine
