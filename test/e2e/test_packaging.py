"""What is packaged: META.json follows PGXN's specification, and one version stands everywhere. No server needed."""
import json
import os
import re

from harness import build as where

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
