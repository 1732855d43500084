#!/bin/bash
# Starts RabbitMQ with the published image's contract.
set -eo pipefail

# Settings that earlier images took and current ones refuse rather than ignore.
deprecated=()
for name in RABBITMQ_DEFAULT_PASS_FILE RABBITMQ_DEFAULT_USER_FILE RABBITMQ_MANAGEMENT_SSL_CACERTFILE \
	RABBITMQ_MANAGEMENT_SSL_CERTFILE RABBITMQ_MANAGEMENT_SSL_KEYFILE RABBITMQ_SSL_CACERTFILE RABBITMQ_SSL_CERTFILE \
	RABBITMQ_SSL_KEYFILE RABBITMQ_VM_MEMORY_HIGH_WATERMARK; do
	[ -z "${!name}" ] || deprecated+=("$name")
done
if [ ${#deprecated[@]} -gt 0 ]; then
	printf 'error: %s is set but deprecated\n' "${deprecated[@]}" >&2
	echo 'error: deprecated environment variables detected: use a configuration file instead' >&2
	exit 1
fi

if [[ "$1" == rabbitmq* ]] && [ "$(id -u)" = 0 ]; then
	if [ "$1" = rabbitmq-server ]; then
		find /var/lib/rabbitmq \! -user rabbitmq -exec chown -h rabbitmq '{}' +
	fi
	exec gosu rabbitmq "$0" "$@"
fi

# A name with dots in it is a long one to Erlang, which must be told.
if [ -z "$RABBITMQ_USE_LONGNAME" ] && [[ "${RABBITMQ_NODENAME#*@}" == *.* ]]; then
	export RABBITMQ_USE_LONGNAME=true
fi

exec "$@"
