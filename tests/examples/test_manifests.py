import json
import subprocess

import pytest

from controller.core.contract import OUTPUT_BY_ADAPTER, Keys, sanitise
from examples.demo import host, submit
from examples.demo.outcome import EXPECTED
from examples.demo.submit import ROOT, RUNS, Round

KEYS = Keys()
ALL = submit.manifests()
NEEDED = (KEYS.agent_id, KEYS.run_id, KEYS.adapter_type)
WITH_AGENT = [
    name for name, job in ALL.items() if "command" in job["spec"]["template"]["spec"]["containers"][0]
]

each_run = pytest.mark.parametrize("job", ALL.values(), ids=ALL.keys())


def pod_of(job):
    return job["spec"]["template"]["spec"]


def script_of(name):
    return pod_of(ALL[name])["containers"][0]["command"]


@each_run
def test_job_and_template_carry_the_same_labels(job):
    labels = job["metadata"]["labels"]
    assert labels == job["spec"]["template"]["metadata"]["labels"]
    assert all(sanitise(labels[key]) == labels[key] != "" for key in NEEDED)


@each_run
def test_the_run_id_is_also_there_as_it_was(job):
    assert sanitise(job["metadata"]["annotations"][KEYS.run_id]) == job["metadata"]["labels"][KEYS.run_id]


@each_run
def test_a_host_writes_no_key_of_the_controller(job):
    assert not any(key.startswith(KEYS.status_prefix) for key in job["metadata"]["annotations"])


@each_run
def test_a_run_is_one_attempt_in_the_agents_container(job):
    assert job["spec"]["backoffLimit"] == 0
    assert pod_of(job)["restartPolicy"] == "Never"
    adapter = job["metadata"]["labels"][KEYS.adapter_type]
    assert adapter in OUTPUT_BY_ADAPTER
    assert [container["name"] for container in pod_of(job)["containers"]] == [adapter.removesuffix("_k8s")]


def test_all_but_one_are_submitted_suspended():
    assert [name for name, job in ALL.items() if not job["spec"].get("suspend")] == ["03-submitted-running"]


def test_names_are_the_files_names_and_run_ids_differ():
    assert list(ALL) == [path.stem for path in sorted(RUNS.glob("*.yaml"))]
    assert len({job["metadata"]["labels"][KEYS.run_id] for job in ALL.values()}) == len(ALL)


def test_every_run_has_an_expected_outcome_and_waits_for_one_of_its_own_agent():
    assert set(EXPECTED) == set(ALL)
    for name, want in EXPECTED.items():
        if want.after:
            agents = {ALL[run]["metadata"]["labels"][KEYS.agent_id] for run in (name, want.after)}
            assert len(agents) == 1
            assert want.after < name


def test_what_the_host_does_later_it_does_to_runs_of_one_agent_that_there_are():
    for name, other in host.LATER.items():
        agents = {ALL[run]["metadata"]["labels"][KEYS.agent_id] for run in (name, other)}
        assert len(agents) == 1
        assert other not in host.LATER
    assert set(host.CANCELLED) <= set(ALL)


@each_run
def test_the_file_says_how_the_run_ends(job):
    name = job["metadata"]["name"]
    want = EXPECTED[name]
    assert f"{want.phase}/{want.reason}" in (RUNS / f"{name}.yaml").read_text().partition("apiVersion")[0]


@pytest.mark.parametrize("name", WITH_AGENT)
def test_every_transcript_that_a_run_names_is_in_the_configmap(name):
    reference = pod_of(ALL[name])["containers"][0]["env"][0]["valueFrom"]["configMapKeyRef"]
    assert reference["name"] == submit.CONFIGMAP
    assert reference["key"] in submit.transcripts(Round())["data"]


@pytest.mark.parametrize("name", WITH_AGENT)
def test_kubernetes_leaves_the_script_as_it_is(name):
    script = script_of(name)[2].replace("$$`.", "")  # in a comment
    assert "$(" not in script
    assert "$$" not in script


@pytest.mark.parametrize(
    ("name", "code"), [("02-api-retry", 0), ("05-max-turns", 1), ("06-terminated", 143)], ids=str
)
def test_the_script_says_its_transcript_and_ends_as_it_should(name, code):
    key = pod_of(ALL[name])["containers"][0]["env"][0]["valueFrom"]["configMapKeyRef"]["key"]
    transcript = submit.transcripts(Round())["data"][key]
    ran = subprocess.run(
        script_of(name),
        env={"PATH": "/usr/bin:/bin", "TRANSCRIPT": transcript},
        capture_output=True,
        check=False,
    )
    assert ran.returncode == code
    assert ran.stdout.decode() == transcript


def test_the_made_transcript_differs_from_its_recording_in_the_result_only():
    made = (ROOT / "examples/transcripts/made-max-turns.jsonl").read_text().splitlines()
    recorded = (ROOT / "tests/data/claude/hook-events.jsonl").read_text().splitlines()
    assert made[:-1] == recorded[:-1]
    before, after = json.loads(recorded[-1]), json.loads(made[-1])
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    assert changed == {"subtype", "is_error", "terminal_reason", "stop_reason", "result", "errors"}


def test_a_round_of_its_own_has_its_own_names_everywhere():
    job = submit.prepared(ALL["09-second-of-two"], Round("a1b2c3"))
    labels = job["metadata"]["labels"]
    assert job["metadata"]["name"] == "09-second-of-two-a1b2c3"
    assert labels[KEYS.run_id] == job["metadata"]["annotations"][KEYS.run_id] == "run-09-a1b2c3"
    assert labels[KEYS.agent_id] == "writer-a1b2c3"
    assert labels == job["spec"]["template"]["metadata"]["labels"]
    reference = pod_of(job)["containers"][0]["env"][0]["valueFrom"]["configMapKeyRef"]
    assert reference["name"] == submit.transcripts(Round("a1b2c3"))["metadata"]["name"]


def test_a_round_leaves_the_manifest_alone():
    before = json.dumps(ALL["01-subagent"])
    submit.prepared(ALL["01-subagent"], Round("a1b2c3"))
    assert json.dumps(ALL["01-subagent"]) == before
