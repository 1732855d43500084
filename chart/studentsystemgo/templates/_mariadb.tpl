{{/* What primary and replica share in their configuration. Only this file is
read: what the image brings in conf.d is left out. */}}
{{- define "ssg.mariadbConfig" -}}
[mariadbd]
port = 3306
# Names of clients are not looked up, so probes cannot block a client's address
# and a slow DNS cannot delay a login.
skip_name_resolve = ON
host_cache_size = 0
character_set_server = utf8mb4
tmpdir = /tmp
# Folders of the volume that are no databases.
ignore_db_dirs = lost+found
ignore_db_dirs = .quarantine
# Probes connect and leave without a word; that is no warning.
log_warnings = 1

# Sized for a small box.
innodb_buffer_pool_size = {{ .Values.mysql.bufferPool }}
innodb_log_file_size = 48M
max_connections = {{ .Values.mysql.maxConnections }}
performance_schema = OFF
table_open_cache = 400
table_definition_cache = 400

ssl_cert = /run/secrets/mysql/tls.crt
ssl_key = /run/secrets/mysql/tls.key
ssl_ca = /run/secrets/mysql/ca.crt
require_secure_transport = ON
gtid_strict_mode = ON
{{- end -}}
