"""Where templates come from: the entry point group ``einloom.templates``.

Built-in templates are registered exactly as third-party ones are. Nothing is imported before it is asked
for; a plugin that does not load, or does not keep the contract, names itself, its distribution and the
reason, and the others keep working. A name that two distributions claim belongs to neither.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

from einloom.arch.schema import reasons
from einloom.arch.template import Template, unknown_name
from einloom.errors import EinloomError, PluginError, SpecError

GROUP = "einloom.templates"


@dataclass(frozen=True, slots=True)
class Entry:
    """One registered template, loaded or not.

    Attributes:
        name: Of the entry point.
        owner: Distribution and version, e.g. ``"einloom 0.1.0"``.
        target: ``module:attribute``.
        template: The template; None when it is broken.
        problem: Why it is broken; empty when it is not.
    """

    name: str
    owner: str
    target: str
    template: Template | None
    problem: str = ""


@functools.cache
def _registered() -> tuple[EntryPoint, ...]:
    return tuple(sorted(entry_points(group=GROUP), key=lambda point: (point.name, _owner(point))))


def refresh() -> None:
    """Forget what was found, for a process in which a distribution was just installed."""
    _registered.cache_clear()


def template_names() -> tuple[str, ...]:
    """Names that are registered, without loading anything."""
    return tuple(dict.fromkeys(point.name for point in _registered()))


def entries() -> tuple[Entry, ...]:
    """Every registered template, loaded; broken ones carry their problem."""
    found = []
    for point in _registered():
        try:
            found.append(Entry(point.name, _owner(point), point.value, template(point.name)))
        except PluginError as error:
            found.append(Entry(point.name, _owner(point), point.value, None, error.problems[0].message))
    return tuple(found)


def template(name: str) -> Template:
    """The template registered as ``name``.

    Raises:
        SpecError: No template has that name.
        PluginError: It is broken, or two distributions claim the name.
    """
    points = [point for point in _registered() if point.name == name]
    if not points:
        raise SpecError(*unknown_name(name, template_names(), "template"))
    if len(points) > 1:
        owners = " and ".join(f"{_owner(point)} ({point.value})" for point in points)
        raise PluginError(f"the template '{name}' is registered twice: {owners}", "uninstall one of them")
    return _loaded(points[0])


def _loaded(point: EntryPoint) -> Template:
    who = f"the template '{point.name}' of {_owner(point)} ({point.value})"
    try:
        found = point.load()
    except EinloomError as error:
        raise PluginError(
            f"{who} does not load: {error.problems[0].message}", error.problems[0].hint
        ) from error
    except (Exception, SystemExit) as error:  # whatever a plugin's module raises when it is imported
        raise PluginError(
            f"{who} does not load: {type(error).__name__}: {error}", "reinstall it, or tell its author"
        ) from error
    if not isinstance(found, Template):
        what = f"it is {type(found).__name__}, not a Template"
        raise PluginError(
            f"{who} breaks its contract: {what}", "end the module in `TEMPLATE = Template(...)`"
        )
    if found.name != point.name:
        what = f"it calls itself '{found.name}'"
        raise PluginError(
            f"{who} breaks its contract: {what}", "give the entry point the name of the template"
        )
    try:
        wrong = reasons(found)
    except Exception as error:  # values of types that nobody would think of
        wrong = (f"it cannot be checked: {type(error).__name__}: {error}",)
    if wrong:
        hint = "tell its author; what a template says about itself stands in docs/plugins.md"
        raise PluginError(f"{who} breaks its contract: {'; '.join(wrong)}", hint)
    return found


def _owner(point: EntryPoint) -> str:
    """Distribution and version of an entry point; a distribution may be installed without readable metadata."""
    try:
        distribution = point.dist
        found = f"{distribution.name} {distribution.version}" if distribution is not None else ""
    except Exception:  # whatever importlib.metadata raises about files that are not there
        found = ""
    return found or "an unknown distribution"
