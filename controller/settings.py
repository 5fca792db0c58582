"""Every setting: name, type, default, meaning. The only reader of the environment.

Settings are environment variables with the prefix `RUNHERD_`, and the keys of the YAML file that
`RUNHERD_CONFIG` names (same names in lower case). The environment wins. A wrong one stops the start.
"""

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from controller.core.contract import DEFAULT_DOMAIN, MIN_HEARTBEAT_SECONDS
from controller.core.snapshot import Policy

PREFIX: Final = "RUNHERD_"
CONFIG: Final = "RUNHERD_CONFIG"

_SERVICE_LINK: Final = re.compile(
    r"\w+_(SERVICE_(HOST|PORT\w*)=.*|PORT=(tcp|udp|sctp)://.*|PORT_\d+_(TCP|UDP|SCTP)\w*=.*)"
)
"""Variables that Kubernetes itself puts into a pod for a Service whose name begins with ours."""

_DOMAIN: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"


class WrongSettings(Exception):  # noqa: N818 — named by what is the matter
    """The start is stopped: the message has one line for each wrong setting, with its variable's name."""


class Settings(BaseSettings):
    """What an operator can choose."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, use_attribute_docstrings=True
    )

    label_domain: str = Field(DEFAULT_DOMAIN, pattern=_DOMAIN, max_length=180)
    """Domain of all labels and annotations of the contract."""
    selector: str = ""
    """Label selector of both watches; empty: Jobs and Pods that have the agent-id label."""
    watch_namespaces: Annotated[tuple[str, ...], NoDecode] = ()
    """Namespaces to watch, separated by commas; empty: the whole cluster."""
    agent_concurrency: int = Field(1, ge=1, le=1000)
    """How many runs of one agent may run at once in a namespace."""
    company_concurrency: int = Field(0, ge=0, le=1000000)
    """How many runs of one company may run at once in all that is watched; 0: any number."""
    cluster_concurrency: int = Field(0, ge=0, le=1000000)
    """How many runs may run at once in all that is watched; 0: any number."""
    on_conflict: Literal["queue", "fail"] = "queue"
    """What a run does whose place is taken and that does not say itself: wait, or be rejected."""
    own_secrets: bool = True
    """Whether Secrets of a run are checked and owned as well; it needs the verb `patch` on secrets."""
    heartbeat_seconds: int = Field(60, ge=MIN_HEARTBEAT_SECONDS, le=3600)
    """How often a live run's `observed-at` is renewed."""
    start_timeout_seconds: int = Field(600, ge=1, le=86400)
    """How long a scheduled pod's agent container may take to start before the run is stopped."""
    unschedulable_timeout_seconds: int = Field(3600, ge=0, le=604800)
    """How long a pod may wait for a node before its run is stopped; 0: for ever."""
    hang_timeout_seconds: int = Field(600, ge=1, le=604800)
    """How long an agent may be silent after its result, or a sidecar outlive it, till the run is stopped."""
    silent_after_seconds: int = Field(3600, ge=1, le=604800)
    """How long a working agent may say nothing before that is told."""
    stall_stop_seconds: int = Field(0, ge=0, le=604800)
    """How long a working agent may say nothing before its run is stopped; 0: for ever."""
    retention_seconds: int = Field(86400, ge=300, le=31536000)
    """How long a Job is kept after its end if its host sets no ttlSecondsAfterFinished."""
    acknowledged_retention_seconds: int = Field(300, ge=0, le=31536000)
    """The same once its host has acknowledged the result."""
    log_drain_seconds: int = Field(300, ge=1, le=3600)
    """How long a log that can't be read is tried for after its container has ended."""
    log_streams: int = Field(500, ge=1, le=10000)
    """How many logs are followed at once; those beyond it are read every few seconds."""
    workers: int = Field(8, ge=1, le=64)
    """How many slots are worked on at once."""
    trace_mode: Literal["end", "live", "off"] = "end"
    """`end`: the whole trace when the run is over; `live`: each span once it is final; `off`: none."""
    trace_spans: int = Field(100000, ge=1000, le=10000000)
    """How many spans of live runs are held in memory; beyond, runs that hold most are traced `live`."""
    trace_parent_mode: Literal["link", "parent"] = "link"
    """What the host's traceparent becomes: a link of a trace of its own, or the parent of the run's span."""
    trace_content: Literal["none", "tools"] = "none"
    """`tools`: traces have what tools are asked and answer: 1 KiB of each, without what looks secret."""
    trace_give_up_seconds: int = Field(3600, ge=1, le=604800)
    """How long a trace is offered to a collector that does not take it."""
    trace_service_name: str = Field("agent-runs", min_length=1, max_length=255)
    """`service.name` of the traces."""
    cluster_name: str = ""
    """`k8s.cluster.name` of the traces."""
    leader_election: bool = True
    """Whether a Lease makes sure that one controller acts at a time."""
    lease_name: str = Field("runherd", pattern=_DOMAIN, max_length=63)
    """Name of that Lease."""
    lease_namespace: str = ""
    """Namespace of that Lease; empty: the pod's own, else `default`."""
    probe_port: int = Field(8080, ge=0, le=65535)
    """Port of /healthz, /readyz and /metrics; 0: any free one."""
    log_format: Literal["auto", "human", "json"] = "auto"
    """`auto`: human on a terminal, else JSON, one object a line."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """What is logged."""

    @field_validator("watch_namespaces", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value

    @field_validator("selector")
    @classmethod
    def _one_line(cls, value: str) -> str:
        if not value.isprintable():
            raise ValueError("must be one line of printable characters")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 — pydantic-settings' signature, as below
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 — pydantic-settings' signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 — same
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment over the file (given as init values); nothing else is read."""
        return env_settings, init_settings

    @property
    def effective_selector(self) -> str:
        """The selector that both watches use."""
        return self.selector or f"{self.label_domain}/agent-id"

    def policy(self, *, tracing: bool) -> Policy:
        """What decisions depend on. `tracing`: traces are switched on and have somewhere to go."""
        return Policy(
            domain=self.label_domain,
            agent_concurrency=self.agent_concurrency,
            company_concurrency=self.company_concurrency,
            cluster_concurrency=self.cluster_concurrency,
            on_conflict=self.on_conflict,
            own_secrets=self.own_secrets,
            heartbeat_seconds=self.heartbeat_seconds,
            start_timeout_seconds=self.start_timeout_seconds,
            unschedulable_timeout_seconds=self.unschedulable_timeout_seconds,
            retention_seconds=self.retention_seconds,
            acknowledged_retention_seconds=self.acknowledged_retention_seconds,
            log_drain_seconds=self.log_drain_seconds,
            hang_timeout_seconds=self.hang_timeout_seconds,
            silent_after_seconds=self.silent_after_seconds,
            stall_stop_seconds=self.stall_stop_seconds,
            tracing=tracing,
            trace_mode=self.trace_mode,
            trace_content=self.trace_content,
            trace_spans=self.trace_spans,
            trace_parent=self.trace_parent_mode,
            cluster_name=self.cluster_name,
            service_name=self.trace_service_name,
        )


def load() -> Settings:
    """The settings of this process. Raises WrongSettings, which says what to mend and where."""
    _refuse_unknown(os.environ)
    path = os.environ.get(CONFIG, "")
    given = _read(Path(path)) if path else {}
    try:
        return Settings(**given)
    except ValidationError as error:
        raise WrongSettings("\n".join(_line(problem, given) for problem in error.errors())) from error


def environment() -> Mapping[str, str]:
    """The environment itself, for the standard OTEL_* variables that the exporter reads."""
    return os.environ


def _refuse_unknown(environ: Mapping[str, str]) -> None:
    """A misspelt variable would be ignored silently: it is a mistake that must be seen."""
    known = {PREFIX + name.upper() for name in Settings.model_fields} | {CONFIG}
    unknown = [
        name
        for name in sorted(environ)
        if name.startswith(PREFIX)
        and name not in known
        and not _SERVICE_LINK.fullmatch(f"{name}={environ[name]}")
    ]
    if unknown:
        raise WrongSettings(
            "\n".join(f"{name}: there is no such setting{_hint(name, known)}" for name in unknown)
        )


def _hint(name: str, known: set[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), 1)
    return f"; did you mean {near[0]}?" if near else ""


def _read(path: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise WrongSettings(f"{CONFIG}: cannot read {path}: {error}") from error
    if found is None:
        return {}  # empty, or nothing but comments
    if not isinstance(found, dict):
        raise WrongSettings(f"{CONFIG}: {path} must hold a mapping of setting names to values")
    known = set(Settings.model_fields)
    unknown = sorted(str(name) for name in found if name not in known)
    if unknown:
        raise WrongSettings("\n".join(f"{name} in {path}: there is no such setting" for name in unknown))
    return found


def _line(problem: Any, given: Mapping[str, Any]) -> str:
    """One wrong setting: where it was set, to what, and what would be right."""
    name = str(problem["loc"][0]) if problem["loc"] else ""
    variable = PREFIX + name.upper()
    where = (
        f"{variable} (from the file of {CONFIG})"
        if name in given and variable not in os.environ
        else variable
    )
    return f"{where}: {problem['msg']}; it is {problem['input']!r}"
