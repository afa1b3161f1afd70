#!/bin/sh
# Unpacks Debian's Cyrus IMAP or Courier IMAP below a directory, because their packages conflict
# with Dovecot's:
#   benches/peers/unpack.sh cyrus target/peers/cyrus
#   benches/peers/unpack.sh courier target/peers/courier
# Nothing is installed or started. Needs root only for apt's lists.
set -eu
case $1 in
  cyrus) packages='cyrus-imapd cyrus-pop3d' ;;
  courier) packages='courier-imap courier-pop courier-authlib-userdb' ;;
esac
mkdir -p "$2/debs/partial"
cd "$2"
# shellcheck disable=SC2086
apt-get install --yes --download-only --no-install-recommends \
  -o Dir::Cache::archives="$PWD/debs" $packages
for deb in debs/*.deb; do
  dpkg -x "$deb" .
done
dpkg-deb -f debs/"${packages%% *}"_*.deb Version > VERSION
# /lib is a link to /usr/lib.
if [ -d lib ]; then
  cp -a lib/. usr/lib
  rm -r lib
fi
rm -r debs
