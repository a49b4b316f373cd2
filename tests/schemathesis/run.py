"""Runs schemathesis against a throw-away cluster of three nodes, and looks at the cluster afterwards.

run.py PACELINE SCHEMATHESIS CASES: `scripts/fuzz api` calls it. Ends with 0 only where no check failed, so many cases were
run, the cluster is whole and quorate, its sample packages run, and no node was lost meanwhile.
"""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).parent
PORT = int(os.environ.get("PORT", "18400"))
API = f"http://127.0.0.1:{PORT}"
READY_SECONDS = 60
# An answer that takes longer is a hang: the configuration asks for no wait at all.
ANSWER_SECONDS = 10
# One round of examples makes a few thousand cases; rounds with new seeds are run until there are enough.
EXAMPLES = 100
ROUNDS_MAX = 20


def get(path):
    with urllib.request.urlopen(API + path, timeout=5) as answer:
        return json.load(answer)


def wait_ready(cluster):
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end:
        if cluster.poll() is not None:
            sys.exit("the cluster ended by itself")
        try:
            status = get("/v1/status")
            if status["quorate"] and len(status["members"]) == 3 and all(n["state"] == "up" for n in status["nodes"]):
                return
        except OSError:
            pass
        time.sleep(0.2)
    sys.exit(f"the cluster is not ready within {READY_SECONDS} s")


def one_round(schemathesis, number):
    """Cases and whether all checks passed."""
    command = [
        schemathesis, "--config-file", str(HERE / "schemathesis.toml"), "run", API + "/openapi.json", "--checks", "all",
        "--max-examples", str(EXAMPLES), "--seed", str(number), "--request-timeout", str(ANSWER_SECONDS),
        "--continue-on-failure", "--no-color", "--exclude-path", "/v1/members/{member}",
        # It has no end.
        "--exclude-path", "/v1/watch",
    ]
    run = subprocess.run(command, capture_output=True, text=True)
    cases = re.search(r"(\d+) generated", run.stdout)
    if run.returncode != 0:
        print(run.stdout, run.stderr)
    return int(cases.group(1)) if cases else 0, run.returncode == 0


def afterwards():
    """What is not well with the cluster."""
    wrong = []
    status = get("/v1/status")
    if not status["quorate"] or len(status["members"]) != 3:
        wrong.append(f"not quorate, or a member is gone: {status['members']}")
    down = [node["name"] for node in status["nodes"] if node["name"] in ("n1", "n2", "n3") and node["state"] != "up"]
    if down:
        wrong.append(f"not up: {down}")
    lost = get("/v1/events?kind=node-lost&limit=10")["events"]
    if lost:
        wrong.append(f"leases were lost: {lost}")
    actives = [
        package["name"]
        for package in status["packages"]
        if sum(instance["mode"] == "active" for instance in package["instances"]) > 1
    ]
    if actives:
        wrong.append(f"more than one active: {actives}")
    digests = set()
    for offset in (0, 2, 4):
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT + offset}/v1/status", timeout=5) as answer:
            found = json.load(answer)
            digests.add((found["index"], found["digest"]))
    by_index = {}
    for index, digest in digests:
        if by_index.setdefault(index, digest) != digest:
            wrong.append(f"servers disagree: {digests}")
    return wrong


def main():
    paceline, schemathesis, wanted = sys.argv[1], sys.argv[2], int(sys.argv[3])
    with tempfile.TemporaryDirectory(prefix="paceline-fuzz-api-") as runtime:
        environment = dict(os.environ, XDG_RUNTIME_DIR=runtime)
        cluster = subprocess.Popen(
            [paceline, "dev", "--port", str(PORT)], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            wait_ready(cluster)
            cases, passed = 0, True
            for number in range(1, ROUNDS_MAX + 1):
                if cases >= wanted:
                    break
                made, all_passed = one_round(schemathesis, number)
                cases, passed = cases + made, passed and all_passed
                print(f"round {number}: {made} cases, {'every check passed' if all_passed else 'FAILED'}", flush=True)
            wrong = afterwards()
            enough = cases >= wanted
            print(f"{cases} cases of {wanted}; afterwards: {'; '.join(wrong) or 'all is well'}")
            return 0 if passed and enough and not wrong else 1
        finally:
            cluster.send_signal(signal.SIGINT)
            try:
                cluster.wait(30)
            except subprocess.TimeoutExpired:
                cluster.kill()


sys.exit(main())
