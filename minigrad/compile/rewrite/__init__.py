"""Rewrites: small named rules that make a program do less, or do it better."""

from minigrad.compile.rewrite.rule import RULES, Rule
from minigrad.compile.rewrite.walk import rewrite

__all__ = ["RULES", "Rule", "rewrite"]
