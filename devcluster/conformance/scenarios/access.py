"""Who may do what: accounts without rights, strangers, and the question what is allowed."""

from devcluster.conformance.scenario import scenario
from devcluster.conformance.scene import Scene


@scenario(
    {
        "get": (
            '403 Forbidden: jobs.batch "none" is forbidden: User '
            '"system:serviceaccount:{namespace}:default" cannot get resource "jobs" in '
            'API group "batch" in the namespace "{namespace}"'
        ),
        "details": {"name": "none", "group": "batch", "kind": "jobs"},
        "list": (
            "403 Forbidden: jobs.batch is forbidden: User "
            '"system:serviceaccount:{namespace}:default" cannot list resource "jobs" in '
            'API group "batch" in the namespace "{namespace}"'
        ),
        "watch": (
            "403 Forbidden: jobs.batch is forbidden: User "
            '"system:serviceaccount:{namespace}:default" cannot watch resource "jobs" '
            'in API group "batch" in the namespace "{namespace}"'
        ),
        "patch": (
            '403 Forbidden: jobs.batch "none" is forbidden: User '
            '"system:serviceaccount:{namespace}:default" cannot patch resource "jobs" '
            'in API group "batch" in the namespace "{namespace}"'
        ),
        "log": (
            '403 Forbidden: pods "none" is forbidden: User '
            '"system:serviceaccount:{namespace}:default" cannot get resource "pods/log" '
            'in API group "" in the namespace "{namespace}"'
        ),
        "version": "200 an object",
    }
)
async def account_without_rights(s: Scene) -> None:
    """A service account that no role names is refused everything, with 403."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    path = s.path("serviceaccounts", "default", "token")
    token = s.must(await s.call("POST", path, body))["status"]["token"]
    headers = {"Authorization": f"Bearer {token}"}
    reply = await s.call("GET", s.path("jobs", "none"), headers=headers)
    s.refused("get", reply)
    s.note("details", reply.object["details"])
    s.refused("list", await s.call("GET", s.path("jobs"), headers=headers))
    s.refused("watch", await s.call("GET", s.path("jobs"), headers=headers, query={"watch": "true"}))
    patch = {"media": "application/merge-patch+json", "headers": headers}
    s.refused("patch", await s.call("PATCH", s.path("jobs", "none"), {}, **patch))
    s.refused("log", await s.call("GET", s.path("pods", "none", "log"), headers=headers))
    s.refused("version", await s.call("GET", "/version", headers=headers))


@scenario(
    {
        "get": "401 Unauthorized: Unauthorized",
    }
)
async def stranger(s: Scene) -> None:
    """A token that nobody gave is refused with 401."""
    s.refused("get", await s.call("GET", s.path("jobs"), headers={"Authorization": "Bearer nonsense"}))


@scenario(
    {
        "review": [201, True],
    }
)
async def question_of_rights(s: Scene) -> None:
    """One may ask what one may do."""
    attributes = {"namespace": s.namespace, "verb": "patch", "group": "batch", "resource": "jobs"}
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    reply = await s.call("POST", path, body)
    s.note("review", [reply.status, s.must(reply)["status"]["allowed"]])
