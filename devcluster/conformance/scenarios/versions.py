"""What a client reads to find its way: the version of the server, groups and resources."""

from devcluster.conformance.manifests import fields
from devcluster.conformance.scenario import scenario
from devcluster.conformance.scene import Scene


@scenario(
    {
        "/version": [
            200,
            "1",
            "36",
            [
                "buildDate",
                "compiler",
                "emulationMajor",
                "emulationMinor",
                "gitCommit",
                "gitTreeState",
                "gitVersion",
                "goVersion",
                "major",
                "minCompatibilityMajor",
                "minCompatibilityMinor",
                "minor",
                "platform",
            ],
        ],
        "/version/": [
            200,
            "1",
            "36",
            [
                "buildDate",
                "compiler",
                "emulationMajor",
                "emulationMinor",
                "gitCommit",
                "gitTreeState",
                "gitVersion",
                "goVersion",
                "major",
                "minCompatibilityMajor",
                "minCompatibilityMinor",
                "minor",
                "platform",
            ],
        ],
        "/healthz": [200, "ok"],
        "/readyz": [200, "ok"],
        "/livez": [200, "ok"],
    }
)
async def server_version(s: Scene) -> None:
    """The version, with and without the slash."""
    for path in ("/version", "/version/"):
        reply = await s.call("GET", path)
        s.note(path, [reply.status, reply.object["major"], reply.object["minor"], fields(reply.object)])
    for path in ("/healthz", "/readyz", "/livez"):
        reply = await s.call("GET", path)
        s.note(path, [reply.status, reply.body])


@scenario(
    {
        "core": [200, "APIVersions", ["v1"]],
        "groups": [
            200,
            "APIGroupList",
            {
                "batch": ["batch/v1"],
                "coordination.k8s.io": ["coordination.k8s.io/v1"],
                "events.k8s.io": ["events.k8s.io/v1"],
            },
        ],
        "/api/v1 pods": [
            "Pod",
            True,
            "pod",
            ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
            ["po"],
            ["all"],
        ],
        "/api/v1 pods/log": ["Pod", True, "", ["get"], None, None],
        "/api/v1 pods/status": ["Pod", True, "", ["get", "patch", "update"], None, None],
        "/api/v1 events": [
            "Event",
            True,
            "event",
            ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
            ["ev"],
            None,
        ],
        "/api/v1 configmaps": [
            "ConfigMap",
            True,
            "configmap",
            ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
            ["cm"],
            None,
        ],
        "/api/v1 secrets": [
            "Secret",
            True,
            "secret",
            ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
            None,
            None,
        ],
        "/apis/batch/v1 jobs": [
            "Job",
            True,
            "job",
            ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
            None,
            ["all"],
        ],
        "/apis/batch/v1 jobs/status": ["Job", True, "", ["get", "patch", "update"], None, None],
        "/apis/coordination.k8s.io/v1 leases": [
            "Lease",
            True,
            "lease",
            ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
            None,
            None,
        ],
        "/apis/events.k8s.io/v1 events": [
            "Event",
            True,
            "event",
            ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
            ["ev"],
            None,
        ],
    }
)
async def discovery(s: Scene) -> None:
    """The groups and resources that the program uses."""
    reply = await s.call("GET", "/api")
    s.note("core", [reply.status, reply.object["kind"], reply.object["versions"]])
    reply = await s.call("GET", "/apis")
    used = ("batch", "coordination.k8s.io", "events.k8s.io")
    groups = {g["name"]: [v["groupVersion"] for v in g["versions"]] for g in reply.object["groups"]}
    s.note("groups", [reply.status, reply.object["kind"], {name: groups[name] for name in used}])
    for path in ("/api/v1", "/apis/batch/v1", "/apis/coordination.k8s.io/v1", "/apis/events.k8s.io/v1"):
        reply = await s.call("GET", path)
        listed = {r["name"]: r for r in reply.object["resources"]}
        known = (
            "jobs",
            "jobs/status",
            "pods",
            "pods/log",
            "pods/status",
            "events",
            "leases",
            "configmaps",
            "secrets",
        )
        for name in known:
            if name in listed:
                r = listed[name]
                s.note(
                    f"{path} {name}",
                    [
                        r["kind"],
                        r["namespaced"],
                        r["singularName"],
                        sorted(r["verbs"]),
                        r.get("shortNames"),
                        r.get("categories"),
                    ],
                )
