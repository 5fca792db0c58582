"""What may change of what is there: fields that are fixed, leases, what is held while it is deleted."""

from devcluster.conformance import manifests
from devcluster.conformance.connection import JSON
from devcluster.conformance.manifests import NAME, version
from devcluster.conformance.scenario import scenario
from devcluster.conformance.scene import Scene


@scenario(
    {
        "completions": (
            '422 Invalid: Job.batch "it" is invalid: spec.completions: Invalid value: 2: field is immutable'
        ),
        "selector": (
            '422 Invalid: Job.batch "it" is invalid: [spec.selector: Invalid value: '
            '{"matchLabels":{"a":"b","batch.kubernetes.io/controller-uid":"{uid}"}}'
            ": `selector` not auto-generated, spec.template.metadata.labels: Invalid "
            "value: "
            '{"app":"it","batch.kubernetes.io/controller-uid":"{uid}","batch.kubern'
            'etes.io/job-name":"it","controller-uid":"{uid}","job-name":"it"}: '
            "`selector` does not match template `labels`, spec.selector: Invalid "
            "value: "
            '{"matchLabels":{"a":"b","batch.kubernetes.io/controller-uid":"{uid}"}}'
            ": field is immutable]"
        ),
        "completion mode": (
            '422 Invalid: Job.batch "it" is invalid: spec.completionMode: '
            'Invalid value: "Indexed": field is immutable'
        ),
        "name": ("400 BadRequest: the name of the object (other) does not match the name on the URL (it)"),
        "namespace": (
            "400 BadRequest: the namespace of the provided object does not match "
            "the namespace sent on the request"
        ),
        "time of creation": "200 Job",
        "template": [422, [["spec.template", "FieldValueInvalid", "field is immutable"]]],
        "parallelism": "200 Job",
        "activeDeadlineSeconds": "200 Job",
        "ttlSecondsAfterFinished": "200 Job",
        "backoffLimit": "200 Job",
        "generation rose by": 3,
    }
)
async def immutable_fields_of_jobs(s: Scene) -> None:
    """What of a Job can never be changed; one that is not suspended."""
    made = await s.create("jobs", manifests.job(s.image, parallelism=0, completions=1))
    template = {"template": {"metadata": {"labels": {"new": "label"}}}}
    cases = {
        "completions": {"spec": {"completions": 2}},
        "selector": {"spec": {"selector": {"matchLabels": {"a": "b"}}}},
        "completion mode": {"spec": {"completionMode": "Indexed"}},
        "name": {"metadata": {"name": "other"}},
        "namespace": {"metadata": {"namespace": "default"}},
        "time of creation": {"metadata": {"creationTimestamp": "2020-01-01T00:00:00Z"}},
    }
    for name, body in cases.items():
        s.refused(name, await s.patch("jobs", NAME, body))
    reply = await s.patch("jobs", NAME, {"spec": template})
    causes = reply.object["details"]["causes"]
    told = [[c["field"], c["reason"], c["message"].rpartition(": ")[2]] for c in causes]
    s.note("template", [reply.status, told])
    allowed = {"parallelism": 0, "activeDeadlineSeconds": 9, "ttlSecondsAfterFinished": 9, "backoffLimit": 3}
    for name, value in allowed.items():
        s.refused(name, await s.patch("jobs", NAME, {"spec": {name: value}}))
    now = await s.read("jobs", NAME)
    s.note("generation rose by", now["metadata"]["generation"] - made["metadata"]["generation"])


@scenario(
    {
        "pod": [422, [["spec", "Forbidden:"]]],
        "labels of a pod": "200 Pod",
        "config map": (
            '422 Invalid: ConfigMap "it" is invalid: data: Forbidden: field is '
            "immutable when `immutable` is set"
        ),
        "type of a secret": (
            '422 Invalid: Secret "it" is invalid: type: Invalid value: "other": field is immutable'
        ),
    }
)
async def immutable_fields_of_others(s: Scene) -> None:
    """Pods, Secrets and ConfigMaps that say so."""
    await s.create("pods", manifests.pod(s.image, nodeSelector={"no": "node"}))
    reply = await s.patch("pods", NAME, {"spec": {"restartPolicy": "Always"}})
    s.note(
        "pod",
        [
            reply.status,
            [
                [c["field"], c["message"].partition(" pod updates")[0]]
                for c in reply.object["details"]["causes"]
            ],
        ],
    )
    s.refused("labels of a pod", await s.patch("pods", NAME, {"metadata": {"labels": {"a": "b"}}}))
    await s.create("configmaps", manifests.plain("ConfigMap", data={"a": "b"}, immutable=True))
    s.refused("config map", await s.patch("configmaps", NAME, {"data": {"a": "c"}}))
    await s.create("secrets", manifests.plain("Secret", stringData={"a": "b"}))
    s.refused("type of a secret", await s.patch("secrets", NAME, {"type": "other"}))


@scenario(
    {
        "times": [True, 0],
        "create again": '409 AlreadyExists: leases.coordination.k8s.io "it" already exists',
        "put without a version": (
            '422 Invalid: leases.coordination.k8s.io "it" is invalid: '
            "metadata.resourceVersion: Invalid value: 0: must be "
            "specified for an update"
        ),
        "put": [200, True],
        "put of an old version": (
            "409 Conflict: Operation cannot be fulfilled on "
            'leases.coordination.k8s.io "it": the object has been '
            "modified; please apply your changes to the latest version "
            "and try again"
        ),
        "put of no duration": (
            '422 Invalid: Lease.coordination.k8s.io "it" is invalid: '
            "spec.leaseDurationSeconds: Invalid value: 0: must be greater "
            "than 0"
        ),
        "put of no time": (
            '400 BadRequest: Lease in version "v1" cannot be handled as a '
            'Lease: parsing time "yesterday" as "{time}07:00": cannot parse '
            '"yesterday" as "2006"'
        ),
        "put of a new one": "201 Lease",
    }
)
async def leases(s: Scene) -> None:
    """Leases: created once, replaced only from their newest version."""
    times = dict.fromkeys(("acquireTime", "renewTime"), "2026-01-01T00:00:00.000000Z")
    lease: JSON = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": NAME},
        "spec": {"holderIdentity": "a", "leaseDurationSeconds": 15, "leaseTransitions": 0} | times,
    }
    made = await s.create("leases", lease)
    s.note(
        "times", [made["spec"]["renewTime"] == lease["spec"]["renewTime"], made["spec"]["leaseTransitions"]]
    )
    s.refused("create again", await s.post("leases", lease))
    s.refused("put without a version", await s.put("leases", NAME, lease))
    renewed = await s.put("leases", NAME, made | {"spec": made["spec"] | {"holderIdentity": "b"}})
    s.note("put", [renewed.status, version(renewed.object) > version(made)])
    s.refused("put of an old version", await s.put("leases", NAME, made))
    bad = renewed.object | {"spec": {"leaseDurationSeconds": 0}}
    s.refused("put of no duration", await s.put("leases", NAME, bad))
    wrong = renewed.object | {"spec": {"renewTime": "yesterday"}}
    s.refused("put of no time", await s.put("leases", NAME, wrong))
    fresh = lease | {"metadata": {"name": "fresh"}}
    s.refused("put of a new one", await s.put("leases", "fresh", fresh))


@scenario(
    {
        "delete": [200, "ConfigMap", True, 0],
        "delete again": "200 ConfigMap",
        "one more": (
            '422 Invalid: ConfigMap "it" is invalid: metadata.finalizers: Forbidden: '
            "no new finalizers can be added if the object is being deleted, found "
            'new finalizers []string{"example.com/more"}'
        ),
        "released": [200, "ConfigMap", False],
        "events": ["ADDED", "MODIFIED", "DELETED"],
        "last state": [True, True],
        "get": '404 NotFound: configmaps "it" not found',
        "delete of what nothing holds": [
            200,
            "Status",
            "Success",
            {"name": "free", "kind": "configmaps", "uid": "{uid}"},
        ],
    }
)
async def finalizers(s: Scene) -> None:
    """What is held by a finalizer goes when that goes."""
    held = manifests.plain("ConfigMap") | {"metadata": {"name": NAME, "finalizers": ["example.com/hold"]}}
    await s.create("configmaps", held)
    async with s.watch("configmaps", fieldSelector=f"metadata.name={NAME}") as seen:
        reply = await s.delete("configmaps", NAME)
        meta = reply.object["metadata"]
        s.note(
            "delete",
            [
                reply.status,
                reply.object["kind"],
                "deletionTimestamp" in meta,
                meta.get("deletionGracePeriodSeconds"),
            ],
        )
        s.refused("delete again", await s.delete("configmaps", NAME))
        more = {"metadata": {"finalizers": ["example.com/hold", "example.com/more"]}}
        s.refused("one more", await s.patch("configmaps", NAME, more))
        reply = await s.patch("configmaps", NAME, {"metadata": {"finalizers": None}})
        s.note("released", [reply.status, reply.object["kind"], "finalizers" in reply.object["metadata"]])
        last = await seen.until_gone()
        s.note("events", [event["type"] for event in seen.seen])
        s.note("last state", ["deletionTimestamp" in last["metadata"], "finalizers" in last["metadata"]])
    s.refused("get", await s.get("configmaps", NAME))
    await s.create("configmaps", manifests.plain("ConfigMap", "free"))
    reply = await s.delete("configmaps", "free")
    s.note(
        "delete of what nothing holds",
        [reply.status, reply.object["kind"], reply.object.get("status"), reply.object.get("details")],
    )
