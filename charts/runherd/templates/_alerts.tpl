{{/* The alerts. `.`: the labels that select this release's series. Braces of Prometheus' own templates are
     written as a string, so that Helm leaves them alone. */}}

{{- define "runherd.alerts" -}}
- alert: RunherdAbsent
  expr: absent(runherd_build_info{ {{- . -}} })
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
  expr: max(runherd_lease_held{ {{- . -}} }) == 0
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
  expr: max by (resource) (runherd_watch_staleness_seconds{ {{- . -}} }) > 90
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
  expr: increase(runherd_reconciles_total{outcome="refused", {{- . -}} }[15m]) > 0
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
  expr: increase(runherd_reconciles_total{outcome="failed", {{- . -}} }[15m]) > 0
  labels:
    severity: warning
  annotations:
    summary: runherd made a mistake, and tries again.
    description: {{ "{{ $value | humanize }} rounds of work failed for a reason that the program does not foresee." | quote }}
    runbook: >-
      This is a bug. The log has "work on NAMESPACE/AGENT failed" with a trace; please report it. Only that agent's
      runs are held up; they are tried again and again.
- alert: RunherdSlow
  expr: histogram_quantile(0.99, sum by (le) (rate(runherd_event_lag_seconds_bucket{ {{- . -}} }[10m]))) > 5
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
    increase(runherd_trace_exports_total{outcome="failed", {{- . -}} }[15m]) > 0
    unless on (pod) increase(runherd_trace_exports_total{outcome="accepted", {{- . -}} }[15m]) > 0
  for: 5m
  labels:
    severity: warning
  annotations:
    summary: The collector does not take runherd's traces.
    description: No trace was accepted in the last 15 minutes, though some were offered. They are kept and offered again until config.traceGiveUpSeconds have passed.
    runbook: >-
      The log has "the collector did not take a trace" and the exporter's own words. Check tracing.endpoint (without
      /v1/traces, OTLP over HTTP, not gRPC), its headers and certificate, and the NetworkPolicy.
- alert: RunherdTraceLost
  expr: increase(runherd_trace_exports_total{outcome="gave_up", {{- . -}} }[1h]) > 0
  labels:
    severity: warning
  annotations:
    summary: runherd has given up traces.
    description: {{ "{{ $value | humanize }} traces were given up in the last hour: the collector had not taken them within config.traceGiveUpSeconds. Results are not affected." | quote }}
    runbook: >-
      As for RunherdTracesNotAccepted. A trace that was given up is not sent any more; what it would have said is in
      the Job's annotations facts and result.
{{- end -}}
