"""Objects that are not there, there twice, or not as they should be: codes and words of refusals."""

from devcluster.conformance import manifests
from devcluster.conformance.connection import JSON
from devcluster.conformance.manifests import NAME
from devcluster.conformance.scenario import scenario
from devcluster.conformance.scene import Scene


@scenario(
    {
        "get": '404 NotFound: jobs.batch "none" not found',
        "details": {"name": "none", "group": "batch", "kind": "jobs"},
        "fields": ["apiVersion", "code", "details", "kind", "message", "metadata", "reason", "status"],
        "patch": '404 NotFound: jobs.batch "none" not found',
        "put": '404 NotFound: jobs.batch "none" not found',
        "delete": '404 NotFound: jobs.batch "none" not found',
        "pod": '404 NotFound: pods "none" not found',
        "log": '404 NotFound: pods "none" not found',
    }
)
async def absent_objects(s: Scene) -> None:
    """What is not there is told as 404, by every verb."""
    reply = await s.get("jobs", "none")
    s.refused("get", reply)
    s.note("details", reply.object["details"])
    s.note("fields", manifests.fields(reply.object))
    s.refused("patch", await s.patch("jobs", "none", {"metadata": {"annotations": {"a": "b"}}}))
    s.refused("put", await s.put("jobs", "none", manifests.job(s.image) | {"metadata": {"name": "none"}}))
    s.refused("delete", await s.delete("jobs", "none"))
    s.refused("pod", await s.get("pods", "none"))
    s.refused("log", await s.log("none"))


@scenario(
    {
        "resource": "404 NotFound: the server could not find the requested resource",
        "group": "404 '404 page not found\\n'",
        "group version": "404 '404 page not found\\n'",
        "path": "404 '404 page not found\\n'",
        "post to an object": (
            "405 MethodNotAllowed: the server does not allow this method on the requested resource"
        ),
        "delete of a log": (
            "405 MethodNotAllowed: the server does not allow this method on the requested resource"
        ),
    }
)
async def unknown_addresses(s: Scene) -> None:
    """Paths and methods that nothing is served at."""
    s.refused("resource", await s.get("nonsense"))
    s.refused("group", await s.call("GET", "/apis/none.example/v1/things"))
    s.refused("group version", await s.call("GET", "/apis/none.example/v1"))
    s.refused("path", await s.call("GET", "/nonsense"))
    s.refused("post to an object", await s.call("POST", s.path("jobs", NAME), manifests.job(s.image)))
    s.refused("delete of a log", await s.call("DELETE", s.path("pods", NAME, "log")))


@scenario(
    {
        "again": '409 AlreadyExists: jobs.batch "it" already exists',
        "details": {"name": "it", "group": "batch", "kind": "jobs"},
        "generated name": ["some-", 10],
        "without a name": (
            '422 Invalid: ConfigMap "" is invalid: metadata.name: Required '
            "value: name or generateName is required"
        ),
    }
)
async def created_twice(s: Scene) -> None:
    """A second create of a name is refused."""
    await s.create("jobs", manifests.job(s.image, suspend=True))
    reply = await s.post("jobs", manifests.job(s.image, suspend=True))
    s.refused("again", reply)
    s.note("details", reply.object["details"])
    body = manifests.plain("ConfigMap") | {"metadata": {"generateName": "some-"}}
    name = (await s.create("configmaps", body))["metadata"]["name"]
    s.note("generated name", [name[:5], len(name)])
    s.refused("without a name", await s.post("configmaps", manifests.plain("ConfigMap") | {"metadata": {}}))


@scenario(
    {
        "create": '404 NotFound: namespaces "conf-none" not found',
        "list": [200, []],
        "another namespace than the path's": (
            "400 BadRequest: the namespace of the provided "
            "object does not match the namespace sent on "
            "the request"
        ),
    }
)
async def absent_namespace(s: Scene) -> None:
    """Lists of a namespace that is not there are empty; nothing can be created in it."""
    path = "/apis/batch/v1/namespaces/conf-none/jobs"
    s.refused("create", await s.call("POST", path, manifests.job(s.image)))
    reply = await s.call("GET", path)
    s.note("list", [reply.status, reply.object.get("items")])
    other = manifests.job(s.image) | {"metadata": {"name": NAME, "namespace": "default"}}
    s.refused("another namespace than the path's", await s.post("jobs", other))


@scenario(
    {
        "no JSON": (
            "400 BadRequest: the object provided is unrecognized (must be of type "
            "Job): couldn't get version/kind"
        ),
        "an array": (
            "400 BadRequest: the object provided is unrecognized (must be of type "
            "Job): couldn't get version/kind"
        ),
        "another kind": (
            '400 BadRequest: ConfigMap in version "v1" cannot be handled as a '
            "Job: converting (v1.ConfigMap) to (batch.Job): unknown conversion"
        ),
        "text": (
            "415 UnsupportedMediaType: the body of the request was in an unknown format "
            "- accepted media types include: application/json, application/yaml, "
            "application/vnd.kubernetes.protobuf"
        ),
        "patch without a type": "415 UnsupportedMediaType: 415: Unsupported Media Type",
        "an array as merge patch": (
            "400 BadRequest: error decoding patch: json: cannot "
            "unmarshal array into Go value of type "
            "map[string]interface {}"
        ),
        "a number as annotation": '422 Invalid:  "" is invalid: patch',
        "an answer in HTML": (
            "406 NotAcceptable: 406: Not Acceptable\n\nAvailable "
            "representations: application/json, application/yaml, "
            "application/vnd.kubernetes.protobuf"
        ),
    }
)
async def bodies_that_are_none(s: Scene) -> None:
    """Bodies that cannot be read, and media types that are not known."""
    s.refused("no JSON", await s.call("POST", s.path("jobs"), b"{"), "; json parse error")
    s.refused("an array", await s.call("POST", s.path("jobs"), b"[]"), "; json parse error")
    s.refused("another kind", await s.post("jobs", manifests.plain("ConfigMap")))
    s.refused("text", await s.post("jobs", manifests.job(s.image), media="text/plain"))
    await s.create("configmaps", manifests.plain("ConfigMap"))
    s.refused("patch without a type", await s.patch("configmaps", NAME, {}, "application/json"))
    s.refused("an array as merge patch", await s.patch("configmaps", NAME, []))
    wrong = {"metadata": {"annotations": {"a": 1}}}
    s.refused("a number as annotation", await s.patch("configmaps", NAME, wrong), ": Invalid value")
    headers = {"Accept": "text/html"}
    s.refused("an answer in HTML", await s.call("GET", s.path("configmaps", NAME), headers=headers))


@scenario(
    {
        "name": (
            '422 Invalid: ConfigMap "No Good" is invalid: metadata.name: Invalid value: '
            '"No Good": a lowercase RFC 1123 subdomain must consist of lower case '
            "alphanumeric characters, '-' or '.', and must start and end with an "
            "alphanumeric character (e.g. 'example.com', regex used for validation is "
            "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        ),
        "label value": (
            '422 Invalid: ConfigMap "l" is invalid: metadata.labels: Invalid '
            'value: "no good": a valid label must be an empty string or consist '
            "of alphanumeric characters, '-', '_' or '.', and must start and end "
            "with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or "
            "'12345', regex used for validation is "
            "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
        ),
        "label key": (
            '422 Invalid: ConfigMap "l" is invalid: metadata.labels: Invalid value: '
            "\"no good\": name part must consist of alphanumeric characters, '-', "
            "'_' or '.', and must start and end with an alphanumeric character "
            "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
            "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
        ),
        "label long": (
            '422 Invalid: ConfigMap "l" is invalid: metadata.labels: Invalid '
            "value: "
            '"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx": '
            "must be no more than 63 bytes"
        ),
        "owner without a uid": (
            '422 Invalid: ConfigMap "o" is invalid: '
            'metadata.ownerReferences.uid: Invalid value: "": must not be '
            "empty"
        ),
    }
)
async def names_and_labels(s: Scene) -> None:
    """Names, labels and annotations are checked."""
    config = manifests.plain("ConfigMap")
    s.refused("name", await s.post("configmaps", config | {"metadata": {"name": "No Good"}}))
    for word, labels in (("value", {"a": "no good"}), ("key", {"no good": "a"}), ("long", {"a": "x" * 64})):
        s.refused(
            f"label {word}",
            await s.post("configmaps", config | {"metadata": {"name": "l", "labels": labels}}),
        )
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "c"}
    reply = await s.post("configmaps", config | {"metadata": {"name": "o", "ownerReferences": [owner]}})
    s.refused("owner without a uid", reply)


@scenario(
    {
        "just fits": "200 Job",
        "one too many": (
            '422 Invalid: Job.batch "it" is invalid: metadata.annotations: Too '
            "long: may not be more than 262144 bytes"
        ),
        "causes": ["metadata.annotations"],
    }
)
async def too_many_annotations(s: Scene) -> None:
    """All annotations of an object together have a limit."""
    await s.create("jobs", manifests.job(s.image, suspend=True))
    fits = {"metadata": {"annotations": {"a": "x" * (262144 - 1)}}}
    s.refused("just fits", await s.patch("jobs", NAME, fits))
    reply = await s.patch("jobs", NAME, {"metadata": {"annotations": {"a": "x" * 262144}}})
    s.refused("one too many", reply)
    s.note("causes", sorted({c["field"] for c in reply.object["details"]["causes"]}))


@scenario(
    {
        "config map": (
            '422 Invalid: ConfigMap "it" is invalid: []: Too long: may not be more than 1048576 bytes'
        ),
        "body": "413 RequestEntityTooLarge: Request entity too large: limit is 3145728",
        "object": "500 : etcdserver: request is too large",
    }
)
async def too_large(s: Scene) -> None:
    """Bodies and objects have limits."""
    body = manifests.plain("ConfigMap", data={"a": "x" * (1024 * 1024 + 1)})
    s.refused("config map", await s.post("configmaps", body))
    body = manifests.plain("ConfigMap", data={"a": "x" * (3 * 1024 * 1024)})
    s.refused("body", await s.post("configmaps", body))
    env = [{"name": "A", "value": "x" * (1600 * 1024)}]
    body = manifests.pod(s.image, containers=[manifests.container(s.image, env=env)])
    s.refused("object", await s.post("pods", body))


@scenario(
    {
        "parallelism": (
            '422 Invalid: Job.batch "it" is invalid: spec.parallelism: Invalid '
            "value: -1: must be greater than or equal to 0"
        ),
        "backoffLimit": (
            '422 Invalid: Job.batch "it" is invalid: spec.backoffLimit: Invalid '
            "value: -1: must be greater than or equal to 0"
        ),
        "deadline": (
            '422 Invalid: Job.batch "it" is invalid: spec.activeDeadlineSeconds: '
            "Invalid value: -1: must be greater than or equal to 0"
        ),
        "deadline of no seconds": "201 Job",
        "ttl": (
            '422 Invalid: Job.batch "it" is invalid: spec.ttlSecondsAfterFinished: '
            "Invalid value: -1: must be greater than or equal to 0"
        ),
        "template": (
            '422 Invalid: Job.batch "it" is invalid: [spec.template.spec.containers: '
            "Required value, spec.template.spec.restartPolicy: Required value: valid "
            'values: "OnFailure", "Never"]'
        ),
        "restart policy": (
            '422 Invalid: Job.batch "it" is invalid: '
            "spec.template.spec.restartPolicy: Required value: valid values: "
            '"OnFailure", "Never"'
        ),
        "no container": (
            '422 Invalid: Job.batch "it" is invalid: spec.template.spec.containers: Required value'
        ),
        "text for a number": (
            '400 BadRequest: Job in version "v1" cannot be handled as a '
            "Job: json: cannot unmarshal string into Go struct field "
            "JobSpec.spec.parallelism of type int32"
        ),
        "text for a flag": (
            '400 BadRequest: Job in version "v1" cannot be handled as a Job: '
            "json: cannot unmarshal string into Go struct field "
            "JobSpec.spec.suspend of type bool"
        ),
        "pod replacement": (
            '422 Invalid: Job.batch "it" is invalid: '
            'spec.podReplacementPolicy: Unsupported value: "Never": supported '
            'values: "Failed", "TerminatingOrFailed"'
        ),
    }
)
async def invalid_jobs(s: Scene) -> None:
    """What a Job must have, and may not."""
    cases: JSON = {
        "parallelism": {"parallelism": -1, "completions": 1},
        "backoffLimit": {"backoffLimit": -1},
        "deadline": {"activeDeadlineSeconds": -1},
        "deadline of no seconds": {"activeDeadlineSeconds": 0},
        "ttl": {"ttlSecondsAfterFinished": -1},
        "template": {"template": {}},
        "restart policy": {"template": {"spec": manifests.pod_spec(s.image, restartPolicy="Always")}},
        "no container": {"template": {"spec": manifests.pod_spec(s.image, containers=[])}},
        "text for a number": {"parallelism": "one", "completions": 1},
        "text for a flag": {"suspend": "yes"},
        "pod replacement": {"podReplacementPolicy": "Never"},
    }
    for name, fields in cases.items():
        s.refused(name, await s.post("jobs", manifests.job(s.image, **fields)))


@scenario(
    {
        "no container": '422 Invalid: Pod "it" is invalid: spec.containers: Required value',
        "name": (
            '422 Invalid: Pod "it" is invalid: spec.containers[0].name: Invalid value: '
            '"No": a lowercase RFC 1123 label must consist of lower case alphanumeric '
            "characters or '-', and must start and end with an alphanumeric character "
            "(e.g. 'my-name',  or '123-abc', regex used for validation is "
            "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
        ),
        "no image": '422 Invalid: Pod "it" is invalid: spec.containers[0].image: Required value',
        "two of a name": (
            '422 Invalid: Pod "it" is invalid: spec.containers[1].name: Duplicate value: "main"'
        ),
        "absent volume": (
            '422 Invalid: Pod "it" is invalid: spec.containers[0].volumeMounts[0].name: Not found: "v"'
        ),
        "volume of no kind": "201 Pod",
        "value and source": (
            '422 Invalid: Pod "it" is invalid: '
            'spec.containers[0].env[0].valueFrom: Invalid value: "": may not '
            "be specified when `value` is not empty"
        ),
        "command of numbers": (
            '400 BadRequest: Pod in version "v1" cannot be handled as a '
            "Pod: json: cannot unmarshal number into Go struct field "
            "Container.spec.containers.command of type string"
        ),
    }
)
async def invalid_pods(s: Scene) -> None:
    """What a Pod must have, and may not."""
    bare = manifests.container(s.image)
    field = {"valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    cases: JSON = {
        "no container": {"containers": []},
        "name": {"containers": [bare | {"name": "No"}]},
        "no image": {"containers": [bare | {"image": ""}]},
        "two of a name": {"containers": [bare, bare]},
        "absent volume": {"containers": [bare | {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}]},
        "volume of no kind": {"volumes": [{"name": "v"}]},
        "value and source": {"containers": [bare | {"env": [{"name": "A", "value": "b"} | field]}]},
        "command of numbers": {"containers": [bare | {"command": [1]}]},
    }
    for name, fields in cases.items():
        s.refused(name, await s.post("pods", manifests.pod(s.image, **fields)))


@scenario(
    {
        "strict": (
            '400 BadRequest: ConfigMap in version "v1" cannot be handled as a '
            'ConfigMap: strict decoding error: unknown field "nonsense"'
        ),
        "kept": False,
    }
)
async def unknown_fields(s: Scene) -> None:
    """Fields that no schema knows: dropped, or refused if asked for strictness."""
    body = manifests.plain("ConfigMap") | {"nonsense": 1}
    s.refused("strict", await s.post("configmaps", body, query={"fieldValidation": "Strict"}))
    reply = await s.post("configmaps", body | {"metadata": {"name": "other"}})
    s.note("kept", "nonsense" in s.must(reply))
