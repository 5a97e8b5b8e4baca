"""Neural-network functions: primitives and composites, a file per family.

All are exported by `minigrad.nn`; modules (`minigrad.nn.modules`) are built from them.
"""
