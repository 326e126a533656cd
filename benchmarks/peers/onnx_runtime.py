"""ONNX Runtime, for prediction: a model written here from the same weights, ending in a softmax.

"run" is the plain call with a NumPy array; "io binding" writes the rows into memory that was bound
once, says go, and reads the output where it lies.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from benchmarks.jobs import Job
from benchmarks.networks import channels_first

Array = NDArray[Any]


def model(job: Job) -> onnx.ModelProto:
    """The job's network as ONNX; images are (B, C, H, W), as ONNX wants them."""
    nodes, initializers, name = [], [], "x"
    left = iter(channels_first(job.layers, job.row, job.weights))

    def held(array: Array) -> str:
        initializers.append(numpy_helper.from_array(array, f"w{len(initializers)}"))
        return str(initializers[-1].name)

    for k, (kind, *given) in enumerate([*job.layers, ("softmax",)]):
        inputs, options = [name], {}
        if kind in ("dense", "conv"):
            inputs += [held(next(left)), held(next(left))]
        if kind == "conv":
            options = {"kernel_shape": [given[1]] * 2, "pads": [given[2]] * 4}
        elif kind == "pool":
            options = {"kernel_shape": [given[0]] * 2, "strides": [given[0]] * 2}
        elif kind == "softmax":
            options = {"axis": 1}
        name = f"h{k}"
        operator = {"dense": "Gemm", "conv": "Conv", "relu": "Relu", "pool": "MaxPool",
                    "flatten": "Flatten", "softmax": "Softmax"}[kind]  # fmt: skip
        nodes.append(helper.make_node(operator, inputs, [name], **options))
    row = job.row if len(job.row) == 1 else (job.row[2], job.row[0], job.row[1])
    graph = helper.make_graph(
        nodes, "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, *row])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, job.layers[-1][1]])],
        initializers,
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(made)
    return made


class Predictor:
    """Calls of a session with all its graph optimisations on, which is the default."""

    def __init__(self, job: Job, form: dict[str, Any], threads: int) -> None:
        self.job = job
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            model(job).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self.x = job.x if job.x.ndim == 2 else np.ascontiguousarray(job.x.transpose(0, 3, 1, 2))
        self.binding = None
        if form["call"] == "io binding":
            units = job.layers[-1][1]
            self.input = onnxruntime.OrtValue.ortvalue_from_numpy(self.x)
            self.output = onnxruntime.OrtValue.ortvalue_from_numpy(
                np.zeros((len(self.x), units), np.float32)
            )
            self.binding = self.session.io_binding()
            self.binding.bind_ortvalue_input("x", self.input)
            self.binding.bind_ortvalue_output(self.session.get_outputs()[0].name, self.output)

    def use(self) -> None:
        """The number of threads belongs to the session."""

    def about(self) -> str:
        """What is worth saying beside the form."""
        return "graph optimised"

    def predict(self) -> Array:
        """Probabilities."""
        if self.binding is None:
            found: Array = self.session.run(None, {"x": self.x})[0]
        else:
            self.input.update_inplace(self.x)
            self.session.run_with_iobinding(self.binding)
            found = self.output.numpy()
        return found
