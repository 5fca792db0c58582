{{/* What NOTES.txt should warn of, a line each. */}}

{{- define "runherd.warnings" -}}
{{- if not .Values.rbac.create }}
* rbac.create is off: bind the account {{ .Release.Namespace }}/{{ include "runherd.serviceAccountName" . }} yourself, or the controller is refused everything.
{{- end }}
{{- if .Values.watchNamespaces }}
* Runs in other namespaces than {{ join ", " .Values.watchNamespaces }} are not seen: they stay suspended, and nothing says so.
{{- end }}
{{- if not .Values.policy.enabled }}
* policy.enabled is off: whoever may change Jobs can forge status.{{ .Values.config.labelDomain }}/* annotations, and start runs past their queue; and nothing holds the controller's account to owner references where it may patch ConfigMaps{{ if .Values.ownSecrets }} and Secrets{{ end }}.
{{- end }}
{{- if not .Values.config.leaderElection }}
* config.leaderElection is off: make sure that no other controller looks after the same Jobs.
{{- end }}
{{- if eq (int .Values.replicas) 0 }}
* replicas is 0: nothing is admitted and no result is written.
{{- end }}
{{- if .Values.ownSecrets }}
* ownSecrets is on: the controller's account may patch Secrets{{ if .Values.watchNamespaces }} in {{ join ", " .Values.watchNamespaces }}{{ end }}, and so read one by its name.
{{- end }}
{{- if hasPrefix "localhost/" .Values.image.repository }}
* The image is {{ include "runherd.image" . }}, which only a node that it was loaded into has. Build it with `make image`, push it, and set image.repository.
{{- end }}
{{- end -}}
