#!/bin/sh
# Unpacks Debian's Cyrus IMAP below a directory, because its packages conflict with Dovecot's:
#   benches/peers/unpack-cyrus.sh target/peers/cyrus
#   GATEPOST_BENCH_CYRUS=target/peers/cyrus cargo xtask bench --against dovecot,cyrus
# Nothing is installed or started. Needs root only for apt's lists.
set -eu
mkdir -p "$1/debs/partial"
cd "$1"
apt-get install --yes --download-only --no-install-recommends \
  -o Dir::Cache::archives="$PWD/debs" cyrus-imapd cyrus-pop3d
for deb in debs/*.deb; do
  dpkg -x "$deb" .
done
rm -r debs
