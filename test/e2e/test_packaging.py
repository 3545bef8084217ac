"""What is packaged: META.json follows PGXN's specification, one version stands everywhere, by the steps of docs/operations.md
the units and the one configuration lead to daemons that run, and alert rules name metrics that there are. Most of it needs no server."""
import glob
import json
import os
import re
import shutil
import subprocess

import pytest
import yaml

from harness import build as where
from world import ATTACH, CUSTOMERS, MIRROR

# https://pgxn.org/spec/ (1.0.0): what an uploaded distribution's META.json is checked for.
REQUIRED = {"name", "version", "abstract", "maintainer", "license", "provides", "meta-spec"}
OPTIONAL = {"description", "generated_by", "no_index", "prereqs", "release_status", "resources", "tags"}
LICENSES = {"agpl_3", "apache_1_1", "apache_2_0", "artistic_1", "artistic_2", "bsd", "freebsd", "gfdl_1_2", "gfdl_1_3", "gpl_1",
            "gpl_2", "gpl_3", "lgpl_2_1", "lgpl_3_0", "mit", "mozilla_1_0", "mozilla_1_1", "openssl", "perl_5", "postgresql",
            "qpl_1_0", "ssleay", "sun", "zlib", "open_source", "restricted", "unrestricted", "unknown"}
SEMVER = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-?[A-Za-z][0-9A-Za-z-]*)?")
PHASES = {"configure", "build", "test", "runtime", "develop"}
RELATIONS = {"requires", "recommends", "suggests", "conflicts"}


def text_of(path):
    with open(os.path.join(where.TOP, path), encoding="utf-8") as f:
        return f.read()


def is_term(name):
    return len(name) >= 2 and not re.search(r"[\s/\\\x00-\x1f]", name)


def faults(meta):
    """What PGXN would refuse."""
    found = [f"{key} is missing" for key in REQUIRED - meta.keys()]
    found += [f"{key} is not in the specification" for key in meta.keys() - REQUIRED - OPTIONAL if not key.lower().startswith("x_")]
    if found:
        return found
    names = meta["maintainer"] if isinstance(meta["maintainer"], list) else [meta["maintainer"]]
    licences = meta["license"] if isinstance(meta["license"], list) else [meta["license"]]
    checks = {
        "name": is_term(meta["name"]),
        "version": SEMVER.fullmatch(meta["version"]),
        "abstract": isinstance(meta["abstract"], str) and meta["abstract"],
        "maintainer": names and all(isinstance(name, str) and name for name in names),
        "license": licences and all(name in LICENSES for name in licences),
        "provides": isinstance(meta["provides"], dict) and meta["provides"],
        "meta-spec": re.fullmatch(r"1\.0\.\d+", meta["meta-spec"].get("version", "")),
        "release_status": meta.get("release_status", "stable") in {"stable", "testing", "unstable"},
        "tags": all(isinstance(tag, str) and 0 < len(tag) < 256 for tag in meta.get("tags", ["none"])),
    }
    found += [f"{key} is not as specified" for key, good in checks.items() if not good]
    for name, given in meta["provides"].items():
        if not is_term(name) or not SEMVER.fullmatch(given.get("version", "")) or not isinstance(given.get("file"), str):
            found.append(f"provides.{name} is not as specified")
    for phase, relations in meta.get("prereqs", {}).items():
        for relation, needs in relations.items():
            good = all(re.fullmatch(r"0|((==|!=|[<>]=?)?\s*" + SEMVER.pattern + ")", need) for need in needs.values())
            if phase not in PHASES or relation not in RELATIONS or not good:
                found.append(f"prereqs.{phase}.{relation} is not as specified")
    return found


def test_packaging_meta_json_follows_the_pgxn_specification():
    meta = json.loads(text_of("META.json"))
    assert faults(meta) == []
    for given in meta["provides"].values():
        for path in (given["file"], given["docfile"]):
            assert os.path.exists(os.path.join(where.TOP, path)), f"META.json names {path}, which is not there"
    # the checker can say no
    assert faults({**meta, "license": "ours"}) and faults({**meta, "version": "0.1"}) and faults({**meta, "extra": 1})
    assert faults({key: value for key, value in meta.items() if key != "meta-spec"})


def test_packaging_units_are_started_again_for_ever():
    for unit in ("relay", "consume"):
        text = text_of(f"packaging/muskrat-{unit}.service")
        assert re.search(r"^Restart=always$", text, re.M) and re.search(r"^StartLimitIntervalSec=0$", text, re.M)


def test_packaging_the_relays_unit_sees_the_boot_id():
    """Without it no relay can tell that the one before it is dead: it would stand by for lease_time after each crash."""
    assert not re.search(r"^ProcSubset=", text_of("packaging/muskrat-relay.service"), re.M)


def test_packaging_one_version_stands_everywhere():
    meta = json.loads(text_of("META.json"))
    found = {
        "META.json": meta["version"],
        "META.json provides": meta["provides"]["muskrat"]["version"],
        "Makefile": re.search(r"^VERSION +:= *(\S+)", text_of("Makefile"), re.M)[1],
        "extension/Makefile": re.search(r"^EXTVERSION +:= *(\S+)", text_of("extension/Makefile"), re.M)[1],
        "extension/muskrat.control": re.search(r"^default_version *= *'([^']+)'", text_of("extension/muskrat.control"), re.M)[1],
        "CHANGELOG.md": re.search(r"^## (\S+)", text_of("CHANGELOG.md"), re.M)[1],
    }
    assert len(set(found.values())) == 1, found


UNITS = {"relay": "packaging/muskrat-relay.service", "consume": "packaging/muskrat-consume.service"}


def documented_environment(unit):
    """What a unit's daemon gets: the files that the unit names, as docs/operations.md writes them."""
    written = dict(re.findall(r"^echo (\S+) \| sudo tee (/etc/muskrat/\S+\.env)$", text_of("docs/operations.md"), re.M))
    named = re.findall(r"^EnvironmentFile=-(\S+)$", text_of(UNITS[unit]), re.M)
    return dict(line.split("=", 1) for line, path in written.items() if path in named)


def example_with_secrets(folder):
    """The example in a folder, with a file for each secret that it names."""
    text = text_of("examples/muskrat.yaml")
    names = [name for name in re.findall(r"\$\{file:(\S+\.password)\}", text) if "$" not in name]
    users = re.search(r"^for user in (.*); do$", text_of("docs/operations.md"), re.M)[1].split()
    for secret in [*names, *(f"{user}.password" for user in users)]:
        (folder / secret).write_text("x\n")
    return shutil.copy(os.path.join(where.TOP, "examples", "muskrat.yaml"), folder)


@pytest.mark.parametrize("unit", UNITS)
def test_packaging_a_unit_starts_with_the_example_and_its_own_environment_alone(unit, tmp_path):
    verb = re.search(r"^ExecStartPre=/usr/local/bin/muskrat (check) --config /etc/muskrat/muskrat.yaml$", text_of(UNITS[unit]), re.M)[1]
    done = subprocess.run([os.path.join(where.default_build(), "muskrat"), verb, "--config", example_with_secrets(tmp_path)],
                          capture_output=True, text=True, check=False, timeout=60, env=documented_environment(unit))
    assert done.returncode == 0 and f" as muskrat_{unit}, " in done.stdout, done.stdout + done.stderr


def test_packaging_a_variable_of_the_shared_environment_reaches_both_units():
    for unit, path in UNITS.items():
        # The unit's own comes last and wins.
        assert re.findall(r"^EnvironmentFile=-(\S+)$", text_of(path), re.M) == ["/etc/muskrat/muskrat.env", f"/etc/muskrat/{unit}.env"]


def test_packaging_install_program_obeys_prefix_and_leaves_the_extension_out(tmp_path):
    program = os.path.join(where.default_build(), "muskrat")
    # -o: as it is, whatever has changed since it was built
    subprocess.run(["make", "-s", "-C", where.TOP, "-o", program, "install-program", f"BUILD={where.default_build()}",
                    f"DESTDIR={tmp_path}", "PREFIX=/usr"], check=True, capture_output=True, text=True, timeout=60)
    found = [os.path.relpath(path, tmp_path) for path in glob.glob(f"{tmp_path}/**", recursive=True) if os.path.isfile(path)]
    assert sorted(found) == ["usr/bin/muskrat", "usr/lib/systemd/system/muskrat-consume.service",
                             "usr/lib/systemd/system/muskrat-relay.service", "usr/lib/sysusers.d/muskrat.conf",
                             "usr/share/muskrat/alerts.yml", "usr/share/muskrat/muskrat.example.yaml"]
    assert os.access(tmp_path / "usr/bin/muskrat", os.X_OK)
    users = re.findall(r"^u (\S+) ", (tmp_path / "usr/lib/sysusers.d/muskrat.conf").read_text(), re.M)
    for verb in UNITS:
        unit = (tmp_path / f"usr/lib/systemd/system/muskrat-{verb}.service").read_text()
        assert f"\nExecStart=/usr/bin/muskrat {verb} --config" in unit and "\nExecStartPre=/usr/bin/muskrat check" in unit
        assert re.findall(r"^(?:User|Group)=(\S+)$", unit, re.M) == users * 2


STUBS = {
    "id": "echo 1000",
    "sudo": 'exec "$@"',
    "dpkg-query": "exit 1",
    "apt-get": """[ "$1" = install ] || exit 0
echo "$@" >$DEPS_ROOT/asked
cat $DEPS_ROOT/etc/postgresql-common/createcluster.conf >$DEPS_ROOT/during
[ -x $DEPS_ROOT/usr/sbin/policy-rc.d ] || exit 99
mkdir -p $DEPS_ROOT/usr/share/postgresql-common
echo "# create_main_cluster = true" >$DEPS_ROOT/usr/share/postgresql-common/createcluster.conf
exit ${APT_ENDS_WITH:-0}""",
}


@pytest.fixture
def deps(tmp_path):
    """Calls packaging/deps.sh as one who has nothing installed, with a folder in the place of /."""
    (tmp_path / "bin").mkdir()
    for name, script in STUBS.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "usr/sbin").mkdir(parents=True)

    def call(*args, **env):
        path = f"{tmp_path}/bin:{os.environ['PATH']}"
        return subprocess.run([os.path.join(where.TOP, "packaging/deps.sh"), *args], capture_output=True, text=True, check=False,
                              timeout=60, env={"PATH": path, "DEPS_ROOT": str(tmp_path), **env})
    return call


@pytest.mark.parametrize("apt_ends_with", ["0", "100"])
def test_packaging_deps_leave_no_setting_of_theirs_behind(deps, tmp_path, apt_ends_with):
    done = deps(APT_ENDS_WITH=apt_ends_with)
    assert str(done.returncode) == apt_ends_with, done.stderr
    assert (tmp_path / "during").read_text() == "create_main_cluster = false\n"
    assert not (tmp_path / "usr/sbin/policy-rc.d").exists()
    clusters = tmp_path / "etc/postgresql-common/createcluster.conf"
    assert clusters.read_text() == "# create_main_cluster = true\n"  # the package's own
    clusters.write_text("# an administrator's\n")
    deps()
    assert clusters.read_text() == "# an administrator's\n"


def test_packaging_deps_for_building_are_no_servers(deps, tmp_path):
    for option, extension in (("--build", True), ("--program", False)):
        assert deps(option).returncode == 0
        asked = (tmp_path / "asked").read_text().split()
        assert ("postgresql-server-dev" in " ".join(asked)) == extension and "libpq-dev" in asked
        assert not {"rabbitmq-server", "mariadb-server-core", "strace", "clang-tidy"} & set(asked)
        assert not [package for package in asked if re.fullmatch(r"postgresql-\d+", package)]


def test_packaging_documented_command_names_the_packages_of_the_libraries():
    (command,) = re.findall(r"^objdump -p build/muskrat .*$", text_of("docs/operations.md"), re.M)
    command = command.replace("build/muskrat", os.path.join(where.default_build(), "muskrat"))
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True, timeout=60)
    assert {"libpq5", "libc6"} <= set(done.stdout.split()) and done.stderr == ""


def test_packaging_documented_users_and_the_example_s_broker_move_a_customer(world):
    """The SQL, the broker's users with their permissions, and `broker` of the example, as docs/operations.md has them."""
    steps = text_of("docs/operations.md")
    users = re.search(r"^for user in (.*); do$", steps, re.M)[1].split()
    permissions = dict((user, list(rights)) for user, *rights in
                       re.findall(r"^sudo rabbitmqctl set_permissions -p / (\S+) '(.*?)' '(.*?)' '(.*?)'$", steps, re.M))
    assert sorted(users) == sorted(permissions)
    for user, who in (("muskrat", "an operator, for every verb"), ("muskrat_relay", "the relay"), ("muskrat_consume", "the host")):
        (row,) = [re.split(r"(?<!\\)\|", text) for text in steps.splitlines() if text.startswith(f"| {who} |")]
        assert [cell.strip().strip("`").replace("\\|", "|") for cell in row[2:5]] == permissions[user]
    (statements,) = [text for text in re.findall(r"```sql\n(.*?)```", steps, re.S) if "CREATE ROLE relay_user" in text]

    world.sql(CUSTOMERS)
    world.tsql(MIRROR)
    world.sql("DROP ROLE IF EXISTS relay_user")
    world.sql("DROP EXTENSION muskrat")  # it is made by the steps
    world.sql(statements)
    world.sql(ATTACH)
    broker = yaml.safe_load(text_of("examples/muskrat.yaml"))["broker"]
    address = world.broker.url.split("@")[1]
    world.configure({"analytics": world.mirror()}, source={"dsn": f"{world.front} user=relay_user"})
    world.program.config["broker"] = {"url": broker["url"].split("@")[0] + "@" + address, "password": broker["password"]}
    world.program.save()
    try:
        for user in users:
            # As there, the password on standard input.
            subprocess.run(f"{world.rabbitmq.ctl_command()} add_user {user}", input=f"of {user}\n", shell=True, text=True, check=True,
                           capture_output=True, cwd=world.rabbitmq.folder, timeout=60)
            world.rabbitmq.ctl("set_permissions", "-p", world.vhost, user, *permissions[user])
            with open(os.path.join(world.folder, f"{user}.password"), "w", encoding="utf-8") as f:
                f.write(f"of {user}\n")
        world.program.setup()
        world.program.relay(env=documented_environment("relay"))
        world.program.consume(env=documented_environment("consume"))
        world.customers(1)
        world.wait_equal()
        assert "PROBLEM" not in world.program.ok("check", "--online")
        world.program.ok("attached")
    finally:
        world.program.stop()
        for user in users:
            world.rabbitmq.ctl("delete_user", user, check=False)
        world.sql("DROP OWNED BY relay_user")
        world.sql("DROP ROLE relay_user")


# ---- alert rules ----

METRIC = r"\bmuskrat_[a-z_]+\b"


def alert_rules():
    return [rule for group in yaml.safe_load(text_of("packaging/alerts.yml"))["groups"] for rule in group["rules"]]


def metrics_that_there_are():
    """The golden ones, and those that only some configurations show (a quota's, the webhooks')."""
    found = {line.split()[0] for line in text_of("test/golden/metrics.txt").splitlines()}
    for folder in ("common", "consumer", "relay"):
        for path in glob.glob(os.path.join(where.TOP, folder, "**", "*.cpp"), recursive=True):
            found |= set(re.findall(f'"({METRIC})"', text_of(path)))
    return found


def test_packaging_alert_rules_are_whole_and_name_metrics_that_there_are():
    rules = alert_rules()
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}, rule
        assert re.fullmatch(r"\d+[mhd]", rule.get("for", "1m")), rule
        assert rule["labels"]["severity"] in ("warning", "critical") and rule["annotations"]["summary"], rule
        assert rule["expr"].count("(") == rule["expr"].count(")"), rule
        names = set(re.findall(METRIC, rule["expr"]))
        assert names or rule["expr"].startswith("up{"), rule
        assert names <= metrics_that_there_are(), rule


def test_packaging_each_metric_that_the_manual_says_to_watch_has_an_alert_rule():
    table = re.search(r"^## What to watch\n(.*?)^## ", text_of("docs/operations.md"), re.M | re.S)[1]
    watched = {name for row in re.findall(r"^\|([^|]*)\|", table, re.M) for name in re.findall(METRIC, row)}
    assert len(watched) > 10, table
    ruled = {name for rule in alert_rules() for name in re.findall(METRIC, rule["expr"])}
    assert watched <= ruled, watched - ruled
