#!/bin/sh
# Debian's Courier IMAP as gatepost-bench runs it: with its own scripts and configuration, and these
# changes. It wants its paths below /etc, /usr and /run, and its packages conflict with Dovecot's;
# so it runs unpacked, in namespaces where its files lie over the system's. Nothing outside is
# touched. As root:
#   unshare --mount --pid --fork --kill-child sh courier.sh UNPACKED DIR IMAP POP3 IMAPS POP3S < users
# where users are lines of a name each, whose Maildirs are made below DIR.
set -eu
unpacked=$1 dir=$2
# Of `pass`; a single SHA-1 costs next to nothing.
password='{SHA}nU4eI71bcnBGqeO0t9tXvY1u5oQ='

mkdir -p "$dir/upper" "$dir/work" "$dir/mail"
mount -t overlay overlay -o "lowerdir=$unpacked/etc:/etc,upperdir=$dir/upper,workdir=$dir/work" /etc
mount -t overlay overlay -o "lowerdir=$unpacked/usr:/usr" /usr
mount -t tmpfs tmpfs /run
mkdir -p /run/courier/authdaemon

# Debian's courier is the user that couriertls gives its rights up for.
echo 'courier:x:65534:65534::/:/bin/false' >> /etc/passwd
echo 'courier:x:65534:' >> /etc/group
echo 'authmodulelist="authuserdb"' >> /etc/courier/authdaemonrc
while read -r user; do
  home=$dir/mail/$user
  mkdir -p "$home"
  [ -d "$home/Maildir" ] || maildirmake.courier "$home/Maildir"
  printf '%s\thome=%s|uid=65534|gid=65534|systempw=%s\n' "$user" "$home" "$password"
done > /etc/courier/userdb
chmod 700 /etc/courier/userdb
chown -R 65534:65534 "$dir/mail"
makeuserdb

cat "$dir/key.pem" "$dir/cert.pem" > /etc/courier/imapd.pem
cp /etc/courier/imapd.pem /etc/courier/pop3d.pem
chown courier /etc/courier/imapd.pem /etc/courier/pop3d.pem
chmod 600 /etc/courier/imapd.pem /etc/courier/pop3d.pem
# Limits out of the way, loopback only.
limits='ADDRESS=127.0.0.1 SSLADDRESS=127.0.0.1 MAXDAEMONS=5000 MAXPERIP=5000 TLS_CACHEFILE='
for door in imapd imapd-ssl pop3d pop3d-ssl; do
  printf '%s\n' $limits >> /etc/courier/$door
done
echo "PORT=$3 IMAP_ULIMITD=" >> /etc/courier/imapd
echo "PORT=$4" >> /etc/courier/pop3d
echo "SSLPORT=$5" >> /etc/courier/imapd-ssl
echo "SSLPORT=$6" >> /etc/courier/pop3d-ssl

authdaemond start
for door in imapd imapd-ssl pop3d pop3d-ssl; do
  /usr/sbin/$door start
done
# As the first process of its namespace: the others end with it.
sleep infinity &
wait
