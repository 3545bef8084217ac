#!/bin/sh
# Installs the Debian packages that Muskrat's build, tests and demo need. Prints what it does; does nothing when all are
# there. No service that was not running before is running afterwards: packages that would start one are told not to.
#   deps.sh [--quiet] [--bench | --build | --program]
#     --quiet: say nothing when nothing is missing; --bench: the peers that are measured, too; --build: what building the
#     program and the extension takes, and no server; --program: what the program takes by itself
# DEPS_ROOT is for its test: a folder in the place of /.
set -eu

quiet=
what=all
root=${DEPS_ROOT:-}
for option in "$@"; do
    case $option in
    --quiet) quiet=--quiet ;;
    --bench | --build | --program) what=${option#--} ;;
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

program="g++ make pkg-config libpq-dev librabbitmq-dev libmariadb-dev libcurl4-openssl-dev libsqlite3-dev libjq-dev
 libjansson-dev rapidjson-dev libyaml-cpp-dev libcli11-dev libspdlog-dev libfmt-dev prometheus-cpp-dev libcpp-httplib-dev libhowardhinnant-date-dev tzdata libssl-dev
 libexpat1-dev"
extension="postgresql-server-dev-$major"
tests="ccache openssl postgresql-$major postgresql-client-$major rabbitmq-server mariadb-server-core mariadb-client-core
 libcmocka-dev python3 python3-pika python3-psycopg2 python3-pyflakes python3-pymysql python3-pytest python3-yaml strace
 clang-format clang-tidy git"
case $what in
program) packages=$program ;;
build) packages="$program $extension" ;;
all) packages="$program $extension $tests" ;;
bench) packages="$program $extension $tests postgresql-$major-pgq3 postgresql-$major-tablelog postgresql-$major-wal2json" ;;
esac

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
policy=$root/usr/sbin/policy-rc.d
policy_placed=
# Nor may postgresql-common make a cluster that would start at the next boot; who installs PostgreSQL later wants one.
clusters=$root/etc/postgresql-common/createcluster.conf
clusters_placed=
as_before() {
    [ -z "$policy_placed" ] || $as_root rm -f "$policy"
    [ -z "$clusters_placed" ] || $as_root rm -f "$clusters"
    # What the package would have put there.
    template=$root/usr/share/postgresql-common/createcluster.conf
    [ -z "$clusters_placed" ] || [ ! -e "$template" ] || $as_root cp "$template" "$clusters"
}
trap as_before EXIT
trap 'exit 1' INT TERM
if [ ! -e "$policy" ]; then
    policy_placed=1
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
    $as_root chmod 755 "$policy"
fi
if [ ! -e "$clusters" ]; then
    clusters_placed=1
    $as_root mkdir -p "${clusters%/*}"
    echo 'create_main_cluster = false' | $as_root tee "$clusters" >/dev/null
fi
$as_root apt-get update -qq
# shellcheck disable=SC2086
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
echo "deps: done"
if [ -n "$clusters_placed" ] && [ "$what" != program ] && [ "$what" != build ]; then
    echo "deps: PostgreSQL has no cluster of its own; if you want one: pg_createcluster $major main --start"
fi
