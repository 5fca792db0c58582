{{/* What the controller may do where its runs are: the verbs that it uses, and no other. A test compares them
     with the requests that arrive at an API server while it works. */}}

{{- define "runherd.verbs" -}}
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, patch]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch, patch]
- apiGroups: [""]
  resources: [pods/log]
  verbs: [get]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [create, patch]
- apiGroups: [""]
  resources: [events]
  verbs: [list]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
# No such object exists. The right to it is how the admission policies know the controller.
- apiGroups: [{{ printf "status.%s" .Values.config.labelDomain | quote }}]
  resources: [runs]
  verbs: [report]
{{- if .Values.ownSecrets }}
- apiGroups: [""]
  resources: [secrets]
  verbs: [patch]
{{- end }}
{{- end -}}
