"""A tenant, and what guards runs against it: the chart's account, roles and policies, without a controller.

Owns: two namespaces (the runs' and the release's), what of the chart is installed there, and one connection
for each account. The label domain is the stage's own, so that no controller of the cluster acts on its Jobs,
and no scheduler takes their pods: what happens to them is done by the tests, or by Kubernetes' controllers.
Never: judges what came of a call.
"""

import json
import secrets
import subprocess
import time

from devcluster import programs
from e2e.apiserver import MERGE, ApiServer, Refused, path
from e2e.installation import CHART

SECONDS = 30.0
LOOK_EVERY_SECONDS = 0.1
JSON = "application/json"
BY_POLICY = "ValidatingAdmissionPolicy"
TEMPLATES = ("policy-jobs", "policy-secrets", "policy-configmaps", "rbac", "serviceaccount")
ROLES = "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/{}"
EVERYTHING_OF_RUNS = [
    {"apiGroups": ["batch"], "resources": ["jobs", "jobs/status"], "verbs": ["*"]},
    {"apiGroups": [""], "resources": ["pods", "pods/status", "pods/log", "secrets"], "verbs": ["*"]},
]
IDS = ("agent-id", "run-id", "adapter-type", "company-id", "task-id", "session-id")


class PolicyStage:
    """`with PolicyStage(kubeconfig, folder) as stage:`; `policy` changes the chart's values of that name."""

    def __init__(self, kubeconfig, folder, *, namespaced=False, **policy):
        self.namespace = f"policy-{secrets.token_hex(3)}"
        self.system = f"{self.namespace}-system"
        self.domain = f"{self.namespace}.example.org"
        self.release = "runherd"
        self.admin = ApiServer(kubeconfig)
        self._kubeconfig = kubeconfig
        self._folder = folder
        self._namespaced = namespaced
        self._policy = policy
        self._clients = [self.admin]

    def __enter__(self):
        try:
            self._open()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _open(self):
        for name in (self.namespace, self.system):
            self.admin.create("namespaces", "", {"metadata": {"name": name}})
        self._kubectl("apply", "-f", "-", given=self.rendered())
        self.controller = self.client(self.system, self.release)
        self.tenant = self.account("tenant", EVERYTHING_OF_RUNS)
        self.until(self._is_guarded)

    def __exit__(self, *_):
        """Removes everything. Namespaces go on to end by themselves."""
        for client in self._clients[1:]:
            client.close()
        self._kubectl("delete", "--ignore-not-found", "--wait=false", "-f", "-", given=self.rendered())
        for name in (self.namespace, self.system):
            self.admin.delete("namespaces", "", name)
        self.admin.close()

    def rendered(self):
        """What of the chart is installed."""
        own = {
            "fullnameOverride": self.release,
            "config": {"labelDomain": self.domain},
            "policy": {"admitters": [self.name_of("queue")]} | self._policy,
            "watchNamespaces": [self.namespace] if self._namespaced else [],
            "ownSecrets": True,
        }
        command = [programs.path("helm"), "template", self.release, CHART, "-n", self.system, "-f", "-"]
        for template in TEMPLATES:
            command += ["-s", f"templates/{template}.yaml"]
        return subprocess.run(
            command, input=json.dumps(own), stdout=subprocess.PIPE, text=True, check=True
        ).stdout

    # Accounts

    def name_of(self, account):
        """An account's user name."""
        return f"system:serviceaccount:{self.namespace}:{account}"

    def account(self, name, rules=()):
        """A new account of the runs' namespace that may do this there; a connection of its own."""
        self.admin.create("serviceaccounts", self.namespace, {"metadata": {"name": name}})
        self.allow(name, rules, self.namespace)
        return self.client(self.namespace, name)

    def allow(self, account, rules, namespace):
        """An account of the runs' namespace may do this in that namespace."""
        subject = {"kind": "ServiceAccount", "name": account, "namespace": self.namespace}
        named = {"metadata": {"name": account}}
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": account}
        self.admin.call("POST", ROLES.format(namespace, "roles"), named | {"rules": rules})
        binding = named | {"roleRef": reference, "subjects": [subject]}
        self.admin.call("POST", ROLES.format(namespace, "rolebindings"), binding)

    def client(self, namespace, account):
        """A connection as this account, by a token of its own; its kubeconfig is `client.kubeconfig`."""
        asked = {"metadata": {"name": account}, "spec": {}}
        token = self.admin.create("serviceaccounts", namespace, asked, "token")["status"]["token"]
        config = json.loads(self._kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json"))
        config["users"][0]["user"] = {"token": token}
        file = self._folder / f"{namespace}-{account}.kubeconfig"
        file.write_text(json.dumps(config))
        self._clients.append(ApiServer(file))
        return self._clients[-1]

    # Keys and runs

    def key(self, name):
        return f"{self.domain}/{name}"

    def status(self, name):
        return f"status.{self.domain}/{name}"

    def in_domain(self, body):
        """A body, or text, that says DOMAIN where the stage's is meant."""
        return json.loads(json.dumps(body).replace("DOMAIN", self.domain))

    def run(self, name, **spec):
        """A Job as a host submits it, with all its ids as labels and raw."""
        ids = {self.key(each): f"{name}-{each}" for each in IDS if each != "session-id"}
        pod = {
            "restartPolicy": "Never",
            "schedulerName": "nobody",
            "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "claude", "image": "busybox:1.36"}],
        }
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name, "labels": dict(ids), "annotations": dict(ids)},
            "spec": {
                "suspend": True,
                "backoffLimit": 0,
                "template": {"metadata": {"labels": ids}, "spec": pod},
            }
            | spec,
        }

    def submit(self, name, **spec):
        """A run of the tenant. If it waits: returned when the Job controller has nothing to say any more."""
        made = self.tenant.create("jobs", self.namespace, self.run(name, **spec))
        if made["spec"]["suspend"]:
            self.until(lambda: self.has_condition(name, "Suspended"))
        return self.job(name)

    def note(self, name, **notes):
        """The controller says something about a run."""
        body = {"metadata": {"annotations": {self.status(key): value for key, value in notes.items()}}}
        return self.controller.patch("jobs", self.namespace, name, body)

    def job(self, name):
        """None if there is none."""
        return self.admin.get("jobs", self.namespace, name)

    def pods(self, job):
        selector = f"batch.kubernetes.io/job-name={job}"
        return self.admin.list("pods", self.namespace, labelSelector=selector)

    def has_condition(self, name, wanted):
        conditions = self.job(name)["status"].get("conditions", ())
        return any(found["type"] == wanted and found["status"] == "True" for found in conditions)

    def talk(self, name, script):
        """A run with a real container, if there is a node for it; the name of its pod, which has started."""
        job = self.run(name, suspend=False)
        job["spec"]["template"]["spec"]["schedulerName"] = "default-scheduler"
        job["spec"]["template"]["spec"]["containers"][0]["command"] = ["sh", "-c", script]
        self.admin.create("jobs", self.namespace, job)
        (pod,) = self.until(lambda: [pod for pod in self.pods(name) if pod["status"]["phase"] == "Running"])
        return pod["metadata"]["name"]

    def finish(self, name):
        """Ends a running run's pod well, as a kubelet would."""
        (pod,) = self.until(lambda: self.pods(name))
        body = {"status": {"phase": "Succeeded"}}
        self.admin.patch("pods", self.namespace, pod["metadata"]["name"], body, "status")

    def refusal(self, client, method, where, body):
        """Why this would be refused; empty if it would not."""
        try:
            client.call(method, where, body, MERGE if method == "PATCH" else JSON, dryRun="All")
        except Refused as refused:
            return refused.message
        return ""

    # Waiting

    def until(self, look, seconds=SECONDS):
        """The first truthy thing that `look` returns; asked ten times a second. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while not (found := look()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"not in {seconds:.0f} s")
            time.sleep(LOOK_EVERY_SECONDS)
        return found

    def _is_guarded(self):
        """The policies are in force, and the roles too: asked for without doing anything."""
        forged = self.run("probe")
        forged["metadata"]["annotations"][self.status("phase")] = "Succeeded"
        secret = self._probe_secret()
        return (
            BY_POLICY in self.refusal(self.tenant, "POST", path("jobs", self.namespace), forged)
            and BY_POLICY in self.refusal(self.controller, "PATCH", secret, {"data": {"a": "Yg=="}})
            and not self.refusal(self.controller, "PATCH", secret, {})
        )

    def _probe_secret(self):
        if self.admin.get("secrets", self.namespace, "probe") is None:
            self.admin.create("secrets", self.namespace, {"metadata": {"name": "probe"}})
        return path("secrets", self.namespace, "probe")

    def _kubectl(self, *arguments, given=""):
        command = [programs.path("kubectl"), "--kubeconfig", self._kubeconfig, *arguments]
        return subprocess.run(command, input=given, stdout=subprocess.PIPE, text=True, check=True).stdout
