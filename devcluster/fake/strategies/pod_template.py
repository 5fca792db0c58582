"""The pod spec, wherever it stands: defaults, validation, and which features this cluster does not model.

Owns: rules shared by Pods and Job templates. Never runs anything.

Accepted but without effect, because processes stand for containers: securityContext, ports, dns*,
hostNetwork, tolerations, imagePullSecrets, serviceAccountName, priority, hostname, runtimeClassName, stdin.
"""

import re
from typing import Any

from devcluster.fake import errors
from devcluster.fake.errors import FieldErrors
from devcluster.fake.resources import JSON
from devcluster.fake.strategies import metadata

POD_DEFAULTS: JSON = {
    "restartPolicy": "Always",
    "dnsPolicy": "ClusterFirst",
    "schedulerName": "default-scheduler",
    "securityContext": {},
    "terminationGracePeriodSeconds": 30,
}
CONTAINER_DEFAULTS: JSON = {
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
    "resources": {},
}
UNMODELLED_POD = (
    "activeDeadlineSeconds", "affinity", "topologySpreadConstraints", "schedulingGates",
    "ephemeralContainers", "resourceClaims", "readinessGates", "overhead", "resources",
    "shareProcessNamespace",
)  # fmt: skip
UNMODELLED_CONTAINER = (
    "livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "volumeDevices", "resizePolicy",
    "restartPolicyRules",
)  # fmt: skip
MODELLED_VOLUMES = ("emptyDir", "configMap", "secret")
MUTABLE_WHEN_SUSPENDED = ("nodeSelector", "tolerations")
LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start "
    "and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
ENV_NAME = re.compile(r"[^=\x00]+")


def containers(spec: JSON) -> list[JSON]:
    """Init containers and containers."""
    return [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]


def apply_defaults(spec: JSON) -> None:
    """Set what a client left out."""
    for key, value in POD_DEFAULTS.items():
        if spec.get(key) is None:
            spec[key] = dict(value) if isinstance(value, dict) else value
    for container in containers(spec):
        _apply_container_defaults(container)
    for volume in spec.get("volumes") or []:
        if set(volume) <= {"name"}:
            volume["emptyDir"] = {}
        for kind in ("configMap", "secret"):
            if isinstance(volume.get(kind), dict):
                volume[kind].setdefault("defaultMode", 420)


def _apply_container_defaults(container: JSON) -> None:
    for key, value in CONTAINER_DEFAULTS.items():
        if container.get(key) is None:
            container[key] = dict(value) if isinstance(value, dict) else value
    if not container.get("imagePullPolicy"):
        container["imagePullPolicy"] = _pull_policy(container.get("image", ""))
    resources = container["resources"]
    for name, amount in (resources.get("limits") or {}).items():
        resources.setdefault("requests", {}).setdefault(name, amount)
    for variable in container.get("env") or []:
        reference = (variable.get("valueFrom") or {}).get("fieldRef")
        if reference:
            reference.setdefault("apiVersion", "v1")


def _pull_policy(image: str) -> str:
    if "@" in image:
        return "IfNotPresent"
    tag = image.rpartition("/")[2].partition(":")[2]
    return "Always" if tag in ("", "latest") else "IfNotPresent"


def validate(spec: JSON, path: str, found: FieldErrors) -> None:
    """Refuse with 501 what is not modelled; collect what is wrong."""
    for field in UNMODELLED_POD:
        if spec.get(field):
            raise errors.not_modelled(f"a pod's {field}")
    if not spec.get("containers"):
        found.required(f"{path}.containers")
    volumes = _validate_volumes(spec, path, found)
    names: set[str] = set()
    for part in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(part) or []):
            _validate_container(container, f"{path}.{part}[{index}]", found)
            _validate_mounts(container, volumes, f"{path}.{part}[{index}]", found)
            if container.get("name") in names:
                found.causes.append(_duplicate(f"{path}.{part}[{index}].name", container["name"]))
            names.add(container.get("name", ""))
            if part == "containers" and container.get("restartPolicy"):
                raise errors.not_modelled("restartPolicy on a container that is no init container")


def _duplicate(path: str, value: str) -> errors.Cause:
    return errors.Cause(path, "FieldValueDuplicate", f'Duplicate value: "{value}"')


def _validate_volumes(spec: JSON, path: str, found: FieldErrors) -> set[str]:
    names: set[str] = set()
    for index, volume in enumerate(spec.get("volumes") or []):
        kinds = [key for key in volume if key != "name"]
        for kind in kinds:
            if kind not in MODELLED_VOLUMES:
                raise errors.not_modelled(f"{kind} volumes")
        if volume.get("name") in names:
            found.causes.append(_duplicate(f"{path}.volumes[{index}].name", volume["name"]))
        names.add(volume.get("name", ""))
    return names


def _validate_mounts(container: JSON, volumes: set[str], path: str, found: FieldErrors) -> None:
    for index, mount in enumerate(container.get("volumeMounts") or []):
        where = f"{path}.volumeMounts[{index}]"
        if mount.get("name") not in volumes:
            found.causes.append(
                errors.Cause(f"{where}.name", "FieldValueNotFound", f'Not found: "{mount.get("name", "")}"')
            )
        if not mount.get("mountPath"):
            found.required(f"{where}.mountPath")
        if mount.get("subPathExpr"):
            raise errors.not_modelled("subPathExpr in volume mounts")


def _validate_container(container: JSON, path: str, found: FieldErrors) -> None:
    _refuse_unmodelled(container)
    name = container.get("name", "")
    if not name:
        found.required(f"{path}.name")
    elif not LABEL.fullmatch(name):
        found.invalid(f"{path}.name", name, LABEL_RULE)
    if not container.get("image"):
        found.required(f"{path}.image")
    for index, variable in enumerate(container.get("env") or []):
        _validate_variable(variable, f"{path}.env[{index}]", found)
    for key in ("command", "args"):
        if not _strings(container.get(key)):
            kinds = {metadata.go_kind(item) for item in container[key] if not isinstance(item, str)}
            where = path.partition("[")[0]
            text = f"json: cannot unmarshal {kinds.pop()} into Go struct field Container.{where}.{key}"
            raise errors.Undecodable(f"{text} of type string")


def _refuse_unmodelled(container: JSON) -> None:
    for field in UNMODELLED_CONTAINER:
        if container.get(field):
            raise errors.not_modelled(f"a container's {field}")


def _strings(value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(isinstance(item, str) for item in value))


def _validate_variable(variable: JSON, path: str, found: FieldErrors) -> None:
    if not ENV_NAME.fullmatch(variable.get("name", "")):
        found.required(f"{path}.name")
    source = variable.get("valueFrom") or {}
    if source and variable.get("value"):
        found.invalid(f"{path}.valueFrom", "", "may not be specified when `value` is not empty")
    for kind in source:
        if kind not in ("fieldRef", "configMapKeyRef", "secretKeyRef"):
            raise errors.not_modelled(f"{kind} in an environment variable")


def with_mutable_parts_of(template: JSON, other: JSON) -> JSON:
    """A template with those parts of another that may change while a Job has not started."""
    result = dict(template)
    meta = dict(template.get("metadata", {}))
    for key in ("labels", "annotations"):
        meta = _taken(meta, other.get("metadata", {}), key)
    if meta or "metadata" in other:
        result["metadata"] = meta
    spec = dict(template["spec"])
    for key in MUTABLE_WHEN_SUSPENDED:
        spec = _taken(spec, other["spec"], key)
    for part in ("initContainers", "containers"):
        if part in spec:
            spec[part] = _with_resources(spec[part], other["spec"].get(part, []))
    return result | {"spec": spec}


def _taken(into: JSON, source: JSON, key: str) -> JSON:
    rest = {name: value for name, value in into.items() if name != key}
    return rest | {key: source[key]} if key in source else rest


def _with_resources(own: list[JSON], other: list[JSON]) -> list[JSON]:
    by_name = {container["name"]: container for container in other}
    return [c | {"resources": by_name.get(c["name"], c).get("resources", {})} for c in own]
