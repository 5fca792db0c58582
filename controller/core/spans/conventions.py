"""Names of span and resource attributes: OpenTelemetry's conventions, and ours where there are none.

Owns every such name. GenAI names are still in development and will be renamed: here, and nowhere else.
It builds nothing.

Sources: semantic-conventions v1.44.0 (2026-08-04) for `cicd`, `k8s`, `container`, `error`, `service`;
open-telemetry/semantic-conventions-genai (builds on core 1.44.0, no release yet) for `gen_ai`.
"""

from typing import Final

SCOPE: Final = "runherd"
"""Name of the instrumentation scope of all our spans."""
SCHEMA_CORE: Final = "https://opentelemetry.io/schemas/1.44.0"
"""Schema of the resource attributes."""
SCHEMA_GEN_AI: Final = "https://opentelemetry.io/schemas/gen-ai-dev/1.42.0-dev"
"""Schema of the spans: the GenAI conventions, which build on the core ones."""

# Resource
SERVICE_NAME: Final = "service.name"
CLUSTER_NAME: Final = "k8s.cluster.name"
NAMESPACE_NAME: Final = "k8s.namespace.name"
JOB_NAME: Final = "k8s.job.name"
JOB_UID: Final = "k8s.job.uid"
PIPELINE_NAME: Final = "cicd.pipeline.name"
PIPELINE_RUN_ID: Final = "cicd.pipeline.run.id"

# CI/CD
PIPELINE_ACTION: Final = "cicd.pipeline.action.name"
PIPELINE_RESULT: Final = "cicd.pipeline.result"
TASK_NAME: Final = "cicd.pipeline.task.name"
TASK_RUN_ID: Final = "cicd.pipeline.task.run.id"
TASK_RUN_RESULT: Final = "cicd.pipeline.task.run.result"

RESULT_SUCCESS: Final = "success"
RESULT_FAILURE: Final = "failure"
RESULT_ERROR: Final = "error"
RESULT_TIMEOUT: Final = "timeout"
RESULT_CANCELLATION: Final = "cancellation"
RESULT_SKIP: Final = "skip"
BAD_RESULTS: Final = frozenset({RESULT_FAILURE, RESULT_ERROR, RESULT_TIMEOUT})
"""Results that make a span's status Error; all others leave it unset."""

# Kubernetes
POD_NAME: Final = "k8s.pod.name"
POD_UID: Final = "k8s.pod.uid"
POD_REASON: Final = "k8s.pod.status.reason"
NODE_NAME: Final = "k8s.node.name"
CONTAINER_NAME: Final = "k8s.container.name"
CONTAINER_RESTARTS: Final = "k8s.container.restart_count"
CONTAINER_REASON: Final = "k8s.container.status.last_terminated_reason"
IMAGE_NAME: Final = "container.image.name"
IMAGE_TAGS: Final = "container.image.tags"

ERROR_TYPE: Final = "error.type"

# GenAI
OPERATION: Final = "gen_ai.operation.name"
OPERATION_INVOKE_AGENT: Final = "invoke_agent"
OPERATION_EXECUTE_TOOL: Final = "execute_tool"
AGENT_NAME: Final = "gen_ai.agent.name"
CONVERSATION_ID: Final = "gen_ai.conversation.id"
REQUEST_MODEL: Final = "gen_ai.request.model"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
TOOL_NAME: Final = "gen_ai.tool.name"
TOOL_CALL_ID: Final = "gen_ai.tool.call.id"
USAGE_INPUT: Final = "gen_ai.usage.input_tokens"
"""Anthropic: input, cache reads and cache writes together (the conventions' rule for that provider)."""
USAGE_OUTPUT: Final = "gen_ai.usage.output_tokens"
USAGE_CACHE_READ: Final = "gen_ai.usage.cache_read.input_tokens"
USAGE_CACHE_WRITE: Final = "gen_ai.usage.cache_write.input_tokens"

# Ours: what no convention names
RUN_ID: Final = "agent.run.id"
RUN_PHASE: Final = "agent.run.phase"
RUN_REASON: Final = "agent.run.reason"
RUN_ATTEMPTS: Final = "agent.run.attempts"
AGENT_ID: Final = "agent.id"
ADAPTER_TYPE: Final = "agent.adapter.type"
TASK_ID: Final = "agent.task.id"
COMPANY_ID: Final = "agent.company.id"
AGENT_VERSION: Final = "agent.version"
ATTEMPT_NUMBER: Final = "agent.attempt.number"
EXIT_CODE: Final = "agent.container.exit_code"
SIGNAL: Final = "agent.container.signal"
QUEUE_NAME: Final = "agent.queue.name"
"""Value of an external queue's label (Kueue)."""
LOG_STATE: Final = "agent.log.state"
"""`complete`, `truncated` or `missing`; absent if there never was a log."""
LOG_LINES: Final = "agent.log.lines"
FACTS_LEFT_OUT: Final = "agent.facts.left_out"
"""Middle attempts without a span, because the facts of all did not fit into the annotation."""
COST_USD: Final = "agent.cost.usd"
"""The agent's own estimate, in US dollars, cumulative over a resumed session."""
TURNS: Final = "agent.turns"
TOOL_CALLS: Final = "agent.tool_calls.count"
TOOL_CALLS_FAILED: Final = "agent.tool_calls.failed"
TOOL_CALLS_DROPPED: Final = "agent.tool_calls.dropped"
"""Tool calls without a span, and moments without an event: beyond what the fold or a trace holds."""
SPANS_DROPPED: Final = "agent.spans.dropped"
"""Other spans beyond what a trace holds."""
EVENTS_DROPPED: Final = "agent.events.dropped"
SUBAGENTS: Final = "agent.subagents"
API_RETRIES: Final = "agent.api_retries"
PERMISSION_DENIALS: Final = "agent.permission_denials"
TERMINAL_REASON: Final = "agent.terminal_reason"
MCP_SERVER: Final = "agent.mcp.server"
LINK_KIND: Final = "agent.link.kind"
LINK_SUBMITTER: Final = "submitter"
LINK_WORK: Final = "work"
"""From a run that continues on another Job to the trace that tells of its work."""
ATTACHED_JOB: Final = "agent.attached.job"
TIMING: Final = "agent.timing"
"""`end_unknown`: the log breaks off; the end shown is the latest possible one."""

# Values of error.type on what was cut off by the death of its container (traces.md §7)
ABORTED: Final = "aborted"
OOM_KILLED: Final = "oom_killed"
EVICTED: Final = "evicted"
DEADLINE_EXCEEDED: Final = "deadline_exceeded"
NONZERO_EXIT: Final = "nonzero_exit"
TOOL_ERROR: Final = "tool_error"
