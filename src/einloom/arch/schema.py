"""What a template must say about itself before anyone may use it, checked when it is registered.

A template that came this far is a `Template` value; its author may still have given it two parameters of one
name, a default that its own parameter refuses, or a ``build`` that takes the wrong arguments. Each is told in
one line, all of them at once, so that the author mends them in one go.
"""

from __future__ import annotations

import inspect
import keyword
import math
from collections.abc import Callable, Iterator

from einloom.arch.template import REQUIRED, Parameter, Template
from einloom.errors import SpecError

EXPECTED = "build(params: Mapping[str, object]) -> Architecture"
RESERVED = ("template", "name")
"""Keys of a ``template:`` block that are no parameters."""


def reasons(found: Template) -> tuple[str, ...]:
    """Everything that is wrong with what ``found`` says about itself; empty when it may be used.

    Example:
        >>> reasons(Template(name="row", summary="", parameters=(), build=lambda params: None))
        ('it has no summary', 'it names no sources')
    """
    return (*_texts(found), *_build(found.build), *_parameters(found.parameters))


def _texts(found: Template) -> Iterator[str]:
    if not isinstance(found.summary, str) or not found.summary.strip():
        yield "it has no summary"
    if isinstance(found.sources, str):
        yield "its sources are one text, not a tuple of texts"
    elif not found.sources or not all(isinstance(text, str) and text.strip() for text in found.sources):
        yield "it names no sources"


def _build(build: Callable[..., object]) -> Iterator[str]:
    """`Template.build` takes the parameters as its one positional argument."""
    if not callable(build):
        yield f"build is {type(build).__name__}, expected {EXPECTED}"
        return
    if inspect.iscoroutinefunction(build) or inspect.isgeneratorfunction(build):
        yield f"build is no plain function, expected {EXPECTED}"
        return
    try:
        signature = inspect.signature(build)
    except ValueError:  # compiled code that does not tell
        return
    try:
        signature.bind({})
    except TypeError:
        yield f"expected {EXPECTED}, found build{signature}"


def _parameters(parameters: object) -> Iterator[str]:
    if not isinstance(parameters, tuple) or not all(isinstance(one, Parameter) for one in parameters):
        yield "its parameters are not a tuple of Parameter values"
        return
    names = [parameter.name for parameter in parameters]
    yield from (f"two parameters are named '{name}'" for name in dict.fromkeys(names) if names.count(name) > 1)
    for parameter in parameters:
        yield from _parameter(parameter)


def _parameter(parameter: Parameter) -> Iterator[str]:
    name = parameter.name
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
        yield f"the parameter name {name!r} is not an identifier"
    elif name in RESERVED:
        yield f"a parameter is named '{name}', which is a key of every architecture"
    choices = parameter.choices
    chosen = parameter.kind in ("choice", "names")
    if chosen and not choices:
        yield f"parameter '{name}' is a choice without choices"
        return
    if chosen and (isinstance(choices, str) or len(set(choices)) < len(choices)):
        yield f"the choices of parameter '{name}' are not distinct words"
    if math.isnan(parameter.low) or math.isnan(parameter.high) or parameter.low > parameter.high:
        yield f"parameter '{name}' has low {parameter.low:g} above high {parameter.high:g}"
    elif parameter.default is not REQUIRED and parameter.default is not None:
        try:
            parameter.check(parameter.default)
        except SpecError as error:
            problem = error.problems[0]
            yield f"the default of parameter '{name}' is not one of its values: {problem.message} ({problem.hint})"
