"""What the stand-in answers: one scenario for each way a run can go. The API key names it.

    scenario-NAME or scenario-NAME-NUMBER, e.g. scenario-tools, scenario-overloaded-2, scenario-slow-30

A reply follows from the request alone: how often the model has spoken in it is the step that a scenario is
at, so that one server plays any number of runs at once. Never keeps anything.
"""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from devcluster.messages.wire import Asked, Block, Text, ToolUse

PREFIX = "scenario-"
_KEY = re.compile(rf"{PREFIX}([a-z]+(?:-[a-z]+)*)(?:-(\d{{1,4}}))?")
SUBTASK = "Subtask of the stand-in"
"""How the prompt of our subagent begins, by which its requests are known."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error of the API. `for_ever`: for every request, else only for the first NUMBER ones of a run."""

    status: int
    kind: str
    message: str
    for_ever: bool = True
    used_up: str = ""
    """The limit that is used up, in the API's word; it is reset in an hour."""

    def headers(self) -> dict[str, str]:
        """What the API tells in headers."""
        if not self.used_up:
            return {}
        reset = str(int(time.time()) + 3600)
        unified = "anthropic-ratelimit-unified"
        return {
            "Retry-After": "3600",
            f"{unified}-status": "rejected",
            f"{unified}-reset": reset,
            f"{unified}-representative-claim": self.used_up,
        }


@dataclass(frozen=True, slots=True)
class Scenario:
    """One way a run can go. The last step of `steps` and `subagent` is repeated."""

    about: str
    steps: Sequence[Sequence[Block]] = ()
    subagent: Sequence[Sequence[Block]] = ()
    refusal: Refusal | None = None
    stops: str = ""
    """Stop reason of the last step, if it is no plain end."""
    dribbles: bool = False
    """The last step takes NUMBER seconds."""
    number: int = 0
    """NUMBER if the key has none."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The scenario of a run, and its number."""

    name: str
    scenario: Scenario
    number: int


def _bash(command: str, description: str) -> ToolUse:
    return ToolUse("Bash", {"command": command, "description": description})


_DELEGATED = {
    "description": "count the files",
    "prompt": f"{SUBTASK}: count the files of this folder.",
    "subagent_type": "general-purpose",
}
_COUNTED = (
    [_bash("sleep 0.3; ls -A | wc -l", "count the files")],
    [Text("There is no file.")],
)

SCENARIOS: Mapping[str, Scenario] = {
    "success": Scenario("text only", [[Text("Nothing had to be done.")]]),
    "tools": Scenario(
        "a call of Bash that succeeds, one that fails, then text",
        [
            [Text("Let me look."), _bash("echo hello", "say hello")],
            [_bash("exit 3", "fail on purpose")],
            [Text("One command said hello, the other one failed.")],
        ],
    ),
    "subagent": Scenario(
        "a subagent that calls Bash itself, then text",
        [
            [Text("I delegate this."), ToolUse("Agent", {**_DELEGATED, "run_in_background": False})],
            [Text("The subagent is done: no file.")],
        ],
        subagent=_COUNTED,
    ),
    "background": Scenario(
        "a subagent in the background: the agent's first turn ends before it does",
        [
            [ToolUse("Agent", {**_DELEGATED, "run_in_background": True})],
            [Text("I wait for the subagent.")],
            [Text("The subagent is done: no file.")],
        ],
        subagent=_COUNTED,
    ),
    "overloaded": Scenario(
        "529 for the first NUMBER requests of a run, then text",
        [[Text("It went well after all.")]],
        refusal=Refusal(529, "overloaded_error", "Overloaded", for_ever=False),
        number=1,
    ),
    "api-error": Scenario("500 always", refusal=Refusal(500, "api_error", "Internal server error")),
    "storm": Scenario("529 always", refusal=Refusal(529, "overloaded_error", "Overloaded")),
    "max-turns": Scenario("always another call of Bash", [[_bash("true", "do nothing")]]),
    "quota": Scenario(
        "429 always: the limit of a subscription is used up (needs CLAUDE_CODE_OAUTH_TOKEN as the key)",
        refusal=Refusal(
            429,
            "rate_limit_error",
            "This request would exceed your account's rate limit.",
            used_up="five_hour",
        ),
    ),
    "credit": Scenario(
        "400 always: no money is left",
        refusal=Refusal(
            400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API."
        ),
    ),
    "auth": Scenario(
        "401 always: the key is not known", refusal=Refusal(401, "authentication_error", "invalid x-api-key")
    ),
    "no-model": Scenario(
        "404 always: there is no such model", refusal=Refusal(404, "not_found_error", "model: claude-nowhere")
    ),
    "refusal": Scenario("the model refuses", [[Text("I can't help with that.")]], stops="refusal"),
    "asleep": Scenario(
        "a call of Bash that takes ten minutes, then text",
        [[_bash("echo started; sleep 600", "wait")], [Text("It is over.")]],
    ),
    "terminated": Scenario(
        "a call of Bash that has process 1 end itself, as `kubectl exec` may",
        [[_bash("kill -TERM 1; sleep 600", "end the agent")], [Text("It is still there.")]],
    ),
    "hungry": Scenario(
        "a call of Bash that takes all memory, then text",
        [[_bash("tail /dev/zero", "eat")], [Text("It was too much.")]],
    ),
    "slow": Scenario(
        "a call of Bash, then text that takes NUMBER seconds",
        [[_bash("echo started", "begin")], [Text("word " * 400)]],
        dribbles=True,
        number=20,
    ),
}


def chosen(key: str) -> Chosen | None:
    """The scenario that an API key names; None if there is none."""
    found = _KEY.fullmatch(key)
    scenario = SCENARIOS.get(found[1]) if found else None
    if found is None or scenario is None:
        return None
    return Chosen(found[1], scenario, scenario.number if found[2] is None else int(found[2]))


def is_subagent(request: Asked) -> bool:
    """Whether our own subagent asks, and not the main one."""
    return any(prompt.startswith(SUBTASK) for prompt in request.prompts)


def step(scenario: Scenario, request: Asked) -> tuple[Sequence[Block], bool]:
    """What is said at this point, and whether that is the last step."""
    steps = scenario.subagent if is_subagent(request) and scenario.subagent else scenario.steps
    at = min(request.turns, len(steps) - 1)
    return steps[at], at == len(steps) - 1
