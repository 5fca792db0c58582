{{/* Rules between values that a schema can't say, or not so that one would know what to do. */}}

{{- define "runherd.rules" -}}
{{- if and (gt (int .Values.replicas) 1) (not .Values.config.leaderElection) -}}
{{- fail (printf "replicas is %d and config.leaderElection is off: two controllers would act at once. Set config.leaderElection to true, or replicas to 1." (int .Values.replicas)) -}}
{{- end -}}
{{- if and (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) -}}
{{- fail "serviceAccount.create is off and serviceAccount.name is empty: the namespace's default account would get the controller's rights. Name an account in serviceAccount.name." -}}
{{- end -}}
{{- if and .Values.podDisruptionBudget.minAvailable .Values.podDisruptionBudget.maxUnavailable -}}
{{- fail "podDisruptionBudget.minAvailable and podDisruptionBudget.maxUnavailable are both set: Kubernetes takes one of them. Clear the other." -}}
{{- end -}}
{{- include "runherd.rules.tracing" . -}}
{{- include "runherd.rules.extraEnv" . -}}
{{- end -}}

{{- define "runherd.rules.tracing" -}}
{{- if not .Values.tracing.endpoint -}}
{{- range $part := list "headers" "certificate" "clientCertificate" -}}
{{- if (index $.Values.tracing $part).existingSecret -}}
{{- fail (printf "tracing.%s.existingSecret is set and tracing.endpoint is empty: nothing would be sent. Set tracing.endpoint, or clear tracing.%s.existingSecret." $part $part) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A variable that is there twice: Kubernetes would take the last one silently, Helm 4 refuses it without saying why. */}}
{{- define "runherd.rules.extraEnv" -}}
{{- $seen := dict -}}
{{- $tracing := dict -}}
{{- if .Values.tracing.endpoint -}}
{{- range include "runherd.tracing" .Values.tracing | fromYamlArray -}}
{{- $_ := set $tracing .name true -}}
{{- end -}}
{{- end -}}
{{- range .Values.extraEnv -}}
{{- if hasPrefix "RUNHERD_" .name -}}
{{- fail (printf "extraEnv sets %s: the settings of the controller are values below config (and watchNamespaces). Set it there, and remove it from extraEnv." .name) -}}
{{- end -}}
{{- if hasKey $tracing .name -}}
{{- fail (printf "extraEnv sets %s, and so do the values below tracing. Remove it from extraEnv." .name) -}}
{{- end -}}
{{- if hasKey $seen .name -}}
{{- fail (printf "extraEnv has %s twice. Remove one of them." .name) -}}
{{- end -}}
{{- $_ := set $seen .name true -}}
{{- end -}}
{{- end -}}
