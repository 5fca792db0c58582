import pytest

from controller.core import diagnosis
from controller.core.contract import Reason
from controller.core.model import ContainerSpec
from tests.core.builders import (
    exited,
    make_condition,
    make_event,
    make_pod,
    make_unscheduled_pod,
    running,
    waiting,
)

SIDECAR = (ContainerSpec("mesh", "i", init=True, sidecar=True), ContainerSpec("claude", "i"))


@pytest.mark.parametrize(
    ("pod", "reason", "failure", "hopeless"),
    [
        pytest.param(
            make_unscheduled_pod(), Reason.UNSCHEDULED, Reason.UNSCHEDULABLE, False, id="no node yet"
        ),
        pytest.param(
            make_pod(waiting("ImagePullBackOff")),
            Reason.IMAGE_PULL_BACK_OFF,
            Reason.IMAGE_PULL_FAILED,
            False,
            id="a pull that fails may heal",
        ),
        pytest.param(
            make_pod(waiting("ErrImageNeverPull")),
            Reason.IMAGE_PULL_BACK_OFF,
            Reason.IMAGE_PULL_FAILED,
            True,
            id="an image that may not be pulled cannot heal",
        ),
        pytest.param(
            make_pod(waiting("InvalidImageName")),
            Reason.IMAGE_PULL_BACK_OFF,
            Reason.IMAGE_PULL_FAILED,
            True,
            id="a name that is no image cannot heal",
        ),
        pytest.param(
            make_pod(waiting("CreateContainerConfigError")),
            Reason.CONTAINER_CREATING,
            Reason.CONFIG_ERROR,
            False,
            id="a missing Secret may still come",
        ),
        pytest.param(
            make_pod(waiting()), Reason.CONTAINER_CREATING, Reason.START_TIMEOUT, False, id="just creating"
        ),
        pytest.param(
            make_pod(waiting("PodInitializing")),
            Reason.INIT_RUNNING,
            Reason.START_TIMEOUT,
            False,
            id="init containers come first",
        ),
        pytest.param(
            make_pod(running("setup", init=True), waiting("PodInitializing")),
            Reason.INIT_RUNNING,
            Reason.START_TIMEOUT,
            False,
            id="an init container runs",
        ),
        pytest.param(
            make_pod(running("mesh", init=True), waiting(), specs=SIDECAR),
            Reason.CONTAINER_CREATING,
            Reason.START_TIMEOUT,
            False,
            id="a native sidecar that runs holds nothing up",
        ),
        pytest.param(
            make_pod(exited(2, "setup", init=True), waiting("PodInitializing")),
            Reason.INIT_RUNNING,
            Reason.INIT_FAILED,
            False,
            id="an init container failed",
        ),
        pytest.param(
            make_pod(waiting("CrashLoopBackOff", "setup", init=True), waiting("PodInitializing")),
            Reason.INIT_RUNNING,
            Reason.INIT_FAILED,
            False,
            id="an init container keeps failing",
        ),
        pytest.param(
            make_pod(waiting("CrashLoopBackOff", "helper"), waiting()),
            Reason.CONTAINER_CREATING,
            Reason.CONTAINER_ERROR,
            False,
            id="a helper that keeps failing is no init container",
        ),
        pytest.param(
            make_pod(waiting("PodInitializing"), waiting("ImagePullBackOff", "setup", init=True)),
            Reason.IMAGE_PULL_BACK_OFF,
            Reason.IMAGE_PULL_FAILED,
            False,
            id="a named failure counts more than waiting",
        ),
        pytest.param(
            make_pod(waiting("SomethingNew")),
            Reason.CONTAINER_CREATING,
            Reason.START_TIMEOUT,
            False,
            id="a word nobody knows",
        ),
        pytest.param(
            make_pod(exited(0, "setup", init=True)),
            Reason.CONTAINER_CREATING,
            Reason.START_TIMEOUT,
            False,
            id="nothing reported",
        ),
    ],
)
def test_why_a_start_is_held_up(pod, reason, failure, hopeless):
    found = diagnosis.of_start(pod)
    assert (found.reason, found.failure, found.hopeless) == (reason, failure, hopeless)
    assert 0 < len(found.message.encode()) <= 512


def test_a_long_word_of_the_scheduler_is_cut():
    assert len(diagnosis.of_start(make_unscheduled_pod("ü" * 9000)).message.encode()) <= 512


# ── What to do about it: in words of Kubernetes 1.36.3 and containerd 1.6.20, as they were seen ──

CREATING = make_pod(waiting())
NOT_RESOLVED = 'failed to pull and unpack image "%(image)s": failed to resolve reference "%(image)s": %(why)s'
REFUSED_CONNECTION = (
    'failed to do request: Head "http://127.0.0.1:1/v2/agent/manifests/1": '
    "dial tcp 127.0.0.1:1: connect: connection refused"
)
PREEMPTION = (
    ". no new claims to deallocate, preemption: 0/1 nodes are available: "
    "1 Preemption is not helpful for scheduling."
)
NO_PLUGIN = (
    "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "
    '"adf14a7662c5f227f39c346581e80ce6514626a5ab61806659a9134383237f59": plugin type="nowhere" failed (add): '
    'failed to find plugin "nowhere" in path [/usr/lib/cni]'
)


def of_image(image, reason, message):
    return make_pod(waiting(reason, message=message), specs=(ContainerSpec("claude", image),))


def not_resolved(image, why):
    return NOT_RESOLVED % {"image": image, "why": why}


def mounting(message):
    return CREATING, (make_event("FailedMount", message),)


@pytest.mark.parametrize(
    ("pod", "events", "failure", "said", "todo"),
    [
        pytest.param(
            make_unscheduled_pod(f"0/1 nodes are available: 1 Insufficient cpu{PREEMPTION}"),
            (),
            Reason.UNSCHEDULABLE,
            "No node has been found for the pod: 0/1 nodes are available: 1 Insufficient cpu.",
            "Lower the requests",
            id="too little room",
        ),
        pytest.param(
            make_unscheduled_pod(
                "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector" + PREEMPTION
            ),
            (),
            Reason.UNSCHEDULABLE,
            "didn't match Pod's node affinity/selector.",
            "Correct node selector",
            id="no node of that kind",
        ),
        pytest.param(
            make_unscheduled_pod(
                '0/1 nodes are available: persistentvolumeclaim "nowhere" not found. not found'
            ),
            (),
            Reason.UNSCHEDULABLE,
            'persistentvolumeclaim "nowhere" not found',
            "See that the claim exists",
            id="a claim that is not there",
        ),
        pytest.param(
            *mounting('MountVolume.SetUp failed for volume "v" : configmap "nowhere" not found'),
            Reason.CONFIG_ERROR,
            'Volume v can\'t be mounted: configmap "nowhere" not found.',
            "Create it",
            id="a volume of a ConfigMap that is not there",
        ),
        pytest.param(
            *mounting('MountVolume.SetUp failed for volume "v" : secret "nowhere" not found'),
            Reason.CONFIG_ERROR,
            'secret "nowhere" not found.',
            "Create it",
            id="a volume of a Secret that is not there",
        ),
        pytest.param(
            *mounting(
                'MountVolume.SetUp failed for volume "v" : configmap references non-existent config key: none'
            ),
            Reason.CONFIG_ERROR,
            "non-existent config key: none.",
            "Create it",
            id="a key that is not there",
        ),
        pytest.param(
            *mounting(
                'MountVolume.SetUp failed for volume "v" : kubernetes.io/csi: mounter.SetUpAt failed to get '
                "CSI client: driver name nowhere.example.com not found in the list of registered CSI drivers"
            ),
            Reason.CONFIG_ERROR,
            "registered CSI drivers.",
            "CSI driver runs on that node",
            id="a driver that is not there",
        ),
        pytest.param(
            CREATING,
            (make_event("FailedCreatePodSandBox", NO_PLUGIN),),
            Reason.START_TIMEOUT,
            "The pod's sandbox can't be made on node node-1: failed to setup network for sandbox",
            "network plugin (CNI)",
            id="no network",
        ),
        pytest.param(
            make_pod(running("mesh", init=True), waiting("PodInitializing"), specs=SIDECAR),
            (make_event("Unhealthy", "Startup probe failed: ", "mesh", init=True),),
            Reason.START_TIMEOUT,
            "Container mesh is not well: Startup probe failed:",
            "Check its command",
            id="a sidecar that does not come up",
        ),
        pytest.param(
            CREATING,
            (make_event("NodeNotReady", "Node is not ready"),),
            Reason.NODE_LOST,
            "Node node-1 does not answer: Node is not ready.",
            "whether the node is up",
            id="a node that went away",
        ),
        pytest.param(
            of_image(
                "127.0.0.1:1/agent:1", "ErrImagePull", not_resolved("127.0.0.1:1/agent:1", REFUSED_CONNECTION)
            ),
            (),
            Reason.IMAGE_PULL_FAILED,
            "Image 127.0.0.1:1/agent:1 can't be pulled: failed to pull and unpack image",
            "reach the registry",
            id="a registry that is down",
        ),
        pytest.param(
            of_image("ghcr.io/x/tls:401", "ErrImagePull", not_resolved("ghcr.io/x/tls:401", "not found")),
            (),
            Reason.IMAGE_PULL_FAILED,
            "not found.",
            "Check its name and tag",
            id="an image that is not there",
        ),
        pytest.param(
            of_image(
                "ghcr.io/x/agent:1",
                "ErrImagePull",
                not_resolved(
                    "ghcr.io/x/agent:1",
                    "pull access denied, repository does not exist or may require authorization: "
                    "server message: insufficient_scope: authorization failed",
                ),
            ),
            (),
            Reason.IMAGE_PULL_FAILED,
            "pull access denied",
            "imagePullSecrets",
            id="an image that needs a login",
        ),
        pytest.param(
            of_image(
                "localhost/nowhere:1",
                "ErrImageNeverPull",
                'Container image "localhost/nowhere:1" is not present with pull policy of Never',
            ),
            (),
            Reason.IMAGE_PULL_FAILED,
            "Image localhost/nowhere:1 is not on node node-1",
            "imagePullPolicy",
            id="an image that may not be pulled",
        ),
        pytest.param(
            make_pod(waiting("CreateContainerConfigError", message='configmap "nowhere" not found')),
            (),
            Reason.CONFIG_ERROR,
            'Container claude can\'t be made to run: configmap "nowhere" not found.',
            "Create it",
            id="variables of a ConfigMap that is not there",
        ),
        pytest.param(
            make_pod(
                waiting(
                    "CreateContainerConfigError",
                    message="container has runAsNonRoot and image will run as root "
                    '(pod: "x_play(c8e8674d-1094-4526-b5f7-c5bc4609e2f4)", container: claude)',
                )
            ),
            (),
            Reason.CONFIG_ERROR,
            "image will run as root",
            "Set runAsUser",
            id="an image of root's",
        ),
        pytest.param(
            make_pod(
                exited(137, "prepare", reason="OOMKilled", init=True),
                waiting("PodInitializing"),
                phase="Failed",
            ),
            (),
            Reason.INIT_FAILED,
            "Init container prepare was killed for using too much memory.",
            "Raise its memory limit",
            id="a preparation that was too big",
        ),
        pytest.param(
            make_pod(
                phase="Failed",
                reason="OutOfcpu",
                message="Pod was rejected: Node didn't have enough resource: cpu",
            ),
            (),
            Reason.UNSCHEDULABLE,
            "Node node-1 did not take the pod: Pod was rejected",
            "Compare what the pod asks for",
            id="a node that had no room after all",
        ),
    ],
)
def test_what_is_wrong_is_told_with_what_to_do(pod, events, failure, said, todo):
    found = diagnosis.of_start(pod, events)
    assert found.failure is failure
    assert said in found.message
    assert todo in found.message
    assert len(found.message.encode()) <= 512


def test_an_image_is_told_in_the_same_words_while_it_is_tried_and_while_it_is_waited_for():
    said = not_resolved("127.0.0.1:1/agent:1", REFUSED_CONNECTION)
    trying = of_image("127.0.0.1:1/agent:1", "ErrImagePull", said)
    back = f'Back-off pulling image "127.0.0.1:1/agent:1": ErrImagePull: {said}'
    held = of_image("127.0.0.1:1/agent:1", "ImagePullBackOff", back)
    assert diagnosis.of_start(trying) == diagnosis.of_start(held)


SECRET = make_event(
    "FailedMount", 'MountVolume.SetUp failed for volume "v" : secret "s" not found', seconds=34
)
VAGUE = make_event(
    "FailedMount",
    'MountVolume.SetUp failed for volume "kube-api-access-b52wb" : '
    "failed to sync configmap cache: timed out waiting for the condition",
    seconds=36,
)
PULLING = make_event("Pulling", 'Pulling image "ghcr.io/x/claude:2"', "claude", seconds=40)


def test_an_image_that_is_being_pulled_is_told_with_its_name_and_since_when():
    found = diagnosis.of_start(CREATING, (SECRET, PULLING))
    assert (found.reason, found.failure) == (Reason.PULLING_IMAGE, Reason.START_TIMEOUT)
    assert found.message == "Image ghcr.io/x/claude:2 is being pulled, since 2026-11-22T12:00:40Z."


@pytest.mark.parametrize(
    ("pod", "events", "reason"),
    [
        pytest.param(CREATING, (), Reason.CONTAINER_CREATING, id="nothing was told"),
        pytest.param(
            CREATING,
            (PULLING, make_event("Pulled", "", "claude", seconds=44)),
            Reason.CONTAINER_CREATING,
            id="it has come",
        ),
        pytest.param(
            make_pod(waiting("ErrImagePull")),
            (PULLING,),
            Reason.IMAGE_PULL_BACK_OFF,
            id="the state knows better",
        ),
        pytest.param(
            make_pod(running("helper"), waiting(), specs=SIDECAR),
            (make_event("Pulling", "", "helper"),),
            Reason.CONTAINER_CREATING,
            id="its container runs by now",
        ),
        pytest.param(
            make_pod(waiting("PodInitializing", "setup", init=True), waiting("PodInitializing")),
            (make_event("Pulling", "", "setup", init=True),),
            Reason.PULLING_IMAGE,
            id="of an init container",
        ),
    ],
)
def test_pulling_is_told_only_while_nothing_says_otherwise(pod, events, reason):
    assert diagnosis.of_start(pod, events).reason is reason


def test_what_was_in_the_way_before_is_forgotten_when_the_start_went_on():
    assert diagnosis.of_start(CREATING, (SECRET,)).failure is Reason.CONFIG_ERROR
    on = make_event("Created", "", "helper", seconds=34)
    assert diagnosis.of_start(CREATING, (SECRET, on)).failure is Reason.START_TIMEOUT


def test_what_is_exact_counts_more_than_what_sums_up():
    assert 'secret "s" not found' in diagnosis.of_start(CREATING, (SECRET, VAGUE)).message
    assert "timed out" in diagnosis.of_start(CREATING, (VAGUE,)).message


def test_a_probe_of_a_sidecar_that_has_come_up_holds_nothing_up():
    probed = make_event("Unhealthy", "Readiness probe failed: no", "mesh", init=True)
    assert diagnosis.of_start(CREATING, (probed,)).reason is Reason.CONTAINER_CREATING


def test_the_autoscaler_has_its_say():
    scaling = make_event("NotTriggerScaleUp", "pod didn't trigger scale-up: 1 max node group size reached")
    assert "max node group size reached" in diagnosis.of_start(make_unscheduled_pod(), (scaling,)).message


@pytest.mark.parametrize(
    ("refusal", "said", "todo"),
    [
        (
            "exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0",
            "exceeded quota: q",
            "ResourceQuota",
        ),
        (
            "minimum memory usage per Container is 1Gi, but request is 64Mi",
            "minimum memory usage per Container is 1Gi",
            "LimitRange",
        ),
        (
            'violates PodSecurity "restricted:latest": runAsNonRoot != true (pod must set runAsNonRoot=true)',
            'violates PodSecurity "restricted:latest"',
            "Pod Security level",
        ),
        (
            'error looking up service account play/nowhere: serviceaccount "nowhere" not found',
            'serviceaccount "nowhere" not found',
            "Create the service account",
        ),
        ("no PriorityClass with name nowhere was found", "no PriorityClass", "Create the PriorityClass"),
        ('pod rejected: RuntimeClass "nowhere" not found', "RuntimeClass", "Create the RuntimeClass"),
    ],
)
def test_why_no_pod_is_made_is_told_by_the_jobs_own_events(refusal, said, todo):
    events = [make_event("FailedCreate", f'Error creating: pods "run-1-kzn8s" is forbidden: {refusal}')]
    message = diagnosis.of_no_pod(events)
    assert message.startswith("Kubernetes can't make the pod: forbidden: ")
    assert said in message
    assert todo in message
    assert len(message.encode()) <= 512


def test_a_job_whose_pod_was_made_after_all_is_not_said_to_have_none():
    failed = make_event("FailedCreate", "Error creating: no", seconds=1)
    assert diagnosis.of_no_pod([failed, make_event("SuccessfulCreate", "Created pod: x", seconds=2)]) == ""
    assert diagnosis.of_no_pod([make_event("Admitted", "ours")]) == ""


def test_messages_that_differ_in_counts_and_generated_ids_only_are_alike():
    nodes = "0/5 nodes are available: 2 Insufficient cpu, 3 node(s) had untolerated taint(s)."
    assert diagnosis.alike(nodes, nodes.replace("0/5", "0/6").replace("3 node", "4 node"))
    sandbox = 'for sandbox "adf14a7662c5f227f39c346581e80ce6514626a5ab61806659a9134383237f59": no plugin'
    assert diagnosis.alike(sandbox, sandbox.replace("adf14a7", "0000000"))
    assert diagnosis.alike("back-off 40s", "back-off 1m20s") is False, "another unit is another text"
    assert diagnosis.alike("back-off 40s", "back-off 80s")
    assert not diagnosis.alike("1 Insufficient cpu", "1 Insufficient memory")


def test_a_credential_in_the_words_of_kubernetes_is_hidden():
    pod = of_image("i:1", "ErrImagePull", "get https://robot:hunter2secret@registry.example.com: denied")
    assert "hunter2secret" not in diagnosis.of_start(pod).message
    refused = make_condition("PodScheduled", status="False", message="token=hunter2secret")
    assert "hunter2secret" not in diagnosis.of_start(make_pod(node="", conditions=(refused,))).message
