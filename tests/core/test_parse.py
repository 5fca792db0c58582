import json

import pytest

from controller.core.contract import JOB_UID_LABEL, KUEUE_QUEUE_LABEL, Phase, Status
from controller.core.model import Job, Pod, RunState, Slot, Unreadable
from controller.core.parse import Parser
from tests.core.builders import KEYS, at, job_json, pod_json, raw, stamp, uid_of

PARSER = Parser(KEYS)


def job_of(**changes):
    return PARSER.job(raw(job_json(**changes)))


def pod_of(**changes):
    return PARSER.pod(raw(pod_json(**changes)))


def noted(**annotations):
    return job_of(annotations={getattr(KEYS, name): value for name, value in annotations.items()})


def test_a_healthy_job_is_read_without_oddities():
    job = job_of(status={"startTime": stamp(3), "failed": 1})
    assert job.slot == Slot("agents", "a-1", "claude_k8s")
    assert (job.uid, job.version, job.created_at) == (uid_of("run-1"), "7", at(0))
    assert (job.suspended, job.parallelism, job.completions, job.backoff_limit) == (True, 1, 1, 0)
    assert (job.started_at, job.failed, job.phase, job.oddities) == (at(3), 1, None, ())
    assert job.template_labels == ((KEYS.run_id, "r-run-1"),)
    assert [spec.name for spec in job.specs] == ["claude"]


def test_what_a_job_does_not_say_is_what_kubernetes_would_default_to():
    bare = job_json()
    bare["spec"] = {}
    job = PARSER.job(raw(bare))
    assert (job.suspended, job.parallelism, job.completions, job.backoff_limit) == (False, 1, None, 6)


@pytest.mark.parametrize(
    ("label", "annotation", "best", "odd"),
    [
        pytest.param("r-1", None, "r-1", False, id="no raw id: the label"),
        pytest.param("r1", "r/1", "r/1", False, id="a raw id that sanitises to its label"),
        pytest.param("r-1", "other", "r-1", True, id="a raw id of something else is ignored"),
        pytest.param("x" * 63, "x" * 257, "x" * 63, True, id="a raw id that is too long is ignored"),
        pytest.param("x" * 63, "x" * 256, "x" * 256, False, id="256 characters are allowed"),
        pytest.param(None, "r-1", "", True, id="a raw id without a label is no id"),
    ],
)
def test_raw_ids(label, annotation, best, odd):
    annotations = {} if annotation is None else {KEYS.run_id: annotation}
    job = job_of(labels={KEYS.run_id: label}, annotations=annotations)
    assert job.ids.best("run") == best
    assert [o.where for o in job.oddities] == ([KEYS.run_id] if odd else [])


@pytest.mark.parametrize("name", ["agent_id", "task_id", "session_id", "company_id", "adapter_type"])
def test_every_id_has_its_raw_annotation(name):
    key = getattr(KEYS, name)
    job = job_of(labels={key: "ab"}, annotations={key: "a/b"})
    assert [value for _, value in job.ids.raw] == ["a/b"]


@pytest.mark.parametrize(
    ("annotation", "value", "attribute", "want"),
    [
        pytest.param("on_conflict", "explode", "on_conflict", "", id="on-conflict is queue or fail"),
        pytest.param("reattach", "yes", "reattach", False, id="reattach is true or false"),
        pytest.param("retain", "1", "retain", False, id="retain is true or false"),
        pytest.param("output", "xml", "output", "text", id="an unknown output is text"),
        pytest.param("traceparent", "00-0-0-00", "traceparent", "", id="a traceparent is W3C's"),
    ],
)
def test_a_malformed_annotation_is_ignored_and_told(annotation, value, attribute, want):
    job = noted(**{annotation: value})
    assert getattr(job.wishes, attribute) == want
    assert [odd.where for odd in job.oddities] == [getattr(KEYS, annotation)]


@pytest.mark.parametrize(
    ("annotation", "value", "attribute", "want"),
    [
        pytest.param("on_conflict", "fail", "on_conflict", "fail", id="on-conflict"),
        pytest.param("reattach", "true", "reattach", True, id="reattach"),
        pytest.param("retain", "true", "retain", True, id="retain"),
        pytest.param("retain", "false", "retain", False, id="retain: false"),
        pytest.param("acknowledged", "2026", "acknowledged", True, id="acknowledged by any word"),
        pytest.param("acknowledged", "", "acknowledged", False, id="an empty acknowledgement is none"),
        pytest.param("agent_name", "Ann\n", "agent_name", "Ann", id="a name on one line"),
        pytest.param("agent_container", "main", "agent_container", "main", id="the agent's container"),
        pytest.param("cancel_requested", "why not", "cancel_requested", "why not", id="a cancel's reason"),
        pytest.param("output", "text", "output", "text", id="output"),
        pytest.param(
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            id="traceparent",
        ),
    ],
)
def test_a_wish_is_heard(annotation, value, attribute, want):
    job = noted(**{annotation: value})
    assert (getattr(job.wishes, attribute), job.oddities) == (want, ())


@pytest.mark.parametrize(
    ("adapter", "want"),
    [
        ("claude_k8s", "claude-stream-json"),
        ("opencode_k8s", "opencode-json"),
        ("other_k8s", "text"),
        (None, "text"),
    ],
)
def test_the_output_follows_the_adapter_type(adapter, want):
    assert job_of(labels={KEYS.adapter_type: adapter}).wishes.output == want


def test_our_own_annotations_are_kept_without_the_body_of_the_result():
    own = {KEYS.status(Status.PHASE): "Running", KEYS.status(Status.RESULT): "x" * 9000, "foreign/x": "y"}
    job = job_of(annotations=own)
    assert (job.phase, dict(job.status)) == ("Running", {"phase": "Running", "result": "…"})


def test_a_phase_that_nobody_knows_is_told_and_read_as_none():
    job = job_of(annotations={KEYS.status(Status.PHASE): "Sleeping"})
    assert job.phase is None
    assert [odd.where for odd in job.oddities] == [KEYS.status(Status.PHASE)]


def test_a_kueue_job_is_known_by_its_label():
    assert job_of(labels={KUEUE_QUEUE_LABEL: "gpus"}).external_queue == "gpus"


@pytest.mark.parametrize(
    ("changes", "want"),
    [
        pytest.param({}, uid_of("run-1"), id="the controlling Job owns it"),
        pytest.param({"ownerReferences": []}, uid_of("run-1"), id="else its label says whose it is"),
        pytest.param(
            {"ownerReferences": [{"kind": "Job", "uid": "other"}]}, uid_of("run-1"), id="not the controller"
        ),
        pytest.param(
            {"ownerReferences": [{"kind": "ReplicaSet", "uid": "x", "controller": True}]},
            uid_of("run-1"),
            id="not a Job",
        ),
        pytest.param({"ownerReferences": None, "labels": {JOB_UID_LABEL: ""}}, "", id="nobody's"),
    ],
)
def test_whose_a_pod_is(changes, want):
    assert pod_of(**changes).job_uid == want


@pytest.mark.parametrize(
    ("state", "want"),
    [
        pytest.param({}, RunState.UNKNOWN, id="no state is unknown, not gone"),
        pytest.param({"waiting": {"reason": "x"}}, RunState.WAITING, id="waiting"),
        pytest.param({"running": {"startedAt": stamp(1)}}, RunState.RUNNING, id="running"),
        pytest.param({"terminated": {"exitCode": 0}}, RunState.TERMINATED, id="terminated"),
        pytest.param({"terminated": {"exitCode": 1}, "running": {}}, RunState.TERMINATED, id="an end wins"),
        pytest.param({"running": {"startedAt": "noon"}}, RunState.RUNNING, id="an odd time is no time"),
    ],
)
def test_container_states(state, want):
    status = {"phase": "Running", "containerStatuses": [{"name": "claude", "state": state}]}
    (container,) = pod_of(status=status).containers
    assert container.state is want


def test_native_sidecars_are_init_containers_that_keep_running():
    spec = {"initContainers": [{"name": "mesh", "restartPolicy": "Always"}, {"name": "setup"}]}
    assert [(s.name, s.init, s.sidecar) for s in pod_of(spec=spec).specs] == [
        ("mesh", True, True),
        ("setup", True, False),
        ("claude", False, False),
    ]


@pytest.mark.parametrize("read", [PARSER.job, PARSER.pod], ids=["job", "pod"])
@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{}", id="no metadata"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"nonsense", id="no JSON"),
        pytest.param(b'{"metadata":{"name":1,"uid":"u"}}', id="a number for a name"),
        pytest.param(b'{"metadata":{"name":"\xff\xfe","uid":"u"}}', id="invalid UTF-8"),
        pytest.param(b'{"metadata":{"name":"\\ud800","uid":"u"}}', id="a lone surrogate"),
        pytest.param(b'{"metadata":' + b"[" * 100_000, id="deep nesting"),
        pytest.param(b'{"metadata":{"labels":[]}}', id="labels that are a list"),
        pytest.param(b'{"metadata":{"name":null,"uid":null}}', id="nulls"),
    ],
)
def test_what_cannot_be_read_is_a_value(read, text):
    assert isinstance(read(text), Unreadable)


def test_what_cannot_be_read_is_named_as_far_as_it_says():
    broken = job_json(spec={"parallelism": "many"})
    found = PARSER.job(raw(broken))
    assert isinstance(found, Unreadable)
    assert (found.kind, found.namespace, found.name, found.uid) == ("Job", "agents", "run-1", uid_of("run-1"))


def test_a_name_that_is_no_text_is_no_name():
    assert PARSER.job(b'{"metadata":{"name":null,"uid":7}}').name == ""


def test_unknown_fields_of_newer_servers_are_skipped():
    job, pod = job_json(spec={"newField": {"a": [1]}}), pod_json(spec={"newField": 7})
    assert isinstance(PARSER.job(json.dumps(job).encode()), Job)
    assert isinstance(PARSER.pod(json.dumps(pod).encode()), Pod)


OTHER = "11111111-1111-4111-8111-111111111111"


def with_status(trace_id, since, **more):
    own = {"phase": "Succeeded", "result": "{}", "trace-id": trace_id, "since": since, **more}
    return PARSER.job(raw(job_json(annotations={KEYS.status(name): value for name, value in own.items()})))


def test_status_that_came_with_a_copied_manifest_is_ignored_and_named():
    job = with_status(OTHER.replace("-", ""), "2001-01-01T00:00:00Z")
    assert (job.phase, dict(job.status)) == (None, {})
    assert job.leftovers == ("phase", "result", "since", "trace-id")
    assert [odd.where for odd in job.oddities] == [KEYS.status("trace-id")]


@pytest.mark.parametrize(
    ("trace_id", "since"),
    [
        pytest.param(uid_of("run-1").replace("-", ""), "2001-01-01T00:00:00Z", id="its trace is this Job's"),
        pytest.param(OTHER.replace("-", ""), "2999-01-01T00:00:00Z", id="it is younger than the Job"),
        pytest.param(OTHER.replace("-", ""), "soon", id="nobody knows when it was written"),
    ],
)
def test_status_that_may_be_this_jobs_own_is_believed(trace_id, since):
    job = with_status(trace_id, since)
    assert (job.phase, job.leftovers) == (Phase.SUCCEEDED, ())


def test_the_text_of_a_result_can_be_had_where_it_is_needed():
    job = job_json(annotations={KEYS.status("result"): '{"runId":"r-1"}'})
    assert PARSER.result(raw(job)) == '{"runId":"r-1"}'
    assert PARSER.job(raw(job)).status["result"] == "…"
    assert PARSER.result(raw(job_json())) == ""
    assert PARSER.result(b"{") == ""
