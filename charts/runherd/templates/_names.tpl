{{/* Names and labels, as the starter chart has them. Cut to 52 characters: what is derived from them stays below 63. */}}

{{- define "runherd.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "runherd.fullname" -}}
{{- $name := include "runherd.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Objects of the whole cluster: two releases of one name may live in two namespaces. */}}
{{- define "runherd.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "runherd.fullname" .) -}}
{{- end -}}

{{- define "runherd.serviceAccountName" -}}
{{- default (include "runherd.fullname" .) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "runherd.selectorLabels" -}}
app.kubernetes.io/name: {{ include "runherd.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: controller
{{- end -}}

{{- define "runherd.labels" -}}
{{- $own := dict
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
  "app.kubernetes.io/version" (.Chart.AppVersion | toString)
  "app.kubernetes.io/managed-by" .Release.Service
-}}
{{- $selector := include "runherd.selectorLabels" . | fromYaml -}}
{{- merge (dict) $selector $own .Values.commonLabels | toYaml -}}
{{- end -}}

{{- define "runherd.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "runherd.leaseName" -}}
{{- default (include "runherd.fullname" .) .Values.config.leaseName -}}
{{- end -}}

{{- define "runherd.leaseNamespace" -}}
{{- default .Release.Namespace .Values.config.leaseNamespace -}}
{{- end -}}

{{/* The probe port as a number: YAML's numbers are floats to Helm. */}}
{{- define "runherd.probePort" -}}
{{- .Values.config.probePort | int -}}
{{- end -}}
