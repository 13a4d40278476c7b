"""Emulates on a CPU how a GPU multiplies matrices in TF32 and in float16: it rounds the inputs, and adds in float32.

The rest of a traced tower stays as it is. TF32 has 10 of float32's 23 bits after the point; numbers are rounded to the
nearest, as TensorFlow documents it. Float16 inputs are multiplied and added in float32, and the sum is rounded to
float16: TensorFlow's own float16 products would take hours on a CPU.
"""

import tensorflow as tf

PRODUCTS = {"MatMul", "BatchMatMulV2", "Einsum", "Conv2D"}
KEPT_BITS, HALF_A_BIT = -1 << 13, 1 << 12  # all but the last 13 bits of a float32, and half of the last kept one
FLOAT, HALF, INT = (dtype.as_datatype_enum for dtype in (tf.float32, tf.float16, tf.int32))


def with_gpu_products(tower: tf.types.experimental.PolymorphicFunction) -> tf.types.experimental.PolymorphicFunction:
    """Returns a traced tower with emulated products: TF32 if its products are float32, float16 if they are float16."""
    traced = tower.get_concrete_function()
    graph = traced.graph.as_graph_def()
    with tf.Graph().as_default() as constants:
        tf.constant(KEPT_BITS, name="kept_bits")
        tf.constant(HALF_A_BIT, name="half_a_bit")
    graph.node.extend(constants.as_graph_def().node)
    for node in [node for node in graph.node if node.op in PRODUCTS]:
        if node.attr["T"].type == FLOAT:
            node.input[:] = [as_tf32(graph, source, f"{node.name}/{i}") for i, source in enumerate(node.input)]
        else:
            node.input[:] = [
                cast(graph, source, f"{node.name}/{i}", HALF, FLOAT) for i, source in enumerate(node.input)
            ]
            node.attr["T"].type = FLOAT
            rounded, node.name = node.name, f"{node.name}/float32"
            cast(graph, node.name, rounded, FLOAT, HALF)

    def emulated(batch: tf.Tensor) -> tf.Tensor:
        given = zip(traced.inputs, [batch, *traced.captured_inputs], strict=True)
        mapped = {placeholder.name: tf.identity(tensor) for placeholder, tensor in given}
        return tf.graph_util.import_graph_def(graph, mapped, [traced.outputs[0].name], name="")[0]

    return tf.function(emulated, [tf.TensorSpec(traced.inputs[0].shape, traced.inputs[0].dtype)])


def as_tf32(graph: tf.compat.v1.GraphDef, source: str, name: str) -> str:
    """Adds nodes that round a float32 tensor to TF32, and returns the last one's name."""
    bits = graph.node.add(op="Bitcast", name=f"{name}/bits", input=[source])
    bits.attr["T"].type, bits.attr["type"].type = FLOAT, INT
    moved = graph.node.add(op="AddV2", name=f"{name}/moved", input=[bits.name, "half_a_bit"])
    kept = graph.node.add(op="BitwiseAnd", name=f"{name}/kept", input=[moved.name, "kept_bits"])
    moved.attr["T"].type = kept.attr["T"].type = INT
    value = graph.node.add(op="Bitcast", name=f"{name}/value", input=[kept.name])
    value.attr["T"].type, value.attr["type"].type = INT, FLOAT
    return str(value.name)


def cast(graph: tf.compat.v1.GraphDef, source: str, name: str, given: int, wanted: int) -> str:
    """Adds a node that converts a tensor to another dtype, and returns its name."""
    node = graph.node.add(op="Cast", name=name, input=[source])
    node.attr["SrcT"].type, node.attr["DstT"].type = given, wanted
    return name
