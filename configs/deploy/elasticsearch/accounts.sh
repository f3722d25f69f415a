#!/bin/bash
# Once Elasticsearch is up: a role with the rights that Groundswell needs and no others, and a user who has it.
# Repeating it changes nothing; a changed role file or password is taken over.
set -euo pipefail
url=${ELASTICSEARCH_URL:-https://elasticsearch:9200}
ca=${CA_FILE:-/authority/ca.crt}
secrets=${SECRETS_FOLDER:-/run/secrets}
role=${ROLE_FILE:-/setup/elasticsearch-role.json}
admin=${ADMIN_NAME:-elastic}
user=groundswell

quoted() {
  # A text as JSON and curl's own files write it, for passwords that somebody chose by hand.
  local text
  text=$(< "$1")
  text=${text//\\/\\\\}
  printf '"%s"' "${text//\"/\\\"}"
}

put() {
  # By files, not by arguments: a list of processes shows those.
  curl --silent --show-error --fail-with-body --cacert "$ca" \
    --config <(printf 'user = "%s:%s\n' "$admin" "$(quoted "$secrets/elastic_password" | cut -c2-)") \
    --header 'Content-Type: application/json' --request PUT --data-binary "@$2" "$url/_security/$1"
}

put "role/$user" "$role"
put "user/$user" <(printf '{"roles": ["%s"], "password": %s}' "$user" "$(quoted "$secrets/groundswell_password")")
echo "Elasticsearch knows the user $user"
