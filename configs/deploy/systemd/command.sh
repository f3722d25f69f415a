#!/bin/sh
# A command of Groundswell with the settings, the passwords and the user of the service, for root. Installed as
# /usr/local/sbin/groundswell; docs/deploy.md has examples.
#
# The passwords reach the command as they reach the service: as files that nobody else sees. The user of the
# service may not enter every folder, so give files by `-` and `<`.
set -eu
if [ -t 0 ] && [ -t 1 ]; then way=--pty; else way=--pipe; fi
exec systemd-run --quiet --collect --wait "$way" --uid=groundswell --gid=groundswell \
  --property=EnvironmentFile=-/etc/groundswell/environment \
  --property=LoadCredential=elasticsearch_password:/etc/groundswell/secrets/groundswell_password \
  --property=LoadCredential=kafka_password:/etc/groundswell/secrets/kafka_password \
  --setenv=GROUNDSWELL_CONFIG=/etc/groundswell/groundswell.toml \
  --setenv=GROUNDSWELL_HOME=/var/lib/groundswell \
  --setenv=GROUNDSWELL_AS="${GROUNDSWELL_AS:-${SUDO_USER:-}}" \
  /bin/sh -c '
    export GROUNDSWELL_ELASTICSEARCH_PASSWORD_FILE="$CREDENTIALS_DIRECTORY/elasticsearch_password"
    export GROUNDSWELL_KAFKA_PASSWORD_FILE="$CREDENTIALS_DIRECTORY/kafka_password"
    exec /opt/groundswell/bin/groundswell "$@"
  ' groundswell "$@"
