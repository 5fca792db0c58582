{{/* The container's variables: every setting of the controller, then where traces go, then those given. */}}

{{- define "runherd.environment" -}}
{{- $derived := dict
  "leaseName" (include "runherd.leaseName" .)
  "leaseNamespace" (include "runherd.leaseNamespace" .)
  "ownSecrets" .Values.ownSecrets
  "watchNamespaces" (join "," .Values.watchNamespaces)
-}}
{{- range $key, $value := merge (dict) $derived .Values.config }}
- name: RUNHERD_{{ $key | snakecase | upper }}
  value: {{ if kindIs "float64" $value }}{{ $value | int64 | quote }}{{ else }}{{ $value | quote }}{{ end }}
{{- end }}
{{- if .Values.tracing.endpoint }}
{{- include "runherd.tracing" .Values.tracing }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "runherd.tracing" }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ .endpoint | quote }}
- name: OTEL_EXPORTER_OTLP_COMPRESSION
  value: {{ .compression | quote }}
- name: OTEL_EXPORTER_OTLP_TIMEOUT
  value: {{ .timeoutSeconds | int | quote }}
{{- with .headers }}
{{- if .existingSecret }}
- name: OTEL_EXPORTER_OTLP_HEADERS
  valueFrom:
    secretKeyRef:
      name: {{ .existingSecret }}
      key: {{ .key }}
{{- end }}
{{- end }}
{{- if .certificate.existingSecret }}
- name: OTEL_EXPORTER_OTLP_CERTIFICATE
  value: /etc/runherd/collector/{{ .certificate.key }}
{{- end }}
{{- if .clientCertificate.existingSecret }}
- name: OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE
  value: /etc/runherd/client/tls.crt
- name: OTEL_EXPORTER_OTLP_CLIENT_KEY
  value: /etc/runherd/client/tls.key
{{- end }}
{{- end -}}

{{/* Volumes and mounts of those certificates. */}}
{{- define "runherd.volumes" -}}
{{- $volumes := list -}}
{{- with .Values.tracing }}
{{- if and .endpoint .certificate.existingSecret }}
{{- $volumes = append $volumes (dict "name" "collector-certificate" "secret" (dict "secretName" .certificate.existingSecret)) }}
{{- end }}
{{- if and .endpoint .clientCertificate.existingSecret }}
{{- $volumes = append $volumes (dict "name" "client-certificate" "secret" (dict "secretName" .clientCertificate.existingSecret)) }}
{{- end }}
{{- end }}
{{- with concat $volumes .Values.extraVolumes }}
{{- toYaml . }}
{{- end }}
{{- end -}}

{{- define "runherd.volumeMounts" -}}
{{- $mounts := list -}}
{{- with .Values.tracing }}
{{- if and .endpoint .certificate.existingSecret }}
{{- $mounts = append $mounts (dict "name" "collector-certificate" "mountPath" "/etc/runherd/collector" "readOnly" true) }}
{{- end }}
{{- if and .endpoint .clientCertificate.existingSecret }}
{{- $mounts = append $mounts (dict "name" "client-certificate" "mountPath" "/etc/runherd/client" "readOnly" true) }}
{{- end }}
{{- end }}
{{- with concat $mounts .Values.extraVolumeMounts }}
{{- toYaml . }}
{{- end }}
{{- end -}}
