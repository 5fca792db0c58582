import pytest

from controller.core import diagnosis
from controller.core.contract import Reason
from controller.core.model import ContainerSpec
from tests.core.builders import exited, make_pod, make_unscheduled_pod, running, waiting

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
