"""ONNX graphs of one operator, written without the onnx package, which the base package does not have.

A model is a protobuf message; the field numbers are those of onnx.proto (https://github.com/onnx/onnx, ModelProto).
"""

IR_VERSION, OPSET, FLOAT = 8, 17, 1


def one_operator(operator: str, inputs: dict[str, tuple[int, ...]], output: tuple[str, tuple[int, ...]]) -> bytes:
    """A model that applies one operator without attributes to float32 inputs.

    Args:
        operator: Name in the ONNX operator set, like MatMul.
        inputs: Shape by name, in the operator's order.
        output: Name and shape.

    Returns:
        The bytes of an .onnx file.
    """
    node = b"".join(_text(1, name) for name in inputs) + _text(2, output[0]) + _text(4, operator)
    graph = _message(1, node) + _text(2, operator)
    graph += b"".join(_message(11, _value(name, shape)) for name, shape in inputs.items())
    graph += _message(12, _value(*output))
    return _number(1, IR_VERSION) + _message(7, graph) + _message(8, _text(1, "") + _number(2, OPSET))


def _value(name: str, shape: tuple[int, ...]) -> bytes:
    dimensions = b"".join(_message(1, _number(1, size)) for size in shape)
    return _text(1, name) + _message(2, _message(1, _number(1, FLOAT) + _message(2, dimensions)))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _text(field: int, text: str) -> bytes:
    return _message(field, text.encode())


def _varint(value: int) -> bytes:
    """Seven bits per byte, the lowest first; the high bit says that more follow."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
