#!/bin/bash
# Before Elasticsearch starts for the first time: an authority, and a certificate for the name `elasticsearch`.
# Runs in Elasticsearch's own image, as root, and ends. Where a certificate is there already it does nothing
# but bring the password of `elastic` up to date.
#
# /server     only Elasticsearch sees it: its key, its certificate, the password of `elastic`
# /authority  everybody sees it: ca.crt, by which the server is known
set -euo pipefail
server=${SERVER_FOLDER:-/server}
authority=${AUTHORITY_FOLDER:-/authority}
secret=${ELASTIC_PASSWORD_SECRET:-/run/secrets/elastic_password}

if [[ ! -s $secret ]]; then
  echo "there is no password in $secret: run sh configs/deploy/secrets.sh first" >&2
  exit 2
fi
# The image takes a password only from a file that nobody else may read.
install --mode=0400 "$secret" "$server/elastic_password"

if [[ ! -s $server/elasticsearch.key || ! -s $authority/ca.crt ]]; then
  work=$(mktemp --directory)
  trap 'rm -rf "$work"' EXIT
  elasticsearch-certutil ca --silent --pem --days 3650 --out "$work/ca.zip"
  unzip -q "$work/ca.zip" -d "$work"
  elasticsearch-certutil cert --silent --pem --days 3650 --name elasticsearch \
    --ca-cert "$work/ca/ca.crt" --ca-key "$work/ca/ca.key" \
    --dns elasticsearch --dns localhost --ip 127.0.0.1 --out "$work/cert.zip"
  unzip -q "$work/cert.zip" -d "$work"
  install --mode=0444 "$work/ca/ca.crt" "$authority/ca.crt"
  install --mode=0444 "$work/ca/ca.crt" "$server/ca.crt"
  install --mode=0444 "$work/elasticsearch/elasticsearch.crt" "$server/elasticsearch.crt"
  # Last, for it is what says that all is there. The authority's own key is kept by nobody: to renew the
  # certificate, remove both volumes.
  install --mode=0400 "$work/elasticsearch/elasticsearch.key" "$server/elasticsearch.key"
fi
chown -R "${SERVER_OWNER:-1000:0}" "$server"
echo "the certificate and the password are in place"
