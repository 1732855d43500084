{{/* Names, labels and the parts that several pods share. */}}

{{- define "ssg.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* 40 characters leave room for the longest suffix and a pod's hash. */}}
{{- define "ssg.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "ssg.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "ssg.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The name of a StatefulSet and its Service: (list root component). */}}
{{- define "ssg.serviceName" -}}
{{- $root := index . 0 -}}
{{- if $root.Values.names.prefixed -}}
{{- printf "%s-%s" (include "ssg.fullname" $root) (index . 1) -}}
{{- else -}}
{{- index . 1 -}}
{{- end -}}
{{- end -}}

{{/* The database that reads go to. */}}
{{- define "ssg.readHost" -}}
{{- include "ssg.serviceName" (list . (ternary "mysql-replica" "mysql-primary" .Values.mysql.replica.enabled)) -}}
{{- end -}}

{{/* What a selector asks for: (list root component). The component keeps the
application's Service from finding databases. */}}
{{- define "ssg.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "ssg.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* All labels of a resource: (list root component). */}}
{{- define "ssg.labels" -}}
{{- $root := index . 0 -}}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{ include "ssg.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
app.kubernetes.io/part-of: {{ include "ssg.name" $root }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Labels of a pod. Neither chart nor version are in it: a new version of the
chart alone restarts nothing. */}}
{{- define "ssg.podLabels" -}}
{{ include "ssg.selector" . }}
{{- with (index . 0).Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "ssg.image" -}}
{{- if .digest -}}
{{- printf "%s/%s@%s" .registry .repository .digest -}}
{{- else -}}
{{- printf "%s/%s:%s" .registry .repository .tag -}}
{{- end -}}
{{- end -}}

{{/* How any pod runs: (dict "root" . "component" "redis" "values" .Values.redis
"uid" 999 "gid" 1000 "grace" 30 "class" "data"). */}}
{{- define "ssg.pod" -}}
{{- $root := .root -}}
{{- if $root.Values.serviceAccount.create }}
serviceAccountName: {{ include "ssg.fullname" $root }}
{{- end }}
automountServiceAccountToken: false
# The variables that name every Service make a start longer and tell nothing.
enableServiceLinks: false
{{- if $root.Values.priorityClasses.create }}
priorityClassName: {{ include "ssg.priorityClass" (list $root .class) }}
{{- end }}
terminationGracePeriodSeconds: {{ .grace }}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .uid }}
  runAsGroup: {{ .gid }}
  fsGroup: {{ .gid }}
  # Walking a full volume at each start takes minutes on a spinning disk.
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .spread }}
# Pods of one kind lie on different nodes where there are several; with one left,
# beside each other.
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "ssg.selector" (list $root .spread) | nindent 8 }}
{{- end }}
{{- if .values.affinity }}
affinity:
  {{- toYaml .values.affinity | nindent 2 }}
{{- else if .awayFrom }}
# A copy on the same disk is lost with it. The node where it first starts is the
# one where its volume keeps it.
affinity:
  podAntiAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels:
              {{- include "ssg.selector" (list $root .awayFrom) | nindent 14 }}
{{- end }}
{{- end -}}

{{- define "ssg.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* PriorityClasses belong to the cluster, so their names say whose they are. */}}
{{- define "ssg.priorityClass" -}}
{{- $root := index . 0 -}}
{{- printf "%s-%s-%s" $root.Release.Namespace (include "ssg.fullname" $root) (index . 1) | trunc 63 -}}
{{- end -}}

{{/* An init container that waits for a port: (list root name host port). It is
the application's own image, so that no other has to be fetched. */}}
{{- define "ssg.wait" -}}
{{- $root := index . 0 -}}
- name: wait-for-{{ index . 1 }}
  image: {{ include "ssg.image" $root.Values.image }}
  imagePullPolicy: {{ $root.Values.image.pullPolicy }}
  command: [sh, -ec, {{ include "ssg.waitScript" $root | quote }}, wait, {{ index . 2 | quote }}, {{ index . 3 | quote }}]
  securityContext:
    {{- include "ssg.containerSecurity" . | nindent 4 }}
  resources:
    requests: {cpu: 10m, memory: 8Mi}
    limits: {memory: 32Mi}
{{- end -}}

{{/* Network policies reach a new pod some seconds late, so even a service that
is there may not answer at once. Counted in tries of two seconds. */}}
{{- define "ssg.waitScript" -}}
tries={{ div .Values.waits.seconds 2 }}; until nc -z -w 5 "$1" "$2"; do tries=$((tries - 1)); if [ $tries -le 0 ]; then echo "$1:$2 does not answer"; exit 1; fi; sleep 2; done
{{- end -}}

{{/* Annotations of a pod's template: (list root component values). */}}
{{- define "ssg.podAnnotations" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- with get $root.Values.secretsChecksum $component }}
checksum/secrets: {{ . | quote }}
{{- end }}
{{- with (index . 2).podAnnotations }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* A checksum that rolls the pods when the data of a Secret or ConfigMap changes:
(list root file). The labels are left out, as they change with every version of
the chart. */}}
{{- define "ssg.checksum" -}}
{{- $rendered := include (print (index . 0).Template.BasePath "/" (index . 1)) (index . 0) | fromYaml -}}
{{- $rendered.data | toJson | sha256sum -}}
{{- end -}}

{{- define "ssg.prometheus" -}}
prometheus.io/scrape: "true"
prometheus.io/port: {{ .port | quote }}
prometheus.io/path: /metrics
{{- end -}}

{{/* The claim of a StatefulSet: (list root component storage). Its labels must
not change with the chart's version, for claims cannot be changed. */}}
{{- define "ssg.claim" -}}
- apiVersion: v1
  kind: PersistentVolumeClaim
  metadata:
    name: data
    labels:
      {{- include "ssg.selector" . | nindent 6 }}
  spec:
    accessModes: [ReadWriteOnce]
    {{- with (index . 2).className }}
    storageClassName: {{ . }}
    {{- end }}
    resources:
      requests:
        storage: {{ (index . 2).size }}
{{- end -}}

{{/* A namespaced name that the cluster resolves from anywhere. */}}
{{- define "ssg.dnsNames" -}}
{{- $name := index . 1 -}}
{{- $ns := (index . 0).Release.Namespace -}}
{{- list $name (printf "%s.%s" $name $ns) (printf "%s.%s.svc" $name $ns) (printf "%s.%s.svc.cluster.local" $name $ns) (printf "%s-0.%s.%s.svc.cluster.local" $name $name $ns) | toJson -}}
{{- end -}}
