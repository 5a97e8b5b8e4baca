"""Every error that minigrad raises.

Each derives from `MinigradError` and from the built-in exception that a NumPy user would expect,
so ``except ValueError`` and ``except minigrad.errors.MinigradError`` both work.
"""

from __future__ import annotations


class MinigradError(Exception):
    """Base class of every error raised by minigrad."""


class ShapeError(MinigradError, ValueError):
    """Shapes, axes or sizes do not fit together."""


class DTypeError(MinigradError, TypeError):
    """A dtype is not accepted, or two dtypes have no common one."""


class ArgumentError(MinigradError, ValueError):
    """An argument has a value that is not allowed."""


class ArgumentTypeError(MinigradError, TypeError):
    """An argument has a type that is not allowed."""


class IndexOutOfRangeError(MinigradError, IndexError):
    """An index lies outside the axis it selects from."""


class SymbolicTensorError(MinigradError, TypeError):
    """A symbolic tensor was used where a value is needed (`if tensor:`, `for row in tensor`)."""


class ImmutableTensorError(MinigradError, TypeError):
    """Item assignment on a tensor; tensors never change."""


class GraphError(MinigradError, ValueError):
    """A graph was built or used wrongly: mixed graphs, a name that does not exist, …"""


class FinalizedGraphError(GraphError, RuntimeError):
    """A node was added to a finalized graph."""


class FeedError(MinigradError, ValueError):
    """A feed is missing, unknown, or has the wrong shape or dtype."""


class FeedTypeError(FeedError, TypeError):
    """A feed's dtype does not fit its tensor, or its key cannot be fed."""


class FetchError(MinigradError, ValueError):
    """Something that was asked for cannot be fetched."""


class FetchTypeError(FetchError, TypeError):
    """A fetch of a type that is not a tensor, operation, variable, name or nest of them."""


class FailedPreconditionError(MinigradError, RuntimeError):
    """State is not ready: a variable was used before its initializer ran."""


class StateError(MinigradError, RuntimeError):
    """State is used in a way that cannot work: a closed session, a nested write, a spent tape."""


class GradientError(MinigradError, ValueError):
    """A gradient does not exist or was asked for wrongly."""


class NotDifferentiableError(GradientError, TypeError):
    """A gradient was asked of something that has none; the reason is in the message."""


class LostGradientWarning(UserWarning):
    """A value left minigrad while a tape recorded it, or a tape is asked about one it never saw."""


class NumericsError(MinigradError, FloatingPointError):
    """A node made a NaN or an infinity while `check_numerics` was on."""


class LinAlgError(MinigradError, ValueError):
    """A matrix is singular, not positive definite, or a decomposition did not converge."""


class RegistryError(MinigradError, ValueError):
    """A primitive's definition is incomplete or contradicts another one."""


class OperationError(MinigradError, RuntimeError):
    """A node failed while it ran, for a reason that none of the other classes names."""


_wrapped: dict[type[BaseException], type[OperationError]] = {}


def operation_error(cause: Exception, message: str) -> MinigradError:
    """Return an error with `message` that is also an instance of the class of `cause`.

    The caller raises it ``from cause``. A `MinigradError` keeps its own class; a built-in
    exception gets a class that derives from both `OperationError` and itself.

    >>> error = operation_error(ZeroDivisionError("x"), "node 'Div' failed")
    >>> isinstance(error, ZeroDivisionError), isinstance(error, MinigradError)
    (True, True)
    """
    if isinstance(cause, MinigradError):
        return type(cause)(message)
    # The nearest built-in class: numpy.linalg.LinAlgError, say, is a ValueError to its users.
    kind = next(k for k in type(cause).__mro__ if k.__module__ == "builtins")
    if kind not in _wrapped:
        try:
            _wrapped[kind] = type(f"Operation{kind.__name__}", (OperationError, kind), {})
        except TypeError:  # A built-in whose layout does not combine, such as UnicodeError.
            _wrapped[kind] = OperationError
    return _wrapped[kind](message)
