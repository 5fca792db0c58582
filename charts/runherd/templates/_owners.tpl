{{/*
Holds the controller's own account to what it needs `patch` on Secrets and ConfigMaps for: an owner reference to
its Job on an object of that run. A no-op patch, by which it looks at an object's labels first, passes.

Takes: root, kind, plural, content (the fields besides metadata), operations.
*/}}

{{- define "runherd.ownersOnly" -}}
{{- $name := printf "%s-%s" (include "runherd.clusterName" .root) .plural }}
{{- $label := printf "%s/run-id" .root.Values.config.labelDomain }}
{{- $account := printf "system:serviceaccount:%s:%s" .root.Release.Namespace (include "runherd.serviceAccountName" .root) -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: {{ $name }}
  labels:
    {{- include "runherd.labels" .root | nindent 4 }}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
      - apiGroups: [""]
        apiVersions: [v1]
        resources: [{{ .plural }}]
        operations: {{ toJson .operations }}
        scope: Namespaced
  matchConditions:
    - name: by-the-controller
      expression: request.userInfo.username == {{ toJson $account }}
  variables:
    - name: owners
      expression: object.metadata.?ownerReferences.orValue([])
    - name: oldOwners
      expression: oldObject.?metadata.?ownerReferences.orValue([])
  validations:
    - expression: >-
        request.operation == "UPDATE"
        {{- range .content }}
        && object.?{{ . }} == oldObject.?{{ . }}
        {{- end }}
        && object.metadata.?labels == oldObject.metadata.?labels
        && object.metadata.?annotations == oldObject.metadata.?annotations
        && object.metadata.?finalizers == oldObject.metadata.?finalizers
      reason: Forbidden
      message: >-
        the runherd controller may change nothing of a {{ .kind }} but metadata.ownerReferences
    - expression: >-
        variables.owners == variables.oldOwners
        || ({{ toJson $label }} in oldObject.metadata.?labels.orValue({})
        && !variables.oldOwners.exists(o, o.?controller.orValue(false)))
      reason: Forbidden
      message: >-
        metadata.ownerReferences: the runherd controller may own only {{ .kind }}s that carry the label {{ $label }}
        and have no controller
    - expression: >-
        variables.oldOwners.all(o, variables.owners.exists(n, n.uid == o.uid))
        && variables.owners.all(n, n in variables.oldOwners || (n.apiVersion == "batch/v1" && n.kind == "Job"
        && !n.?controller.orValue(false) && !n.?blockOwnerDeletion.orValue(false)))
      reason: Forbidden
      message: >-
        metadata.ownerReferences: the runherd controller may only add a Job that neither controls the {{ .kind }} nor blocks its own deletion
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ $name }}
  labels:
    {{- include "runherd.labels" .root | nindent 4 }}
spec:
  policyName: {{ $name }}
  validationActions: [Deny]
{{- end -}}
