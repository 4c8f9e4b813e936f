"""What operators mean and what they cost: name -> numpy function, arity, identity, operations counted.

Built-in and user operators live in one registry; ``register_operator`` adds a meaning. A workload file may
declare what an operator costs (``operators: {gelu: {mac: 4, exp: 1}}``); an operator that is declared there
needs a meaning only to be executed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from einloom.errors import SpecError

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Operator:
    """One operator.

    Attributes:
        name: As written in an Einsum.
        function: Element-wise numpy function of ``arity`` arrays; None if it can only reduce.
        arity: Arguments; -1 is two or more, folded from the left.
        reduction: Folds an array over axes, ``reduction(values, axes)``; None if it cannot reduce.
        identity: What a point outside of a guard counts as.
        cost: Operations of one application (or of one point of a reduction) by elementary operator.
        cost_per_result: Operations that a reduction adds once per result.
    """

    name: str
    function: Callable[..., Array] | None = None
    arity: int = 1
    reduction: Callable[[Array, tuple[int, ...]], Array] | None = None
    identity: float | None = None
    cost: Mapping[str, int] = field(default_factory=dict)
    cost_per_result: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "cost", MappingProxyType(dict(self.cost) or {self.name: 1}))
        object.__setattr__(self, "cost_per_result", MappingProxyType(dict(self.cost_per_result)))


_REGISTRY: dict[str, Operator] = {}


def register_operator(operator: Operator) -> Operator:
    """Give ``operator.name`` a meaning for every workload of this process.

    Raises:
        SpecError: The name is taken, or is no operator name (small letter first).
    """
    if not (operator.name[:1].islower() and operator.name.isidentifier()):
        raise SpecError(
            f"'{operator.name}' is no operator name", "operator names begin with a small letter: gelu"
        )
    if operator.name in _REGISTRY:
        raise SpecError(f"the operator '{operator.name}' is registered already", "choose another name")
    _REGISTRY[operator.name] = operator
    return operator


def operator_named(name: str) -> Operator | None:
    """The registered operator, or None."""
    return _REGISTRY.get(name)


def operator_names() -> tuple[str, ...]:
    """Every registered name, sorted."""
    return tuple(sorted(_REGISTRY))


def _gelu(x: Array) -> Array:
    """x times the normal distribution function (Hendrycks and Gimpel, arXiv 1606.08415)."""
    from scipy.special import erf  # noqa: PLC0415 - heavy, needed only to execute

    return np.asarray(0.5 * x * (1.0 + erf(x / np.sqrt(2.0))))


def _gelu_tanh(x: Array) -> Array:
    """The tanh form of gelu that GPT-2 uses (same source)."""
    return np.asarray(0.5 * x * (1.0 + np.tanh(np.sqrt(2.0 / np.pi) * (x + 0.044715 * x**3))))


def _sigmoid(x: Array) -> Array:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * np.asarray(x))))  # never overflows


def _fold(ufunc: Any) -> Callable[[Array, tuple[int, ...]], Array]:
    def reduction(values: Array, axes: tuple[int, ...]) -> Array:
        return np.asarray(ufunc.reduce(values, axis=axes, keepdims=True))

    return reduction


def _mean(values: Array, axes: tuple[int, ...]) -> Array:
    return np.asarray(np.mean(values, axis=axes, keepdims=True))


for _operator in (
    Operator("add", np.add, arity=2),
    Operator("sub", np.subtract, arity=2, cost={"add": 1}),
    Operator("mul", np.multiply, arity=2),
    Operator("div", np.true_divide, arity=2),
    Operator("neg", np.negative),
    Operator("max", np.maximum, arity=-1, reduction=_fold(np.maximum), identity=-np.inf),
    Operator("min", np.minimum, arity=-1, reduction=_fold(np.minimum), identity=np.inf),
    Operator("sum", reduction=_fold(np.add), identity=0, cost={"add": 1}),
    Operator("prod", reduction=_fold(np.multiply), identity=1, cost={"mul": 1}),
    Operator("mean", reduction=_mean, cost={"add": 1}, cost_per_result={"div": 1}),
    Operator("exp", np.exp),
    Operator("log", np.log),
    Operator("sqrt", np.sqrt),
    Operator("rsqrt", lambda x: 1.0 / np.sqrt(x)),
    Operator("relu", lambda x: np.maximum(x, 0)),
    Operator("relu6", lambda x: np.clip(x, 0, 6)),
    Operator("gelu", _gelu),
    Operator("gelu_tanh", _gelu_tanh, cost={"gelu": 1}),
    Operator("sigmoid", _sigmoid),
    Operator("silu", lambda x: x * _sigmoid(x)),
    Operator("tanh", np.tanh),
    Operator("softplus", lambda x: np.logaddexp(0.0, x)),
    Operator("abs", np.abs),
    Operator("square", np.square, cost={"mul": 1}),
    Operator("sin", np.sin),
    Operator("cos", np.cos),
    Operator("round", np.round),
    Operator("sign", np.sign),
):
    register_operator(_operator)
