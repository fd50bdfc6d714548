"""The verbs of launchctl, as far as a tool needs them, and the two programs beside it."""

import asyncio
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import time

import show
from answer import Answer, bootstrap_failure, failure
from mac import KNOBS, KNOBS_FILE

PS = "/usr/libexec/lab/ps"


LSTART = re.compile(r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}")
BOOT = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


def exact(pid, line):
    """With the second in which a process began in place of what procps makes of two clocks, which may be the one before."""
    try:
        with open(f"/proc/{int(pid)}/stat", encoding="utf-8", errors="replace") as file:
            ticks = int(file.read().rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return line
    began = time.gmtime(BOOT + ticks / os.sysconf("SC_CLK_TCK"))
    return LSTART.sub(time.strftime("%a %b %e %H:%M:%S %Y", began), line, count=1)


class Call:
    """One call of launchctl, by a user."""

    def __init__(self, mac, uid, request):
        self.mac, self.uid, self.request = mac, uid, request
        self.args = request["args"]

    async def run(self):
        if self.request["program"] in ("ps", "lsof"):
            return getattr(self, self.request["program"])()
        if self.request["program"] == "sudo":
            return await self.sudo()
        if self.request["program"] == "mac":
            return await self.hand()
        self.mac.background_login(self.uid)
        verb, self.args = (self.args or ["help"])[0], self.args[1:]
        # The other verbs of old exit with 0 when they fail: no tool may use them.
        verbs = {
            "bootstrap": self.bootstrap,
            "bootout": self.bootout,
            "enable": self.enable,
            "disable": self.disable,
            "kickstart": self.kickstart,
            "kill": self.kill,
            "print": self.print,
            "print-disabled": self.print_disabled,
            "start": self.start,
            "stop": self.stop,
            "managername": self.managername,
            "help": self.help,
        }
        if verb not in verbs:
            raise Answer(1, f"Unrecognized subcommand: {verb}\n")
        call = [verb, self.args[-1] if self.args else "", None]
        self.mac.calls.append(call)
        if verb == self.mac.knob("hangs"):
            await asyncio.Event().wait()
        try:
            answer = await verbs[verb]()
        except Answer as raised:
            answer = raised
        call[2] = answer.code
        return answer

    # Targets.

    def domain(self, target, usage):
        """system, user/UID or gui/UID, with no more than three parts: launchctl(1)."""
        kind, *rest = target.split("/", 2)
        if kind == "system":
            return self.mac.domains["system"], "/".join(rest)
        if kind not in ("user", "gui") or not rest or not rest[0].isdigit():
            raise Answer(64, usage)
        domain = self.mac.domains.get(f"{kind}/{rest[0]}")
        if domain is None:
            # No login at the screen: 125 over SSH (nix-community/home-manager#9629), 112 where there is no domain at all.
            own = kind == "gui" and self.uid == int(rest[0])
            raise Answer(self.mac.knob("headless-code") if own else 112)
        if self.uid not in (0, domain.uid):
            raise Answer(1)
        if domain.closing:
            raise Answer(124)
        return domain, "/".join(rest[1:])

    def service(self, target, usage):
        domain, label = self.domain(target, usage)
        if not label:
            raise Answer(64, usage)
        return domain, label, domain.jobs.get(label)

    def need_root(self, domain):
        if domain.kind == "system" and self.uid != 0:
            raise Answer(1)

    def argument(self, usage, number=1):
        if len(self.args) != number:
            raise Answer(64, usage)
        return self.args[0]

    # Verbs. What bad_usage says is launchctl's first line about it.

    bad_usage = "Unrecognized target specifier.\n"

    async def bootstrap(self):
        self.argument("Usage: launchctl bootstrap <domain-target> [service-path, service-path2, ...]\n", 2)
        path = os.path.join(self.request["dir"], self.args[1])
        try:
            domain, _ = self.domain(self.args[0], self.bad_usage)
            self.need_root(domain)
            self.mac.load(domain, path)
        except Answer as answer:
            raise bootstrap_failure(answer, path, self.uid) from None
        return Answer(0)

    async def bootout(self):
        if self.args[:1] == ["--wait"]:
            # Since 26; before, it is taken for a target (nix-community/home-manager#9585).
            if self.mac.layout < 26:
                raise Answer(64, f"{self.bad_usage}Usage: launchctl bootout <domain-target> | <service-target>\n")
            self.args = self.args[1:]
            return await self.bootout_now(wait=True)
        return await self.bootout_now(wait=False)

    async def bootout_now(self, wait):
        # By path it reads the label from a file that may be gone (DeterminateSystems/nix-installer#1230): not simulated.
        target = self.argument(self.bad_usage)
        try:
            domain, label = self.domain(target, self.bad_usage)
            self.need_root(domain)
            if not label and domain.kind == "system":
                raise Answer(150)
        except Answer as answer:
            raise failure("Boot-out failed: {}", answer) from None
        if not label:
            # Ends the session, with all that is in it: launchctl(1).
            self.mac.close(domain)
            return Answer(0)
        job = domain.jobs.get(label)
        if job is None:
            raise failure("Boot-out failed: {}", Answer(3))
        if job.leaving:
            raise failure("Boot-out failed: {}", Answer(36))
        job.boot_out()
        if wait and label in domain.jobs:
            await self.answer_of(job)
        code = self.mac.knob("bootout-code")
        return failure("Boot-out failed: {}", Answer(code)) if code else Answer(0)

    async def enable(self):
        return self.override("enable", off=False)

    async def disable(self):
        # Nothing that runs is stopped by it: launchctl(1).
        return self.override("disable", off=True)

    def override(self, verb, off):
        target = self.argument(f"Usage: launchctl {verb} <service-target>\n")
        try:
            domain, label, _ = self.service(target, self.bad_usage)
            self.need_root(domain)
        except Answer as answer:
            raise failure(f"Could not {verb} service: {{}}", answer) from None
        self.mac.override(domain, label, off)
        return Answer(0)

    async def kickstart(self):
        options = set()
        while self.args and self.args[0] in ("-k", "-p", "-kp"):
            options |= set(self.args.pop(0)[1:])
        target = self.argument("Usage: launchctl kickstart [-k] [-p] <service-target>\n")
        domain, label, job = self.found(target, 'Could not kickstart service "{}": {{}}')
        self.need_root(domain)
        if job.leaving:
            # Answered without a word: launchctl takes EALREADY for no failure, and exits with it.
            raise Answer(37)
        code = 0
        if job.pid and "k" in options:
            # Kills, waits, and starts the definition that was read at bootstrap: launchctl(1), kickstart -k.
            job.again = True
            job.terminate()
            await self.answer_of(job)
        elif job.pid:
            code = self.mac.knob("kickstart-running-code")
        else:
            # Not before the throttle interval is over; whether a release lets it pass is not known.
            job.start("non-ipc demand")
            await self.answer_of(job)
        if label not in domain.jobs:
            raise self.not_found(domain, label)
        out = ""
        if "p" in options:
            out = f"service spawned with pid: {job.pid}\n" if self.request["tty"] else f"{job.pid}\n"
        return Answer(code, out=out)

    async def kill(self):
        number = signal_number(self.argument("Usage: launchctl kill <signal> <service-target>\n", 2))
        domain, _, job = self.found(self.args[1], "Could not signal service: {}")
        if domain.kind == "system" and self.uid != 0:
            raise Answer(1, "Not privileged to signal service.\n")
        if not job.pid:
            raise Answer(3, "No process to signal.\n")
        # No more than that: what KeepAlive says holds.
        job.signal(number)
        return Answer(0)

    async def start(self):
        self.of_old().start("non-ipc demand")
        return Answer(0)

    async def stop(self):
        self.of_old().stop()
        return Answer(0)

    def of_old(self):
        """The job of a verb that names no domain: it is in that of whoever calls, which for sshd is the background's."""
        label = self.argument("Usage: launchctl start|stop <service-name>\n")
        domain = self.mac.domains["system" if self.uid == 0 else f"user/{self.uid}"]
        if label not in domain.jobs:
            raise Answer(3)
        return domain.jobs[label]

    async def print(self):
        target = self.argument("Usage: launchctl print <domain-target> | <service-target>\n")
        try:
            domain, label = self.domain(target, self.bad_usage)
        except Answer as answer:
            if answer.code == 112:
                raise Answer(112, f"Bad request.\nCould not find domain for {self.words(target)}\n") from None
            raise failure("Could not print domain: {}", answer) from None
        if not label:
            return Answer(0, out=show.domain(domain))
        job = domain.jobs.get(label)
        if job is None:
            raise Answer(113, "Bad request.\n" + self.not_found(domain, label).err)
        return Answer(0, out=show.job(job))

    async def print_disabled(self):
        try:
            domain, _ = self.domain(self.argument("Usage: launchctl print-disabled <domain-target>\n"), self.bad_usage)
        except Answer as answer:
            raise failure("Could not print disabled services: {}", answer) from None
        return Answer(0, out=show.disabled(self.mac.overrides(domain), self.mac.layout))

    async def managername(self):
        # A session of sshd's is a Background one, whoever is at the screen.
        return Answer(0, out="System\n" if self.uid == 0 else "Background\n")

    async def help(self):
        wait = " [--wait]" if self.mac.layout >= 26 else ""
        return Answer(0, out=f"Usage: launchctl bootout{wait} <domain-target> | <service-target>\n")

    def found(self, target, words):
        try:
            domain, label, job = self.service(target, self.bad_usage)
        except Answer as answer:
            raise failure(words.format(target.split("/")[-1]), answer) from None
        if job is None:
            raise self.not_found(domain, label)
        return domain, label, job

    def not_found(self, domain, label):
        return Answer(113, f'Could not find service "{label}" in domain for {domain.words}\n')

    @staticmethod
    def words(target):
        kind, _, uid = target.partition("/")
        return {"gui": f"user gui: {uid}", "user": f"uid: {uid}"}.get(kind, target)

    async def answer_of(self, job):
        """Until it was spawned, or is gone."""
        future = self.mac.loop.create_future()
        job.waiting.append(future)
        await future

    # What is not launchctl.

    def ps(self):
        # There `comm` is the path of the program: ps(1).
        args = ["exe=" if word == "comm=" else word for word in self.args]
        env = {**os.environ, **self.request["env"]}
        found = subprocess.run([PS, "-ww", *args], capture_output=True, text=True, check=False, env=env)
        # A line has 79 columns without a terminal, 131 with -w, as many as it wants with -ww: ps.c of the BSDs,
        # where that program comes from.
        wide = sum(word.count("w") for word in self.args if word.startswith("-"))
        width = {0: 79, 1: 131}.get(wide)
        lines = found.stdout.splitlines()
        if "lstart=" in self.args:
            of = self.args[self.args.index("-p") + 1] if "-p" in self.args else ""
            lines = [exact(line.split()[0] if "pid=" in self.args else of, line) for line in lines if line.split()]
        out = "".join(line[:width] + "\n" for line in lines)
        return Answer(found.returncode, found.stderr, out)

    def lsof(self):
        """Who listens, of some processes; only in the form in which a tool asks for it."""
        match self.args:
            case ["-nP", "-a", "-p", pids, "-iTCP", "-sTCP:LISTEN", "-Fn"]:
                found = [(pid, listening(pid)) for pid in pids.split(",")]
            case _:
                raise Answer(1, f"lsof: not simulated: {' '.join(self.args)}\n")
        out = "".join(f"p{pid}\n" + "".join(f"f{fd}\nn{name}\n" for fd, name in all) for pid, all in found if all)
        return Answer(0 if out else 1, out=out)

    async def sudo(self):
        """As root, where nobody is asked for a password: sudo(8), -n."""
        args = self.args[1:] if self.args[:1] == ["-n"] else self.args
        if self.uid != 0 and self.mac.knob("sudo") == "refused":
            words, host = f"{shutil.which(args[0]) or args[0]} {' '.join(args[1:])}", os.uname().nodename
            name = pwd.getpwuid(self.uid).pw_name
            raise Answer(1, f"Sorry, user {name} is not allowed to execute '{words.strip()}' as root on {host}.\n")
        if self.uid != 0 and not self.mac.knob("sudo"):
            raise Answer(1, "sudo: a password is required\n")
        pipe = asyncio.subprocess.PIPE
        env = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/var/root", **self.request["env"]}
        try:
            started = await asyncio.create_subprocess_exec(
                *args, stdin=pipe, stdout=pipe, stderr=pipe, cwd=self.request["dir"], env=env
            )
        except OSError:
            raise Answer(1, f"sudo: {args[0]}: command not found\n") from None
        out, err = await started.communicate(self.request["input"])
        return Answer(started.returncode, err.decode(errors="replace"), out.decode(errors="replace"))

    async def hand(self):
        if self.uid != 0 and self.args not in (["show"], ["calls"]):
            raise Answer(1, "mac: only for root\n")
        match self.args:
            case ["login", uid]:
                while (domain := self.mac.domains.get(f"gui/{uid}")) and domain.closing:
                    await asyncio.sleep(0.01)
                self.mac.login(int(uid))
            case ["logout", uid]:
                self.mac.logout(int(uid))
            case ["set", name, value] if name in KNOBS:
                try:
                    self.mac.knobs[name] = json.loads(value)
                except ValueError:
                    self.mac.knobs[name] = value
                os.makedirs(os.path.dirname(KNOBS_FILE), exist_ok=True)
                with open(KNOBS_FILE, "w", encoding="utf-8") as file:
                    json.dump(self.mac.knobs, file)
            case ["calls"]:
                return Answer(0, out="".join(f"{verb} {target} {code}\n" for verb, target, code in self.mac.calls))
            case ["show"]:
                return Answer(0, out="".join(f"{name}={json.dumps(value)}\n" for name, value in self.mac.knobs.items()))
            case _:
                raise Answer(64, "mac: login UID, logout UID, set NAME VALUE, show, calls\n")
        return Answer(0)


def listening(pid):
    """The listening TCP sockets of a process, by descriptor, as lsof(8) names them."""
    try:
        links = {fd: os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
        with open(f"/proc/{pid}/net/tcp", encoding="ascii") as file:
            rows = [line.split() for line in file]
    except OSError:
        return []
    names = {}
    for row in rows[1:]:
        if row[3] == "0A":
            addr, port = row[1].split(":")
            quads = ".".join(str(byte) for byte in bytes.fromhex(addr)[::-1])
            names[f"socket:[{row[9]}]"] = f"{'*' if quads == '0.0.0.0' else quads}:{int(port, 16)}"
    return [(fd, names[link]) for fd, link in links.items() if link in names]


def signal_number(word):
    """By name, with SIG or without, or by a number from 2 on: 1 is not taken for one."""
    if word.isdigit() and int(word) > 1:
        return int(word)
    try:
        return signal.Signals["SIG" + word.upper().removeprefix("SIG")]
    except KeyError:
        raise Answer(64, "Invalid signal.\n") from None
