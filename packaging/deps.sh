#!/bin/sh
# Installs the Debian packages that Muskrat's build, tests and demo need. Prints what it does; does nothing when all are
# there. No service that was not running before is running afterwards: packages that would start one are told not to.
#   deps.sh [--quiet] [--bench]   --quiet: say nothing when nothing is missing; --bench: the peers that are measured, too
set -eu

quiet=
bench=
for option in "$@"; do
    case $option in
    --quiet) quiet=--quiet ;;
    --bench) bench=1 ;;
    *) echo "deps: there is no option $option" >&2; exit 2 ;;
    esac
done
major=$(ls -d /usr/lib/postgresql/*/bin/postgres 2>/dev/null | sed 's|.*/postgresql/\([0-9]*\)/.*|\1|' | sort -n | tail -1)
if [ -z "$major" ]; then
    # shellcheck disable=SC1091
    case $(. /etc/os-release && echo "${VERSION_CODENAME:-}") in
    bookworm) major=15 ;;
    trixie) major=17 ;;
    *) major=$(apt-cache depends postgresql 2>/dev/null | sed -n 's/.*Depends: postgresql-\([0-9]*\)$/\1/p' | head -1) ;;
    esac
fi
[ -n "$major" ] || { echo "deps: cannot tell which PostgreSQL this Debian has; run 'apt-get update' and try again" >&2; exit 1; }

packages="g++ make pkg-config ccache
 postgresql-$major postgresql-client-$major postgresql-server-dev-$major libpq-dev
 rabbitmq-server librabbitmq-dev mariadb-server-core mariadb-client-core libmariadb-dev
 libcurl4-openssl-dev libsqlite3-dev libjq-dev
 libjansson-dev rapidjson-dev libyaml-cpp-dev libcli11-dev libspdlog-dev libfmt-dev prometheus-cpp-dev libcpp-httplib-dev libhowardhinnant-date-dev tzdata libssl-dev openssl
 libexpat1-dev libcmocka-dev python3 python3-pika python3-psycopg2 python3-pyflakes python3-pymysql python3-pytest python3-yaml strace
 clang-format clang-tidy git"
[ -z "$bench" ] || packages="$packages postgresql-$major-pgq3 postgresql-$major-tablelog postgresql-$major-wal2json"

missing=
for p in $packages; do
    dpkg-query -W -f '${db:Status-Status}\n' "$p" 2>/dev/null | grep -qx installed || missing="$missing $p"
done
if [ -z "$missing" ]; then
    [ "$quiet" = --quiet ] || echo "deps: everything is installed"
    exit 0
fi
echo "deps: installing$missing"

as_root=
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "deps: not root and no sudo; ask an administrator to run: apt-get install$missing" >&2; exit 1; }
    as_root=sudo
fi

# Debian starts a service as soon as its package is in. The policy file says no while we install; one that is
# there already is the administrator's and stays.
policy=/usr/sbin/policy-rc.d
placed=
if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' | $as_root tee $policy >/dev/null
    $as_root chmod 755 $policy
    placed=1
    trap '[ -z "$placed" ] || $as_root rm -f $policy' EXIT INT TERM
fi
# Nor may postgresql-common make a cluster that would start at the next boot.
if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    $as_root mkdir -p /etc/postgresql-common
    echo 'create_main_cluster = false' | $as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
fi
$as_root apt-get update -qq
# shellcheck disable=SC2086
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
echo "deps: done"
