"""A graph as a Keras model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from chipfit.graph import Array, Graph
from chipfit.trainable.model import Aim, Extra, Net


def model_class(keras: Any) -> Any:
    """A class of Keras models that run a :class:`~chipfit.trainable.model.Net`, which only exists where Keras does.

    Its outputs are the wanted tensors, by name; its targets a dictionary: ``y`` (n, outputs), ``weights`` (n,), and
    ``extra``, what :meth:`Extra.targets` gave.
    """

    class GraphModel(keras.Model):
        def __init__(self, net: Net, wanted: Mapping[str, Any], raw: str, aim: Aim, extra: Extra | None) -> None:
            super().__init__(name="graph")
            self._net, self._wanted, self._raw, self._aim, self._extra = net, dict(wanted), raw, aim, extra
            self.projections = list(extra.layers) if extra else []
            self.right = keras.metrics.Mean(name="accuracy")
            net.build(self)
            self.built = True

        def call(self, x: Any, training: bool = False) -> dict[str, Any]:
            values = list(self._wanted.values())
            return dict(zip(self._wanted, self._net.run(keras, x, values, training), strict=True))

        def compute_loss(
            self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
        ) -> Any:
            k, raw = keras.ops, y_pred[self._raw]
            raw = k.reshape(raw, (k.shape(raw)[0], -1))
            labels, weights = k.convert_to_tensor(y["y"]), k.convert_to_tensor(y["weights"])
            hard = k.mean(self._aim.loss(k, raw, labels) * weights)
            if self._extra is None:
                return hard
            seen = {name: y_pred[name] for name in self._extra.reads}
            targets = {name: k.convert_to_tensor(a) for name, a in y["extra"].items()}
            return self._extra.hard * hard + k.mean(self._extra.loss(k, seen, targets))

        def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            k, raw = keras.ops, y_pred[self._raw]
            said = k.argmax(k.reshape(raw, (k.shape(raw)[0], -1)), axis=-1)
            hits = said == k.argmax(k.convert_to_tensor(y["y"]), axis=-1)
            self.right.update_state(k.cast(hits, "float32"))
            return self.get_metrics_result()

    return GraphModel


def predictor(keras: Any, graph: Graph, names: Sequence[str]) -> Callable[[Array], dict[str, Array]]:
    """A function from (n, h, w, c), float32, to tensors of a float graph by their names, (n, *shape in the graph).

    As quick as Keras is: for teachers. Raises ChipfitError N005 and Q004 as :class:`~chipfit.trainable.model.Net` does.
    """
    net = Net(graph)
    values = {v.name: v for v in graph.values() if v.name in names}
    model = model_class(keras)(net, values, graph.outputs[0].name, Aim("logits"), None)

    def predict(x: Array) -> dict[str, Array]:
        return {name: np.asarray(y) for name, y in model.predict_on_batch(x).items()}

    return predict
