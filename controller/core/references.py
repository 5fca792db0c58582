"""Which Secrets and ConfigMaps belong to one run: those that its host names, else those of its pod template.

Owns the reading of `D/owned` and of a template's references. Whether such an object is there, and whose it
is, is `ownership`'s question. Odd entries become values, never errors.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from controller.core import contract, wire
from controller.core.model import Oddity, Owned

OWNED_MAX: Final = 20
"""So many objects of one run are looked after: each costs calls before its start."""

_KINDS: Final = {"secret": "Secret", "configmap": "ConfigMap"}
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_NAME_MAX: Final = 253
_TEMPLATE: Final = "spec.template"


def named(text: str, key: str, odd: list[Oddity]) -> tuple[Owned, ...]:
    """The objects that an annotation lists as `secret/NAME,configmap/NAME`; other entries are odd."""
    found: list[Owned] = []
    for entry in filter(None, map(str.strip, text.split(","))):
        kind, _, name = entry.partition("/")
        if kind in _KINDS and len(name) <= _NAME_MAX and _NAME.fullmatch(name):
            found.append(Owned(_KINDS[kind], name))
        else:
            said = contract.clip(entry, 64)
            odd.append(
                Oddity(key, f"“{said}” is neither secret/NAME nor configmap/NAME; it is not looked after")
            )
    return _bounded(found, key, odd)


def of_template(job: str, spec: wire.TemplateSpec | None, odd: list[Oddity]) -> tuple[Owned, ...]:
    """The objects named `{job}-…` that the pod can't start without: what is optional may never be there."""
    if spec is None:
        return ()
    needed = (owned for owned in _references(spec) if owned.name.startswith(f"{job}-"))
    return _bounded(needed, _TEMPLATE, odd)


def _bounded(found: Iterable[Owned], where: str, odd: list[Oddity]) -> tuple[Owned, ...]:
    known = tuple(dict.fromkeys(found))
    if len(known) > OWNED_MAX:
        odd.append(
            Oddity(where, f"{len(known)} objects of one run; only the first {OWNED_MAX} are looked after")
        )
    return known[:OWNED_MAX]


def _references(spec: wire.TemplateSpec) -> Iterator[Owned]:
    for volume in spec.volumes or ():
        yield from _of_source(volume.secret, volume.configMap)
        for source in (volume.projected and volume.projected.sources) or ():
            yield from _of_source(source.secret, source.configMap)
    for container in (*(spec.initContainers or ()), *(spec.containers or ())):
        for variable in container.env or ():
            if variable.valueFrom is not None:
                yield from _of_source(variable.valueFrom.secretKeyRef, variable.valueFrom.configMapKeyRef)
        for source in container.envFrom or ():
            yield from _of_source(source.secretRef, source.configMapRef)


def _of_source(secret: wire.Reference | None, config_map: wire.Reference | None) -> Iterator[Owned]:
    for kind, reference in (("Secret", secret), ("ConfigMap", config_map)):
        if reference is not None and not reference.optional:
            yield Owned(kind, reference.secretName or reference.name)
