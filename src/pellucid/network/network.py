"""Network: nodes in order, one flat parameter vector, one flat state vector.

This file says what a network *is*: how it is built, what it holds, and what may be read and set.
What executes it stands in `engine/`, what trains it in `training/`, what looks inside in
`insight/`; the methods at the end open those doors.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pellucid.description import checked_options
from pellucid.errors import (
    GraphError,
    NotBuiltError,
    OptionError,
    ShapeError,
    TooLargeError,
    UnknownNameError,
)
from pellucid.layers.base import Layer
from pellucid.losses import Loss, as_loss
from pellucid.network.arrays import as_array, as_inputs, check_finite, convert, named
from pellucid.network.graph import Graph, check_squashed, graph_from_config, trace_graph
from pellucid.network.parameters import FlatViews
from pellucid.network.summary import repr_html, summary
from pellucid.network.symbols import Input, Shared, Symbol, chain, listed
from pellucid.optimizers import Incoming, Optimizer, Run, Runs, as_optimizer
from pellucid.penalties import Penalty
from pellucid.random import Stream, seed_of

if TYPE_CHECKING:
    from pellucid.engine.base import Program
    from pellucid.insight.diagnose import Diagnosis
    from pellucid.insight.gradcheck import GradientReport
    from pellucid.insight.trace import Trace
    from pellucid.training.record import Record
    from pellucid.training.state import TrainingState
    from pellucid.training.step import Step

Array = NDArray[Any]
_ELSEWHERE = {  # what other libraries call what is here
    "train": "net.fit trains",
    "compile": "give loss= and optimizer= to Network or to fit",
    "history": "net.fit returns the record of the run",
    "layers": "net.graph.nodes has them",
    "weights": "net.parameters has them by name",
    "get_weights": "net.parameters has them by name",
    "state_dict": "net.parameters has them by name",
    "load_weights": "Network.load makes a network from a file",
    "predict_proba": "net.predict gives probabilities",
    "score": "net.evaluate gives the loss and metrics",
}


class Network:
    """A neural network: layers wired into a graph, and the vectors they work on.

    Parameters
    ----------
    layers : list of Layer, optional
        Layers applied one after another. Leave out for a graph.
    inputs : int, tuple, Symbol, list or dict of Symbol, optional
        For a list: the shape of one row; left out, the first data tells it. For a graph: what
        `Input` made.
    outputs : Symbol, or list or dict of Symbol, optional
        For a graph: what should come out.
    loss : Loss or str, or dict by output name
        What is minimised; may come with `fit`.
    optimizer : Optimizer or str
        What changes the parameters; may come with `fit`.
    penalty : Penalty, optional
        ``L2(rate)`` or ``L1(rate)`` on the weights.
    seed : int or numpy.random.Generator, default 0
        Everything random about this network comes from it.
    dtype : {"float32", "float64"}
    engine : {"auto", "native", "numpy"}
        What executes it: "native" is the compiled core, and an error where it cannot run the
        network; "auto" takes it where it can. `explain_engine()` says which it is, and why.

    >>> from pellucid import Network, Dense, ReLU, MSE, SGD
    >>> net = Network([Dense(3), ReLU(), Dense(1)], inputs=2, loss=MSE(), optimizer=SGD(0.1))
    >>> net.parameters["dense_1/W"].shape
    (2, 3)
    """

    @checked_options("Network", lr="The optimizer has it: optimizer=Adam(learning_rate=0.01)")
    def __init__(
        self, layers: Sequence[Layer | Shared] | Graph | None = None, inputs: Any = None, *,
        outputs: Any = None, loss: Any = None, optimizer: Any = None,
        penalty: Penalty | None = None, seed: int | np.random.Generator = 0,
        dtype: str = "float32", engine: str = "auto",
    ) -> None:  # fmt: skip
        from pellucid.engine.base import check_engine

        if np.dtype(dtype) not in (np.float32, np.float64):
            raise OptionError(f"dtype is 'float32' or 'float64', not {dtype!r}")
        if penalty is not None and not isinstance(penalty, Penalty):
            raise OptionError(f"penalty is a Penalty such as L2(1e-4), not {penalty!r}")
        self.seed = seed_of(seed)
        self.dtype = np.dtype(dtype)
        self.engine = check_engine(engine)
        self.penalty = penalty
        self._layers = self._as_layers(layers, outputs)
        self._graph: Graph | None = None
        self._loss = loss
        self._losses: dict[str, Loss] = {}
        self._optimizer = None if optimizer is None else as_optimizer(optimizer)
        self.training: TrainingState | None = None
        self.classes: tuple[str, ...] | None = None  # what they are called, from a dataset's names
        self.features: tuple[str, ...] | None = None  # the columns of the table it learnt from
        self._program: Program | None = None
        if isinstance(layers, Graph):
            self._adopt(layers)
        elif outputs is not None:
            self._adopt(trace_graph(listed(inputs, "inputs"), listed(outputs, "outputs")))
        elif inputs is not None:
            self.build(inputs)

    @staticmethod
    def _as_layers(layers: Any, outputs: Any) -> tuple[Layer | Shared, ...] | None:
        if (layers is None) == (outputs is None):
            raise GraphError(
                "give either a list of layers, Network([Dense(10)]), or a graph, "
                "Network(inputs=x, outputs=y)"
            )
        if layers is None or isinstance(layers, Graph):
            return None
        if not isinstance(layers, list | tuple) or not layers:
            raise GraphError(f"a network is a list of at least one layer, not {layers!r}")
        for layer in layers:
            if not isinstance(layer, Layer | Shared):
                raise GraphError(
                    f"a network is made of layers such as Dense(10) or ReLU(); got {layer!r}"
                    + ("; call it: " + layer.__name__ + "()" if isinstance(layer, type) else "")
                )
        return tuple(layers)

    # ---- building ----------------------------------------------------------------------------

    def build(self, inputs: Any) -> Network:
        """Fixes the shapes and makes the parameters, from the shape of one row or an Input."""
        if self._graph is not None:
            return self
        assert self._layers is not None
        start = inputs
        if not isinstance(inputs, Symbol):
            first = self._layers[0]
            layer = first.layer if isinstance(first, Shared) else first
            start = Input(inputs, "int" if layer.takes_integers else "float")
        self._adopt(trace_graph([start], [chain(self._layers, start)]))
        return self

    def _adopt(self, graph: Graph) -> None:
        """Takes a graph as its own: vectors, initial values, and the loss checked against it."""
        self._graph = graph
        try:
            if self._loss is not None:
                self.loss = self._loss
        except Exception:
            self._graph = None  # not built, rather than built in part
            raise
        shapes = {name: s.shape for name, s in graph.parameter_specs().items()}
        try:
            self.parameters = FlatViews(shapes, self.dtype)
            self.state = FlatViews({k: s.shape for k, s in graph.state_specs().items()}, self.dtype)
            self._initialize()
        except (MemoryError, OverflowError) as error:
            self._graph = None
            largest = max(shapes, key=lambda name: prod(shapes[name]))
            total = sum(map(prod, shapes.values()))
            raise TooLargeError(
                f"{total:,} parameters do not fit in memory ({total * self.dtype.itemsize:.3g} "
                f"bytes); the largest is {largest} with shape {shapes[largest]}"
            ) from error

    def _initialize(self) -> None:
        for name, spec in self.graph.parameter_specs().items():
            stream = Stream(self.seed, "initial", name)
            self.parameters[name] = spec.initializer(spec.shape, spec.fans or (1, 1), stream)
        for name, state in self.graph.state_specs().items():
            self.state[name][...] = state.value
        self.updates = 0
        self.slots: dict[str, Array] = {}
        self.training = None
        self._claim_slots()

    def _claim_slots(self) -> None:
        """Makes the optimizer's vectors, keeping those of an optimizer of the same kind."""
        names = self._optimizer.slot_names() if self._optimizer is not None else ()
        if self._graph is not None and tuple(self.slots) != tuple(names):
            kept, theta = self.slots, self.parameters.vector
            self.slots = {n: kept[n] if n in kept else np.zeros_like(theta) for n in names}

    @property
    def built(self) -> bool:
        """Whether the shapes are known and the parameters exist."""
        return self._graph is not None

    @property
    def graph(self) -> Graph:
        """The nodes and how they are wired."""
        if self._graph is None:
            raise NotBuiltError(
                "this network is not built yet: its input shape comes from the first data given "
                "to fit, or from net.build(shape) or Network(layers, inputs=shape)"
            )
        return self._graph

    def __getattr__(self, name: str) -> Any:
        if name in ("parameters", "state", "updates", "slots") and "_graph" in self.__dict__:
            _ = self.graph  # raises the error that explains
        elsewhere = f": {_ELSEWHERE[name]}" if name in _ELSEWHERE else ""
        raise AttributeError(f"Network has no attribute {name!r}{elsewhere}")

    # ---- loss and optimizer --------------------------------------------------------------------

    @property
    def losses(self) -> dict[str, Loss]:
        """The losses by output name."""
        if self._loss is None:
            raise NotBuiltError("this network has no loss: Network(..., loss=CrossEntropy())")
        return self._losses

    @property
    def loss(self) -> Any:
        """What is minimised: a Loss, or a dict of them by output name."""
        return self._loss

    @loss.setter
    def loss(self, loss: Any) -> None:
        if self._graph is not None:
            found = named(loss, list(self.graph.outputs), "loss")
            losses = {name: as_loss(value) for name, value in found.items()}
            for name, value in losses.items():
                check_squashed(self.graph, name, value)
            self._losses = losses
        self._loss, self._program = loss, None

    @property
    def optimizer(self) -> Optimizer | None:
        """What changes the parameters."""
        return self._optimizer

    @optimizer.setter
    def optimizer(self, optimizer: Any) -> None:
        new = as_optimizer(optimizer)
        if type(new) is not type(self._optimizer) and self._graph is not None:
            self.slots = {}
        self._optimizer, self._program = new, None
        self._claim_slots()

    def stretches(self) -> Runs:
        """The stretches of the flat vector that an optimizer may change, with their decay tag."""
        runs: list[Run] = []
        incoming: list[Incoming] = []
        owners = self.graph.owners()
        for name, spec in self.graph.parameter_specs().items():
            layer = owners[name.rpartition("/")[0]].layer
            start, stop = self.parameters.stretch(name)
            if layer is None or not layer.trainable or start == stop:
                continue
            if spec.decay and len(spec.shape) > 1:
                incoming.append(Incoming.of(start, spec.shape, layer.unit_axis))
            if runs and runs[-1].stop == start and runs[-1].decay == spec.decay:
                runs[-1] = runs[-1]._replace(stop=stop)
            else:
                runs.append(Run(start, stop, spec.decay))
        return Runs(runs, incoming)

    # ---- looking through it --------------------------------------------------------------------

    def __call__(self, x: Any) -> Any:
        """The raw outputs for a batch (a dict by name where there are several)."""
        outputs = self._infer(x)
        return outputs if len(outputs) > 1 else next(iter(outputs.values()))

    def predict(self, x: Any, *, batch_size: int = 1024) -> Any:
        """What the outputs mean: probabilities under a logits loss, else the values; (n, k)."""
        if isinstance(batch_size, bool) or not batch_size >= 1:
            raise OptionError(f"batch_size is a whole number of 1 or more, not {batch_size!r}")
        if self._program is not None and (y := self._program.quick(x)) is not None:
            return y
        arrays = self.inputs_for(x)
        for name, array in arrays.items():
            check_finite(array, name, self.dtype)
        n = len(next(iter(arrays.values())))
        chunks = []
        for start in range(0, max(n, 1), batch_size):
            block = slice(start, start + batch_size)
            batch = self.converted({name: array[block] for name, array in arrays.items()})
            chunks.append(self.program.predict(batch))
        joined = {name: np.concatenate([c[name] for c in chunks]) for name in chunks[0]}
        return joined if len(joined) > 1 else next(iter(joined.values()))

    def activations(self, x: Any, *nodes: str) -> dict[str, Array]:
        """What every node (or those named) gives out: ``dense_1`` is z, ``relu_1`` is a."""
        self.inputs_for(x)
        known = [node.name for node in self.graph.nodes]
        for name in nodes:
            if name not in known:
                raise UnknownNameError.of(name, known)
        return self._infer(x, keep=nodes or tuple(known))

    def inputs_for(self, x: Any) -> dict[str, Array]:
        """`x` as arrays by input name, building the network from it if need be."""
        if self._graph is None:
            array = as_array(x, "x")
            if array.ndim == 0:
                raise GraphError("x is a single number; networks take rows: np.array([[x]])")
            try:
                self.build(array.shape[1:])
            except ShapeError as error:
                hint = "; one feature a row is x[:, None]" if array.ndim == 1 else ""
                raise ShapeError(
                    f"{error}\n\nx has shape {array.shape}, rows first{hint}"
                ) from None
        return as_inputs(x, self.graph.inputs)

    def converted(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """Input arrays in the types the network computes with."""
        specs = self.graph.inputs
        return {name: convert(a, specs[name], self.dtype) for name, a in arrays.items()}

    def _infer(self, x: Any, keep: Sequence[str] | None = None) -> dict[str, Array]:
        arrays = self.converted(self.inputs_for(x))
        return self.program.infer(arrays, keep)

    @property
    def program(self) -> Program:
        """The network compiled, with the gradients of the inputs."""
        if self._program is None:
            from pellucid.engine.base import compile_network

            self._program = compile_network(self, input_gradients=True, taps=True)
        return self._program

    def explain_engine(self) -> str:
        """What runs where, node by node, and why."""
        lines = [f"{name:<24} {engine:<8} {why}" for name, engine, why in self.program.explain()]
        return "\n".join(lines)

    # ---- copies --------------------------------------------------------------------------------

    def reset(self) -> Network:
        """Starts over: parameters, state and optimizer as they were before the first update."""
        if self._graph is not None:
            self._initialize()
        return self

    def clone(self, **changes: Any) -> Network:
        """A network of the same description with its own, newly initialised vectors.

        `changes` are options of Network: ``net.clone(seed=1)``.
        """
        options = {
            "loss": self._loss, "optimizer": self._optimizer, "penalty": self.penalty,
            "seed": self.seed, "dtype": self.dtype.name, "engine": self.engine,
        } | changes  # fmt: skip
        return Network(self._graph if self._graph is not None else self._layers, **options)

    def astype(self, dtype: str) -> Network:
        """A copy that computes in another float type, with the same weights and state."""
        twin = self.clone(dtype=dtype)
        if self._graph is not None:
            twin.parameters.vector[...] = self.parameters.vector
            twin.state.vector[...] = self.state.vector
            twin.updates = self.updates
            twin.slots = {k: v.astype(twin.dtype) for k, v in self.slots.items()}
        return twin

    def copy(self) -> Network:
        """A copy with the same weights, state and training."""
        return copy.deepcopy(self)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_program": None}

    def __setstate__(self, saved: dict[str, Any]) -> None:
        self.__dict__.update(saved)

    # ---- in JSON and on paper ------------------------------------------------------------------

    def to_config(self) -> dict[str, Any]:
        """The network without its numbers, as JSON values."""
        loss = (
            {k: v.to_config() for k, v in self._losses.items()} if self._loss is not None else None
        )
        return {
            "graph": self.graph.to_config(),
            "loss": loss,
            "optimizer": self._optimizer.to_config() if self._optimizer is not None else None,
            "penalty": self.penalty.to_config() if self.penalty is not None else None,
            "seed": self.seed,
            "dtype": self.dtype.name,
            "engine": self.engine,
            "classes": self.classes,
            "features": self.features,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Network:
        """The network that `to_config` described, newly initialised."""
        from pellucid.description import Description

        def made(entry: Any) -> Any:
            return None if entry is None else Description.from_config(entry)

        loss = config["loss"]
        options = {
            "loss": None if loss is None else {k: made(v) for k, v in loss.items()},
            "optimizer": made(config["optimizer"]),
            "penalty": made(config["penalty"]),
            "seed": config["seed"], "dtype": config["dtype"], "engine": config["engine"],
        }  # fmt: skip
        net = cls(graph_from_config(config["graph"]), **options)
        net.classes = config.get("classes") and tuple(map(str, config["classes"]))
        net.features = config.get("features") and tuple(map(str, config["features"]))
        if len(net._losses) == 1:
            net._loss = next(iter(net._losses.values()))  # as it is mostly given: without a name
        return net

    def summary(self) -> str:
        """A table of the nodes: what feeds each, its shape, parameters and initialisers."""
        return summary(self)

    _repr_html_ = repr_html

    def __repr__(self) -> str:
        if self._graph is None:
            return f"Network({list(self._layers or ())!r}), not built"
        names = " → ".join(node.name for node in self._graph.nodes)
        return f"<Network {names}: {self.parameters.vector.size:,} parameters>"

    # ---- doors to what stands above ------------------------------------------------------------

    def fit(self, x: Any, y: Any = None, **options: Any) -> Record:
        """Trains the network and returns the record of the run.

        The options, with their defaults; `help(pellucid.training.fit)` explains each::

            epochs=10, batch_size=32, validation=None, validation_rows="random", loss=None,
            optimizer=None, metrics=None, sample_weight=None, class_weight=None, shuffle=True,
            shuffle_seed=None, accumulate=1, steps_per_epoch=None, callbacks=(), progress=True,
            resume=False

        >>> record = net.fit(x, y, epochs=10, batch_size=64)     # doctest: +SKIP
        """
        from pellucid.training.fit import fit

        return fit(self, x, y, **options)

    def evaluate(self, x: Any, y: Any = None, **options: Any) -> dict[str, float]:
        """Loss and metrics on data, in inference; see `pellucid.training.evaluate`."""
        from pellucid.training.fit import evaluate

        return evaluate(self, x, y, **options)

    def step(self, x: Any, y: Any = None, sample_weight: Any = None) -> Step:
        """One step on one batch, to be taken phase by phase; see `pellucid.training.Step`."""
        from pellucid.training.step import Step

        return Step(self, x, y, sample_weight)

    def adapt(self, x: Any) -> Network:
        """Lets layers such as Standardize learn their statistics from `x`."""
        from pellucid.training.sources import adapt

        return adapt(self, x)

    def trace(self, x: Any, y: Any = None, **options: Any) -> Trace:
        """The four phases of a step with every shape, and the numbers where they are few."""
        from pellucid.insight.trace import trace

        return trace(self, x, y, **options)

    def gradcheck(self, x: Any, y: Any = None, **options: Any) -> GradientReport:
        """Compares every gradient with central differences; see `pellucid.insight.gradcheck`."""
        from pellucid.insight.gradcheck import gradcheck

        return gradcheck(self, x, y, **options)

    def diagnose(self, x: Any = None, y: Any = None) -> Diagnosis:
        """What is wrong with the network or its data, said in words."""
        from pellucid.insight.diagnose import diagnose

        return diagnose(self, x, y)

    def save(self, path: Any, *, training: bool = True) -> None:
        """Writes the network to a safetensors file, atomically; see `pellucid.formats`."""
        from pellucid.formats.safetensors import save

        save(self, path, training=training)

    @staticmethod
    def load(path: Any) -> Network:
        """The network that `save` wrote."""
        from pellucid.formats.safetensors import load

        return load(path)
