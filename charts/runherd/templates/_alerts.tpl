{{/* The alerts. `.`: a map of `of`, the labels that select this release's series, and `limits`: prometheusRule's
     values. Each alert has a section of its name in docs/alerts.md. Braces of Prometheus' own templates are
     written as a string, so that Helm leaves them alone. */}}

{{- define "runherd.alerts" -}}
- alert: RunherdAbsent
  expr: absent(runherd_build_info{ {{- .of -}} })
  for: 5m
  labels:
    severity: critical
  annotations:
    summary: No runherd controller is running.
    description: No controller has been scraped for five minutes. Runs that are running go on; none is admitted, and results are not written until one is back.
    runbook: >-
      Look at the Deployment and its pod (kubectl describe): is the image there, is a quota or the pod security
      level in its way, did it exit? Exit code 2 means a wrong setting, which the first log line names. If it runs,
      Prometheus does not scrape it: check the PodMonitor's labels and the NetworkPolicy.
- alert: RunherdNotLeading
  expr: max(runherd_lease_held{ {{- .of -}} }) == 0
  for: 2m
  labels:
    severity: critical
  annotations:
    summary: A runherd controller is running, but none may act.
    description: No controller has held the Lease for two minutes. Nothing is admitted and no result is written.
    runbook: >-
      The log says "standing by for the lease". Who holds it: kubectl get lease. A holder that is not a pod of this
      release is another installation with the same lease name. Without a holder: is the API server reachable, and
      may the account get, create and update the Lease (kubectl auth can-i)?
- alert: RunherdWatchStale
  expr: max by (resource) (runherd_watch_staleness_seconds{ {{- .of -}} }) > 90
  for: 2m
  labels:
    severity: warning
  annotations:
    summary: {{ "runherd hears nothing of {{ $labels.resource }} any more." | quote }}
    description: {{ "The watch of {{ $labels.resource }} has been silent for {{ $value | humanizeDuration }}. The controller does not trust what it knows: it admits, stops and concludes nothing, and is unready." | quote }}
    runbook: >-
      runherd_watch_restarts_total says why (expired, throttled, refused, unavailable). Refused: a role is missing.
      Unavailable or throttled: look at the API server's load and at the network in between. A restart of the
      controller does not help.
- alert: RunherdWritesRefused
  expr: increase(runherd_reconciles_total{outcome="refused", {{- .of -}} }[15m]) > 0
  for: 5m
  labels:
    severity: warning
  annotations:
    summary: The API server refuses what runherd wants to write.
    description: {{ "{{ $value | humanize }} rounds of work were refused in the last 15 minutes. Their runs don't move on." | quote }}
    runbook: >-
      The log has a line "was refused" with code and message. 403: a role, an admission policy or a webhook of
      somebody else. 422: annotations of others fill the object, or a webhook changed it. Compare the chart's Role
      with kubectl auth can-i --list.
- alert: RunherdRoundsFailing
  expr: increase(runherd_reconciles_total{outcome="failed", {{- .of -}} }[15m]) > 0
  labels:
    severity: warning
  annotations:
    summary: runherd made a mistake, and tries again.
    description: {{ "{{ $value | humanize }} rounds of work failed for a reason that the program does not foresee." | quote }}
    runbook: >-
      This is a bug. The log has "work on NAMESPACE/AGENT failed" with a trace; please report it. Only that agent's
      runs are held up; they are tried again and again.
- alert: RunherdSlow
  expr: histogram_quantile(0.99, sum by (le) (rate(runherd_event_lag_seconds_bucket{ {{- .of -}} }[10m]))) > 5
  for: 10m
  labels:
    severity: warning
  annotations:
    summary: runherd acts late on what happens.
    description: {{ "One in a hundred events waits longer than {{ $value | humanizeDuration }}." | quote }}
    runbook: >-
      Compare runherd_queue_depth (more workers help: config.workers), process_cpu_seconds_total (a limit on CPU?)
      and runherd_api_call_duration_seconds_bucket (a slow API server).
- alert: RunherdTracesNotAccepted
  expr: >-
    increase(runherd_trace_exports_total{outcome="failed", {{- .of -}} }[15m]) > 0
    unless on (pod) increase(runherd_trace_exports_total{outcome="accepted", {{- .of -}} }[15m]) > 0
  for: 5m
  labels:
    severity: warning
  annotations:
    summary: The collector does not take runherd's traces.
    description: No trace was accepted in the last 15 minutes, though some were offered. They are kept and offered again until config.traceGiveUpSeconds have passed.
    runbook: >-
      runherd_trace_export_failures_total has the reason, the log ("the collector did not take a trace") its words and
      what to do. Check tracing.endpoint (without /v1/traces, OTLP over HTTP, not gRPC), headers, certificate, NetworkPolicy.
- alert: RunherdTraceLost
  expr: increase(runherd_trace_exports_total{outcome="gave_up", {{- .of -}} }[1h]) > 0
  labels:
    severity: warning
  annotations:
    summary: runherd has given up traces.
    description: {{ "{{ $value | humanize }} traces were given up in the last hour: the collector had not taken them within config.traceGiveUpSeconds. Results are not affected." | quote }}
    runbook: >-
      As for RunherdTracesNotAccepted. A trace that was given up is not sent any more; what it would have said is in
      the Job's annotations facts and result.
- alert: RunherdAgentSilent
  expr: max(runherd_runs{phase="Running", reason="AgentSilent", {{- .of -}} }) > 0
  for: 5m
  labels:
    severity: warning
  annotations:
    summary: Agents have said nothing for long.
    description: {{ "{{ $value }} running agents have been silent for longer than config.silentAfterSeconds. They cost a place and perhaps money." | quote }}
    runbook: >-
      Find them: kubectl get jobs with the annotation reason AgentSilent; last-output-at says since when. Read the
      end of the pod's log. Cancel what hangs; config.stallStopSeconds does so by itself.
- alert: RunherdRunsFailing
  expr: >-
    sum(increase(runherd_runs_finished_total{phase=~"Failed|TimedOut", {{- .of -}} }[1h]))
    / sum(increase(runherd_runs_finished_total{phase=~"Succeeded|Failed|TimedOut", {{- .of -}} }[1h]))
    > {{ .limits.failureRatio }}
    and sum(increase(runherd_runs_finished_total{phase=~"Succeeded|Failed|TimedOut", {{- .of -}} }[1h])) >= 5
  for: 5m
  labels:
    severity: warning
  annotations:
    summary: Many runs fail.
    description: {{ "{{ $value | humanizePercentage }} of the runs that ended in the last hour failed or timed out." | quote }}
    runbook: >-
      sum by (reason) (increase(runherd_runs_finished_total[1h])) says why. AuthRequired and QuotaExceeded: the
      account of the model. UpstreamTransient: its provider. OOMKilled, Evicted: resources. ImagePullFailed and
      ConfigError: the hosts' Jobs. The traces with cicd.pipeline.result failure or error show where.
{{- if .limits.spendUsdPerHour }}
- alert: RunherdSpendHigh
  expr: sum(increase(runherd_cost_usd_total{basis="run", {{- .of -}} }[1h])) > {{ .limits.spendUsdPerHour }}
  labels:
    severity: warning
  annotations:
    summary: Agents spend much.
    description: {{ "Runs that ended in the last hour cost {{ $value | humanize }} US dollars." | quote }}
    runbook: >-
      sum by (model) (increase(runherd_cost_usd_total[1h])) says for which model; the traces have the cost of each
      run. Limit what runs at once (config.clusterConcurrency), or cancel runs.
{{- end }}
- alert: RunherdStrayPods
  expr: max(runherd_stray_pods{ {{- .of -}} }) > 0
  for: 15m
  labels:
    severity: warning
  annotations:
    summary: Pods of runs have lost their Job.
    description: {{ "{{ $value }} pods with labels of runs belong to no known Job. Each holds its agent's place: no run of that agent is started." | quote }}
    runbook: >-
      Somebody deleted Jobs with their pods orphaned, or made pods by hand with a run's labels. List pods with the
      agent-id label whose Job is gone; delete them once their work is of no use. The controller deletes nothing.
{{- end -}}
