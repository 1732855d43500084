{{/* What all Ingresses share: (dict "root" . "suffix" "" "paths" list
"service" name "middlewares" list). */}}
{{- define "ssg.ingress" -}}
{{- $root := .root -}}
{{- $tls := $root.Values.ingress.tls -}}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {{ include "ssg.fullname" $root }}{{ .suffix }}
  labels:
    {{- include "ssg.labels" (list $root "app") | nindent 4 }}
  {{- $annotations := deepCopy $root.Values.ingress.annotations }}
  {{- if and $root.Values.traefik.middlewares.enabled .middlewares }}
  {{- $names := list }}
  {{- range .middlewares }}
  {{- $names = append $names (printf "%s-%s-%s@kubernetescrd" $root.Release.Namespace (include "ssg.fullname" $root) .) }}
  {{- end }}
  {{- $_ := set $annotations "traefik.ingress.kubernetes.io/router.middlewares" (join "," $names) }}
  {{- end }}
  {{- if eq $tls.mode "tailscale" }}
  {{- $_ := set $annotations "traefik.ingress.kubernetes.io/router.tls" "true" }}
  {{- $_ := set $annotations "traefik.ingress.kubernetes.io/router.tls.certresolver" "tailscale" }}
  {{- else if eq $tls.mode "cert-manager" }}
  {{- $_ := set $annotations "cert-manager.io/cluster-issuer" (required "ingress.tls.clusterIssuer is required with ingress.tls.mode cert-manager" $tls.clusterIssuer) }}
  {{- end }}
  {{- with $annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  ingressClassName: {{ $root.Values.ingress.className }}
  {{- if ne $tls.mode "none" }}
  tls:
    - hosts: [{{ $root.Values.ingress.host | quote }}]
      {{- if eq $tls.mode "secret" }}
      secretName: {{ required "ingress.tls.secretName is required with ingress.tls.mode secret" $tls.secretName }}
      {{- else if eq $tls.mode "cert-manager" }}
      secretName: {{ $tls.secretName | default (printf "%s-tls" (include "ssg.fullname" $root)) }}
      {{- end }}
  {{- end }}
  rules:
    - host: {{ $root.Values.ingress.host | quote }}
      http:
        paths:
          {{- range .paths }}
          - path: {{ . }}
            pathType: Prefix
            backend:
              service: {name: {{ include "ssg.fullname" $root }}, port: {name: http}}
          {{- end }}
{{- end -}}
