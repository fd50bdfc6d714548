"""The machine that the simulated launchd is of: its knobs, domains and overrides, and what a file must be to be loaded."""

import asyncio
import json
import os
import plistlib
import pwd
import random
import stat
import time
import xml.parsers.expat

from answer import Answer
from job import Job

KNOBS_FILE = "/var/db/lab/knobs.json"
OVERRIDES = "/var/db/com.apple.xpc.launchd/disabled{}.plist"

KNOBS = {
    "speed": 1.0,  # seconds of the Mac in one of ours: throttles and timeouts pass so much faster
    "layout": 26,  # of print: that of macOS 12, 14, 26 or 27; also the release that sw_vers tells
    "auto-login": False,  # whether the user is at the screen after a reboot
    "eio-window": 0.0,  # seconds that a job's record outlives its process, beyond a moment
    "outlives": 0.0,  # seconds until a process hears that launchd has ended, and forgotten, its job: reported, 3.4
    "spawn-time": 0.05,  # seconds at most from a start to the program, of which any part is spent in each state between
    "bootout-code": 0,  # what a bootout that has begun answers: 0, on older and busy machines 36 (osquery/osquery#5698)
    "duplicate-code": 5,  # what bootstrap of a job that is there answers: 5, 17 or 37, by release; 0: any of them
    "kickstart-running-code": 0,  # what kickstart of a job that runs answers: 0 or 37
    "hangs": "",  # a verb that never comes back (kirodotdev/KiroCrew#1698: a kickstart, for seven minutes)
    "never-spawns": False,  # a job is bootstrapped and not started (openbase#15)
    "stays-scheduled": False,  # a job is to be started and never is
    "unkillable": False,  # what launchd tells a process to do is without effect, as for one that waits for a dead disk
    "sudo": False,  # whether the user may act as root without a password; "refused": may not at all
    "headless-code": 125,  # what a gui domain that is not there answers: 125 or 112
    "login-items": True,  # whether it is switched on there, which can be done for agents and daemons alike
    "no-user-domain": False,  # whether a login in the background fails to make the domain of the user
}

class Domain:
    def __init__(self, mac, kind, uid, session):
        self.mac, self.kind, self.uid, self.session = mac, kind, uid, session
        self.name = kind if uid is None else f"{kind}/{uid}"
        self.jobs = {}
        self.closing = False
        self.agent_socket = f"/private/tmp/com.apple.launchd.{session}/Listeners"

    @property
    def words(self):
        """How messages call it."""
        return {"system": "system", "gui": f"user gui: {self.uid}", "user": f"uid: {self.uid}"}[self.kind]


class Mac:
    def __init__(self):
        self.loop = asyncio.get_running_loop()
        self.knobs = dict(KNOBS)
        if os.path.exists(KNOBS_FILE):
            with open(KNOBS_FILE, encoding="utf-8") as file:
                self.knobs.update(json.load(file))
        self.sessions = 100000
        self.domains = {}
        self.calls = []
        self.add_domain("system", None)

    # What jobs need of the machine.

    def knob(self, name):
        return self.knobs[name]

    @property
    def layout(self):
        return self.knob("layout")

    def now(self):
        return time.monotonic() * self.knob("speed")

    def later(self, seconds, call):
        return self.loop.call_later(seconds / self.knob("speed"), call)

    @staticmethod
    def moment(most):
        """Seconds of ours, by chance: what goes well only as long as launchd is quick is to fail now and then."""
        return random.uniform(0, most)

    def log(self, text):
        print(f"launchd: {text}", flush=True)

    def await_pipe(self, reader, call):
        def readable():
            said = os.read(reader, 4096)
            self.loop.remove_reader(reader)
            os.close(reader)
            call(said)

        self.loop.add_reader(reader, readable)

    def await_process(self, pid, call):
        descriptor = os.pidfd_open(pid)

        def readable():
            self.loop.remove_reader(descriptor)
            os.close(descriptor)
            call(os.waitpid(pid, 0)[1])

        self.loop.add_reader(descriptor, readable)

    # Domains.

    def add_domain(self, kind, uid):
        self.sessions += 1
        domain = Domain(self, kind, uid, self.sessions)
        self.domains[domain.name] = domain
        return domain

    def boot(self):
        """Daemons are loaded at boot, agents of a user at the login on the screen: launchd(8)."""
        self.load_folder(self.domains["system"], "/Library/LaunchDaemons")
        if self.knob("auto-login"):
            self.login(1000)

    def login(self, uid):
        """A background login makes the user domain, one at the screen the gui domain too: launchctl(1)."""
        if f"gui/{uid}" not in self.domains:
            self.background_login(uid)
            domain = self.add_domain("gui", uid)
            home = pwd.getpwuid(uid).pw_dir
            for folder in ("/Library/LaunchAgents", f"{home}/Library/LaunchAgents"):
                self.load_folder(domain, folder)

    def background_login(self, uid):
        """By sshd. Third-party agents are not loaded then, not even after a reboot (nix-community/home-manager#9656)."""
        if self.knob("no-user-domain"):
            self.domains.pop(f"user/{uid}", None)
        elif uid != 0 and f"user/{uid}" not in self.domains:
            self.add_domain("user", uid)

    def logout(self, uid):
        if domain := self.domains.get(f"gui/{uid}"):
            self.close(domain)

    def close(self, domain):
        """All its jobs are booted out; it is there until the last of them is gone: launchctl(1), bootout of a domain."""
        domain.closing = True
        for job in list(domain.jobs.values()):
            job.boot_out()
        self.left(domain)

    def left(self, domain):
        if domain.closing and not domain.jobs:
            self.domains.pop(domain.name, None)

    def load_folder(self, domain, folder):
        if os.path.isdir(folder):
            for name in sorted(os.listdir(folder)):
                path = os.path.join(folder, name)
                try:
                    self.load(domain, path)
                except Answer as answer:
                    self.log(f"{path} is not loaded: {answer.code}")

    def load(self, domain, path):
        """What must be right about a file and its job, after its domain; the order of the checks is a guess."""
        job = Job(domain, *definition(domain, path))
        if self.overrides(domain).get(job.label):
            raise Answer(119)
        # Reported, not seen: 3.7.
        if not self.knob("login-items"):
            raise Answer(161)
        # Aqua where nothing is said: launchd.plist(5), LimitLoadToSessionType; 134 (duh17/oppi#31).
        sessions = job.plist.get("LimitLoadToSessionType", "Aqua")
        wanted = {"gui": "Aqua", "user": "Background"}.get(domain.kind)
        if wanted and wanted not in ([sessions] if isinstance(sessions, str) else sessions):
            raise Answer(134)
        if present := domain.jobs.get(job.label):
            # Loaded already, or on its way out (headroomlabs-ai/headroom#1289: 5): the definition that is there stays.
            code = self.knob("duplicate-code") or random.choice((5, 17, 37))
            raise Answer(5 if present.leaving else code, "service already bootstrapped")
        domain.jobs[job.label] = job
        job.evaluate()

    # Overrides: one set for both domains of a user, outside the property lists and kept over reboots: launchctl(1).

    def overrides(self, domain):
        try:
            with open(override_file(domain), "rb") as file:
                return plistlib.load(file)
        except FileNotFoundError:
            return {}

    def override(self, domain, label, off):
        os.makedirs(os.path.dirname(OVERRIDES), exist_ok=True)
        overrides = {**self.overrides(domain), label: off}
        with open(override_file(domain), "wb") as file:
            plistlib.dump(overrides, file)


def override_file(domain):
    return OVERRIDES.format("" if domain.uid is None else f".{domain.uid}")


def definition(domain, path):
    """Reads a property list as far as launchd is particular about it."""
    try:
        found = os.lstat(path)
    except OSError:
        raise Answer(2) from None
    # launchd 842, launchctl.c, path_goodness_check: "Dubious ownership on file (skipping)"; what is not called *.plist is
    # not looked at there.
    owners = (0,) if domain.uid is None else (0, domain.uid)
    good = stat.S_ISREG(found.st_mode) and path.endswith(".plist")
    if not good or found.st_uid not in owners or found.st_mode & 0o022:
        raise Answer(122)
    try:
        with open(path, "rb") as file:
            plist = plistlib.load(file)
    except (OSError, ValueError, xml.parsers.expat.ExpatError):
        raise Answer(109) from None
    if not isinstance(plist, dict):
        raise Answer(109)
    # Label and Program or ProgramArguments are required: launchd.plist(5). Whether the program is there is not asked.
    label = plist.get("Label")
    if not isinstance(label, str) or not label:
        raise Answer(110)
    if not plist.get("Program") and not plist.get("ProgramArguments"):
        raise Answer(111)
    # UserName counts in the system domain only: launchd.plist(5). launchctl has a number for a name that nobody has.
    if domain.uid is None and "UserName" in plist:
        try:
            pwd.getpwnam(plist["UserName"])
        except KeyError:
            raise Answer(114) from None
    return label, path, plist
