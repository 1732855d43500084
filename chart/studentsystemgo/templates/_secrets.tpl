{{/* Where a secret comes from, in this order: a Secret that exists
(existingSecret, then nothing here is rendered), a value that was given, the
Secret that this chart made earlier, and a new one. The last two need a cluster
to ask; under gitops a missing value is an error instead. */}}

{{- define "ssg.mysqlSecret" -}}
{{- .Values.mysql.auth.existingSecret | default (printf "%s-mysql" (include "ssg.fullname" .)) -}}
{{- end -}}
{{- define "ssg.rabbitmqSecret" -}}
{{- .Values.rabbitmq.auth.existingSecret | default (printf "%s-rabbitmq" (include "ssg.fullname" .)) -}}
{{- end -}}
{{- define "ssg.appSecret" -}}
{{- .Values.app.existingSecret | default (printf "%s-app" (include "ssg.fullname" .)) -}}
{{- end -}}
{{- define "ssg.cloudfrontSecret" -}}
{{- .Values.cloudfront.existingSecret | default (printf "%s-cloudfront-key" (include "ssg.fullname" .)) -}}
{{- end -}}

{{/* The data of a Secret in the cluster as JSON: (list root name). */}}
{{- define "ssg.earlier" -}}
{{- $root := index . 0 -}}
{{- $found := dict -}}
{{- if not $root.Values.gitops -}}
{{- $found = lookup "v1" "Secret" $root.Release.Namespace (index . 1) | default dict -}}
{{- end -}}
{{- get $found "data" | default dict | toJson -}}
{{- end -}}

{{/* One secret: (dict "root" . "given" value "path" "values.path" "secret" name
"key" key "kind" "password" or "rsa" "must" refuse to generate). A generated one is kept for the rest of
the rendering, because two Secrets may hold it. */}}
{{- define "ssg.secret" -}}
{{- $root := .root -}}
{{- $earlier := get (include "ssg.earlier" (list $root .secret) | fromJson) .key -}}
{{- if .given -}}
{{- .given -}}
{{- else if $earlier -}}
{{- $earlier | b64dec -}}
{{- else if or $root.Values.gitops .must -}}
{{- required (printf "%s is required and empty: set it, or the existingSecret of its component (nothing is generated under gitops, nor beside a Secret that is not the chart's)" .path) .given -}}
{{- else -}}
{{- $made := get $root.Values "_made" | default dict -}}
{{- if not (hasKey $made .path) -}}
{{- if eq .kind "rsa" -}}
{{- $_ := set $made .path (genPrivateKey "rsa") -}}
{{- else -}}
{{- $_ := set $made .path (randAlphaNum 32) -}}
{{- end -}}
{{- $_ := set $root.Values "_made" $made -}}
{{- end -}}
{{- get $made .path -}}
{{- end -}}
{{- end -}}

{{/* The application's database password is in two Secrets. When MariaDB's
Secret is somebody else's, one that is made up here could not be the same. */}}
{{- define "ssg.dbPassword" -}}
{{- include "ssg.secret" (dict "root" . "given" .Values.mysql.auth.password "path" "mysql.auth.password" "secret" (include "ssg.mysqlSecret" .) "key" "password" "kind" "password" "must" (ne .Values.mysql.auth.existingSecret "")) -}}
{{- end -}}

{{/* MariaDB's certificate as JSON of ca, cert and key. Elliptic, because that
makes handshakes cheap on old processors; made here rather than by the server,
which would make another one at each start. */}}
{{- define "ssg.mysqlTLS" -}}
{{- $tls := .Values.mysql.tls -}}
{{- $earlier := include "ssg.earlier" (list . (include "ssg.mysqlSecret" .)) | fromJson -}}
{{- if or $tls.cert $tls.key $tls.ca .Values.gitops -}}
{{- dict "cert" (required "mysql.tls.cert is not set" $tls.cert) "key" (required "mysql.tls.key is not set" $tls.key) "ca" (required "mysql.tls.ca is not set" $tls.ca) | toJson -}}
{{- else if get $earlier "tls.crt" -}}
{{- dict "cert" (get $earlier "tls.crt" | b64dec) "key" (get $earlier "tls.key" | b64dec) "ca" (get $earlier "ca.crt" | b64dec) | toJson -}}
{{- else -}}
{{- $primary := include "ssg.serviceName" (list . "mysql-primary") -}}
{{- $ca := genCAWithKey (printf "MariaDB of %s" .Release.Namespace) 7300 (genPrivateKey "ecdsa") -}}
{{- $names := concat (include "ssg.dnsNames" (list . $primary) | fromJsonArray) (include "ssg.dnsNames" (list . (include "ssg.readHost" .)) | fromJsonArray) (list "localhost") -}}
{{- $cert := genSignedCertWithKey $primary (list "127.0.0.1") ($names | uniq) 7300 $ca (genPrivateKey "ecdsa") -}}
{{- $_ := set .Values "_tls" (get .Values "_tls" | default (dict "cert" $cert.Cert "key" $cert.Key "ca" $ca.Cert)) -}}
{{- get .Values "_tls" | toJson -}}
{{- end -}}
{{- end -}}
