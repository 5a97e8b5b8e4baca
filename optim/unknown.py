"""What to say of an option that an optimizer does not have."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable

from minigrad.errors import ArgumentTypeError

__all__: list[str] = []

#: Names elsewhere -> what may be meant, best first: the options here, where there are several.
_MEANT = {
    "alpha": ("rho", "learning_rate"),
    "beta": ("momentum", "beta1"),
    "beta_1": ("beta1",),
    "beta_2": ("beta2",),
    "betas": ("beta1 beta2", "beta"),
    "clipnorm": ("clip_norm",),
    "clipvalue": ("clip_value",),
    "decay": ("rho", "weight_decay"),
    "eps": ("epsilon", "epsilon1 epsilon2"),
    "epsilon": ("epsilon1 epsilon2",),
    "global_clipnorm": ("clip_global_norm",),
    "gradient_accumulation_steps": ("accumulate_steps",),
    "grad_clip": ("clip_global_norm",),
    "initial_accumulator_value": ("initial_accumulator",),
    "lr": ("learning_rate",),
    "max_grad_norm": ("clip_global_norm",),
    "momentum": ("beta", "beta1", "rho"),
    "rate": ("learning_rate",),
    "rho": ("beta2", "beta"),
    "schedule": ("learning_rate",),
    "step_size": ("learning_rate",),
    "use_nesterov": ("nesterov",),
    "wd": ("weight_decay",),
}

#: What elsewhere is given to an optimizer when it is made.
_VARIABLES = ("model", "parameters", "params", "var_list", "variables")


def refusal(cls: type, base: type, unknown: Iterable[str]) -> ArgumentTypeError:
    """The error for options that `cls` does not have.

    Args:
        cls: the optimizer's class.
        base: where `OptimizerOptions` end up.
        unknown: the names that were given.
    """
    options = _options(cls, base)
    given = list(unknown)
    lines = [f"{cls.__name__} has no option {' or '.join(map(repr, given))}"]
    for name in given:
        if name in _VARIABLES:
            lines.append("variables go to minimize(loss, variables) or apply_gradients")
        elif meant := _meant(name, options):
            lines.append(f"instead of {name} write {meant}")
    lines.append(f"there are {', '.join(options)}")
    return ArgumentTypeError("; ".join(lines))


def _meant(name: str, options: list[str]) -> str:
    """The options that `name` may stand for; empty if there are none."""
    for group in _MEANT.get(name, ()):
        if set(group.split()) <= set(options):
            return " and ".join(group.split())
    return " or ".join(difflib.get_close_matches(name, options, n=1))


def _options(cls: type, base: type) -> list[str]:
    """The names that `cls` takes, with those that its constructor passes on."""
    found: dict[str, None] = {}
    for owner in cls.__mro__:
        if "__init__" not in vars(owner):
            continue
        passed_on = ""
        for p in list(inspect.signature(vars(owner)["__init__"]).parameters.values())[1:]:
            if p.kind is p.VAR_KEYWORD:
                passed_on = str(p.annotation)
            elif p.kind is not p.VAR_POSITIONAL:
                found[p.name] = None
        if not passed_on or owner is base:
            break
        if "OptimizerOptions" in passed_on:  # These are the base's, whatever lies between.
            return list(found | dict.fromkeys(_options(base, base)))
    return list(found)
