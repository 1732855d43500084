{{/* One side of a connection to another component: (list root component). */}}
{{- define "ssg.peer" -}}
podSelector:
  matchLabels:
    {{- include "ssg.selector" . | nindent 4 }}
{{- end -}}

{{- define "ssg.policyHead" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "ssg.fullname" (index . 0) }}-{{ index . 1 }}
  labels:
    {{- include "ssg.labels" . | nindent 4 }}
{{- end -}}

{{/* Any DNS: which pods answer differs from cluster to cluster. */}}
{{- define "ssg.toDNS" -}}
- ports:
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
{{- end -}}

{{- define "ssg.fromPrometheus" -}}
namespaceSelector:
  matchLabels: {kubernetes.io/metadata.name: {{ .Values.metrics.namespace }}}
{{- end -}}
