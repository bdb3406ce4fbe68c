"""Jinja's code generator for templates whose expressions keep their values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jinja2 import nodes
from jinja2.nativetypes import NativeCodeGenerator
from typing_extensions import override

if TYPE_CHECKING:
    from jinja2.compiler import Frame


class ExpressionsAsTheyAre(NativeCodeGenerator):
    """Jinja's generator for native types, which also leaves constant expressions such as ``{{ 5 }}`` as they are."""

    @override
    def _output_child_to_const(self, node: nodes.Expr, frame: Frame, finalize: Any) -> Any:
        if not isinstance(node, nodes.TemplateData):
            raise nodes.Impossible
        return super()._output_child_to_const(node, frame, finalize)
