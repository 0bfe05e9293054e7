"""ModelConfig messages made up at random, over every field that there is."""

from hypothesis import strategies as st

from fastserve._proto import open_inference_grpc_pb2 as pb


def fill(draw, message, depth):
    """Sets fields of the message at random."""
    for field in message.DESCRIPTOR.fields:
        if draw(st.integers(0, 3)):
            continue
        inner = field.message_type
        if inner is not None and depth == 0:
            continue
        target = getattr(message, field.name)
        if inner is not None and inner.GetOptions().map_entry:
            key_kind = inner.fields_by_name["key"].cpp_type
            is_text = key_kind == field.CPPTYPE_STRING
            key = draw(st.text(min_size=1, max_size=4) if is_text else st.integers(1, 9))
            if inner.fields_by_name["value"].message_type is None:
                target[key] = draw(st.text(min_size=1, max_size=4))
            else:
                target[key].SetInParent()
                fill(draw, target[key], depth - 1)
        elif inner is not None:
            child = target.add() if field.is_repeated else target
            child.SetInParent()
            fill(draw, child, depth - 1)
        else:
            kind = {
                field.CPPTYPE_STRING: st.text(max_size=6),
                field.CPPTYPE_BOOL: st.booleans(),
                field.CPPTYPE_ENUM: st.sampled_from(
                    [v.number for v in field.enum_type.values] if field.enum_type else [0]
                ),
                field.CPPTYPE_FLOAT: st.sampled_from([0.5, 1.0]),
                field.CPPTYPE_DOUBLE: st.sampled_from([0.5, 1.0]),
            }.get(field.cpp_type, st.integers(0, 100))
            if field.is_repeated:
                target.extend(draw(st.lists(kind, max_size=3)))
            else:
                setattr(message, field.name, draw(kind))
    return message


@st.composite
def configs(draw):
    return fill(draw, pb.ModelConfig(), 4)
