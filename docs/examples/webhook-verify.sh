#!/bin/sh
# Checks one webhook with openssl: exit code 0 when the signature holds.
# Usage: FOREMAN_WEBHOOK_SECRET=… webhook-verify.sh BODY_FILE "$webhook_id" "$webhook_timestamp" "$webhook_signature"
set -eu
body=$1 id=$2 timestamp=$3 signatures=$4

hex() { od -An -v -tx1 | tr -d ' \n'; }

# whsec_ and base64 stand for the bytes; any other text is the key itself.
case $FOREMAN_WEBHOOK_SECRET in
whsec_*) key=$(printf '%s' "${FOREMAN_WEBHOOK_SECRET#whsec_}" | openssl base64 -d -A | hex) ;;
*) key=$(printf '%s' "$FOREMAN_WEBHOOK_SECRET" | hex) ;;
esac

case $timestamp in '' | *[!0-9]*) echo "no timestamp" >&2; exit 1 ;; esac
age=$(($(date +%s) - timestamp))
if [ "$age" -gt 300 ] || [ "$age" -lt -300 ]; then
  echo "too old or from the future: $age s" >&2
  exit 1
fi

expected=v1,$({ printf '%s.%s.' "$id" "$timestamp"; cat "$body"; } |
  openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | openssl base64 -A)

case " $signatures " in
*" $expected "*) echo "genuine" ;;
*) echo "bad signature" >&2; exit 1 ;;
esac
