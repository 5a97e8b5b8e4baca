"""Functions of floats and integers as native code, for scalars and vectors of any lanes.

They are correct for NaN, infinities, zeros of either sign and subnormal numbers, and neither trap
nor raise. The largest errors found, in units of the last place; those of float32 functions of one
number on all of its 2³² inputs, by `tools/check_native_math.py`, the others on some million:

    ============ ======= =======   ============ ======= =======   ============ ======= =======
    function     float32 float64   function     float32 float64   function     float32 float64
    ============ ======= =======   ============ ======= =======   ============ ======= =======
    exp             1.62    1.44   sin             2.36    1.46   asinh           1.88    2.13
    exp2            1.21    1.16   cos             2.29    1.43   acosh           2.44    2.31
    expm1           1.56    1.84   tan             3.79    3.02   atanh           2.17    2.38
    log             0.93    1.19   asin            1.91    2.00   erf             3.13    2.04
    log1p           1.48    1.78   acos            1.14    1.11   erfc            4.00    3.38
    log2            1.10    0.96   atan            2.10    2.25   erfinv          0.50    1.97
    log10           0.98    0.97   atan2           1.99    2.25   cbrt            0.50    0.50
    sigmoid         3.23    2.90   sinh            2.68    2.30   pow             0.50    1.70
    softplus        2.33    2.52   cosh            1.76    1.77   hypot           0.50    1.14
    log_sigmoid     2.33    2.52   tanh            2.54    2.53
    ============ ======= =======   ============ ======= =======   ============ ======= =======
"""
