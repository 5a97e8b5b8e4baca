"""Native pooling and its gradients, by vectors of channels."""

from minigrad.compile.native.pooling.largest import emit_max_pool, emit_max_pool_gradient
from minigrad.compile.native.pooling.mean import emit_avg_pool, emit_avg_pool_gradient
from minigrad.compile.native.pooling.spec import PoolingSpec

__all__ = [
    "PoolingSpec",
    "emit_avg_pool",
    "emit_avg_pool_gradient",
    "emit_max_pool",
    "emit_max_pool_gradient",
]
