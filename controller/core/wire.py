"""The fields of Kubernetes' JSON that are read, as msgspec structs; whatever else an object holds is skipped.

Shapes only, in Kubernetes' spelling. Meaning is given to them in `parse`.
"""

# ruff: noqa: N815, D101 — Kubernetes' own names, documented by its API reference

import msgspec


class Owner(msgspec.Struct, gc=False):
    kind: str = ""
    uid: str = ""
    controller: bool | None = None


class Meta(msgspec.Struct):
    name: str
    uid: str
    resourceVersion: str
    namespace: str = ""
    creationTimestamp: str = ""
    deletionTimestamp: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    ownerReferences: list[Owner] | None = None


class Condition(msgspec.Struct, gc=False):
    type: str = ""
    status: str = ""
    reason: str | None = None
    message: str | None = None
    lastTransitionTime: str | None = None


class ContainerSpec(msgspec.Struct, gc=False):
    name: str = ""
    image: str = ""
    restartPolicy: str | None = None


class PodSpec(msgspec.Struct):
    containers: list[ContainerSpec] | None = None
    initContainers: list[ContainerSpec] | None = None
    nodeName: str = ""


class Reference(msgspec.Struct, gc=False):
    """To a Secret or a ConfigMap; a volume of a Secret spells its name in another way."""

    name: str = ""
    secretName: str = ""
    optional: bool | None = None


class Source(msgspec.Struct, gc=False):
    """Of a variable, of many, or of a part of a projected volume."""

    secretKeyRef: Reference | None = None
    configMapKeyRef: Reference | None = None
    secretRef: Reference | None = None
    configMapRef: Reference | None = None
    secret: Reference | None = None
    configMap: Reference | None = None


class Variable(msgspec.Struct, gc=False):
    valueFrom: Source | None = None


class Projected(msgspec.Struct, gc=False):
    sources: list[Source] | None = None


class Volume(msgspec.Struct, gc=False):
    secret: Reference | None = None
    configMap: Reference | None = None
    projected: Projected | None = None


class TemplateContainer(ContainerSpec, gc=False):
    env: list[Variable] | None = None
    envFrom: list[Source] | None = None


class TemplateMeta(msgspec.Struct):
    labels: dict[str, str] | None = None


class TemplateSpec(msgspec.Struct):
    """A pod's spec with what it needs besides: only Jobs are asked for that."""

    containers: list[TemplateContainer] | None = None
    initContainers: list[TemplateContainer] | None = None
    volumes: list[Volume] | None = None
    restartPolicy: str | None = None


class Template(msgspec.Struct):
    metadata: TemplateMeta | None = None
    spec: TemplateSpec | None = None


class JobSpec(msgspec.Struct):
    template: Template | None = None
    suspend: bool | None = None
    parallelism: int | None = None
    completions: int | None = None
    completionMode: str | None = None
    backoffLimit: int | None = None
    activeDeadlineSeconds: int | None = None
    ttlSecondsAfterFinished: int | None = None


class JobStatus(msgspec.Struct):
    conditions: list[Condition] | None = None
    startTime: str | None = None
    completionTime: str | None = None
    active: int | None = None
    failed: int | None = None
    succeeded: int | None = None


class Job(msgspec.Struct):
    metadata: Meta
    spec: JobSpec
    status: JobStatus = msgspec.field(default_factory=JobStatus)


class State(msgspec.Struct, gc=False):
    reason: str | None = None
    message: str | None = None
    exitCode: int | None = None
    signal: int | None = None
    startedAt: str | None = None
    finishedAt: str | None = None


class States(msgspec.Struct):
    waiting: State | None = None
    running: State | None = None
    terminated: State | None = None


class ContainerStatus(msgspec.Struct):
    name: str = ""
    image: str = ""
    restartCount: int = 0
    state: States | None = None


class PodStatus(msgspec.Struct):
    phase: str = ""
    reason: str | None = None
    message: str | None = None
    conditions: list[Condition] | None = None
    containerStatuses: list[ContainerStatus] | None = None
    initContainerStatuses: list[ContainerStatus] | None = None


class Pod(msgspec.Struct):
    metadata: Meta
    spec: PodSpec = msgspec.field(default_factory=PodSpec)
    status: PodStatus = msgspec.field(default_factory=PodStatus)


class Involved(msgspec.Struct, gc=False):
    fieldPath: str = ""


class Series(msgspec.Struct, gc=False):
    lastObservedTime: str | None = None


class Event(msgspec.Struct):
    """In the core group: one written in events.k8s.io has `eventTime` and `series` instead of the times."""

    reason: str = ""
    message: str = ""
    involvedObject: Involved = msgspec.field(default_factory=Involved)
    firstTimestamp: str | None = None
    lastTimestamp: str | None = None
    eventTime: str | None = None
    series: Series | None = None


class Bare(msgspec.Struct):
    metadata: dict[str, object] = msgspec.field(default_factory=dict)
