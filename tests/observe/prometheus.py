"""Prometheus and promtool as tests use them: Debian's, on loopback, ended by process id."""

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

STARTED_SECONDS = 60
STOP_SECONDS = 30


def promtool(*arguments, stdin=None):
    """Returns (exit status, everything it said)."""
    program = shutil.which("promtool")
    assert program, "promtool is missing: make build-dev installs Debian's package prometheus"
    done = subprocess.run(
        [program, *map(str, arguments)],
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


class Prometheus:
    """One that scrapes `targets` twice a second, with its data under `folder`.

    `rules`: the text of a rule file; what its alerts wait for is not shortened here.
    """

    def __init__(self, folder, targets, rules="", job="fastserve"):
        program = shutil.which("prometheus")
        assert program, "prometheus is missing: make build-dev installs Debian's package"
        folder.mkdir()
        (folder / "rules.yml").write_text(rules)
        config = [
            'global: {scrape_interval: "500ms", scrape_timeout: "500ms",',
            '         evaluation_interval: "250ms"}',
            *(["rule_files: [rules.yml]"] if rules else []),
            "scrape_configs:",
            f"  - job_name: {json.dumps(job)}",
            "    static_configs:",
            f"      - targets: {json.dumps(targets)}",
        ]
        (folder / "prometheus.yml").write_text("\n".join(config) + "\n")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        self._log = folder / "log"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [
                    program,
                    f"--config.file={folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address={self.address}",
                    "--enable-feature=exemplar-storage",
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self):
        try:
            self.wait_for(self._is_started, "to start")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def query(self, expression):
        """By label set, as a sorted tuple of pairs: the value now."""
        found = self._get("query", query=expression)["result"]
        return {tuple(sorted(one["metric"].items())): float(one["value"][1]) for one in found}

    def exemplars(self, expression):
        """The labels of every exemplar of the last minute."""
        now = time.time()
        found = self._get("query_exemplars", query=expression, start=now - 60, end=now + 60)
        return [one["labels"] for series in found for one in series["exemplars"]]

    def firing(self):
        """The labels of the alerts that fire."""
        alerts = self._get("alerts")["alerts"]
        return [one["labels"] for one in alerts if one["state"] == "firing"]

    def wait_for(self, condition, what, seconds=STARTED_SECONDS):
        """Asks again until it holds: what it waits for is another process, that tells nobody."""
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, f"{what}: not in {seconds} s\n{self.said()}"
            time.sleep(0.1)
        return found

    def said(self):
        return f"{self._get('targets')}\n{self._log.read_text()[-4000:]}"

    def _is_started(self):
        try:
            with urllib.request.urlopen(f"http://{self.address}/-/ready", timeout=5):
                return True
        except OSError:
            return False

    def _get(self, path, **parameters):
        url = f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(error.read().decode()) from None
