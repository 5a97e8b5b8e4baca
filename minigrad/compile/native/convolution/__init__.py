"""Native convolutions, computed directly: no matrix of windows is ever made.

Sources: Zhang, Franchetti and Low, "High performance zero-memory overhead direct convolutions"
(2018); Georganas et al., "Anatomy of high-performance deep learning convolutions on SIMD
architectures" (2018).
"""

from minigrad.compile.native.convolution.forward import emit_convolution
from minigrad.compile.native.convolution.input_gradient import emit_convolution_input_gradient
from minigrad.compile.native.convolution.kernel_gradient import emit_convolution_kernel_gradient
from minigrad.compile.native.convolution.spec import ConvolutionSpec

__all__ = [
    "ConvolutionSpec",
    "emit_convolution",
    "emit_convolution_input_gradient",
    "emit_convolution_kernel_gradient",
]
