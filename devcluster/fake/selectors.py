"""Label and field selectors: text in, a predicate over objects out.

Owns: parsing and matching. Never looks anything up.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from devcluster.fake import errors
from devcluster.fake.resources import JSON, Resource, selectable

Labels = Mapping[str, str]
Predicate = Callable[[Labels], bool]
_SET = re.compile(r"^(\S+)\s+(in|notin)\s*\(([^()]*)\)$")
_KEY = r"([A-Za-z0-9][-A-Za-z0-9_./]*)"
_EQUALITY = re.compile(rf"^{_KEY}\s*(==|=|!=)\s*([-A-Za-z0-9_.]*)$")
_ORDER = re.compile(rf"^{_KEY}\s*([<>])\s*(-?\d+)$")
_EXISTS = re.compile(rf"^(!?)\s*{_KEY}$")
_FIELD = re.compile(r"^([A-Za-z0-9.]+)(==|=|!=)(.*)$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Selector:
    """What a list or watch asks for; falsy if everything matches."""

    labels: tuple[Predicate, ...] = ()
    fields: tuple[Predicate, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.labels or self.fields)

    def matches(self, resource: Resource, stored: JSON) -> bool:
        """Whether an object is selected."""
        if self.labels:
            own = stored["metadata"].get("labels") or {}
            if not all(matches(own) for matches in self.labels):
                return False
        if not self.fields:
            return True
        values = selectable(resource, stored)
        return all(matches(values) for matches in self.fields)


def parse(labels: str, fields: str, resource: Resource) -> Selector:
    """The selector of a request; 400 if it cannot be understood."""
    return Selector(parse_labels(labels), _parse_fields(fields, resource))


def parse_labels(text: str) -> tuple[Predicate, ...]:
    """The requirements of a label selector."""
    return tuple(_requirement(part.strip()) for part in _split(text) if part.strip())


def _split(text: str) -> list[str]:
    """Split at commas outside of parentheses."""
    return re.split(r",(?![^()]*\))", text)


def _requirement(text: str) -> Predicate:
    if match := _SET.match(text):
        return _set_requirement(match[1], match[2], frozenset(v.strip() for v in match[3].split(",")))
    if match := _EQUALITY.match(text):
        return _equality(match[1], match[2], match[3])
    if match := _ORDER.match(text):
        return _order(match[1], match[2], int(match[3]))
    if match := _EXISTS.match(text):
        key, wanted = match[2], not match[1]
        return lambda values: (key in values) is wanted
    raise errors.bad_request(f"unable to parse requirement: found '{text}', expected: identifier")


def _set_requirement(key: str, operator: str, options: frozenset[str]) -> Predicate:
    if operator == "in":
        return lambda values: key in values and values[key] in options
    return lambda values: key not in values or values[key] not in options


def _equality(key: str, operator: str, value: str) -> Predicate:
    if operator == "!=":
        return lambda values: values.get(key) != value
    return lambda values: values.get(key) == value


def _order(key: str, operator: str, bound: int) -> Predicate:
    def matches(values: Labels) -> bool:
        text = values.get(key, "")
        if not re.fullmatch(r"-?\d+", text):
            return False
        return int(text) > bound if operator == ">" else int(text) < bound

    return matches


def _parse_fields(text: str, resource: Resource) -> tuple[Predicate, ...]:
    known = selectable(resource, {"metadata": {"name": "", "namespace": ""}})
    return tuple(_field(part, known, resource) for part in text.split(",") if part)


def _field(text: str, known: Labels, resource: Resource) -> Predicate:
    match = _FIELD.match(text)
    if match is None:
        raise errors.bad_request(f"invalid selector: '{text}'; can't understand '{text}'")
    if match[1] not in known:
        raise errors.bad_request(_unknown_field(match[1], resource))
    return _equality(match[1], match[2], match[3])


def _unknown_field(name: str, resource: Resource) -> str:
    """Each group has its own words for a field that cannot be selected on."""
    if resource.group == "batch":
        return f'field label "{name}" not supported for {resource.kind}'
    if resource.kind in ("Pod", "Event", "Namespace", "Secret"):
        return f"field label not supported: {name}"
    return f'"{name}" is not a known field selector: only "metadata.name", "metadata.namespace"'
