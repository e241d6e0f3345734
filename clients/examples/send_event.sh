#!/bin/sh
# Send two events by curl, again until the collector has answered.
# COLLECTOR_URL and EVENTS_TOKEN are its address and a token.
set -eu

# With ids of its own, the request may be repeated as often as needed.
body=$(printf '[{"id":"%s","name":"page_view","user_id":"u1"},{"id":"%s","name":"sign_up","properties":{"plan":"free"}}]' \
    "$(cat /proc/sys/kernel/random/uuid)" "$(cat /proc/sys/kernel/random/uuid)")

# --retry repeats after 408, 429 and 5xx, and waits for Retry-After.
curl --silent --show-error --fail-with-body \
    --retry 8 --retry-all-errors --retry-max-time 120 \
    --header "Authorization: Bearer $EVENTS_TOKEN" \
    --header "Content-Type: application/json" \
    --data "$body" \
    "$COLLECTOR_URL/events"
