#!/bin/bash
# Keeps the search path and what else of the environment jobs may see.
printf '%s\n' "$PATH" >.path
[ -e .env ] || : >.env
for name in LANG JAVA_HOME ANT_HOME M2_HOME ANDROID_HOME ANDROID_SDK_ROOT GRADLE_HOME NVM_BIN NVM_PATH VSTS_HTTP_PROXY VSTS_HTTP_PROXY_USERNAME VSTS_HTTP_PROXY_PASSWORD http_proxy https_proxy no_proxy; do
	value=${!name:-}
	if [ -n "$value" ] && ! grep -q "^$name=" .env; then
		printf '%s=%s\n' "$name" "$value" >>.env
	fi
done
