"""A job of the simulated launchd: its definition, its process, and what becomes of both.

Each rule names the public text that it follows. Where none is known, the model takes the side that is harder on the tool.
"""

import os
import pwd
import resource
import signal
import time

PATH = "/usr/bin:/bin:/usr/sbin:/sbin"
# sysexits(3); what xpcproxy exits with when it cannot set a process up (NousResearch/hermes-agent#78129).
EX_CONFIG = 78
# States of a process that was told to end.
LEAVING = ("SIGTERMed", "SIGKILLed", "languishing")
# Seconds after KILL at which 842 notes that a process did not die of it: core.c, LAUNCHD_SIGKILL_TIMER.
AFTER_KILL = 4
# Seconds in which a job that ends is forgotten, at the most: what was measured is 10 to 300 ms with the process's own end.
FORGETTING = 0.1
# "a signal which is typically associated with a crash": launchd.plist(5), KeepAlive.Crashed.
CRASHES = {
    signal.SIGILL,
    signal.SIGTRAP,
    signal.SIGABRT,
    signal.SIGFPE,
    signal.SIGBUS,
    signal.SIGSEGV,
    signal.SIGSYS,
}


class Job:
    def __init__(self, domain, label, path, plist):
        self.domain, self.label, self.path, self.plist = domain, label, path, plist
        self.mac = domain.mac
        self.state = "not running"
        self.job_state = None
        self.pid = None
        self.runs = 0
        # launchd.plist(5): "by default, jobs will not be spawned more than once every 10 seconds"; launchd 842, core.c,
        # ignores 0.
        self.minimum_runtime = int(plist.get("ThrottleInterval", 0)) or 10
        # launchd.plist(5) calls the default system-defined; transcripts of third-party jobs from 10.14 to 27 print 5.
        self.exit_timeout = int(plist.get("ExitTimeOut", 5))
        self.last_end = ("never", 0)
        self.reason = None
        self.last_spawn = None
        self.leaving = False
        self.again = False
        self.stopped = False
        self.timer = None
        self.waiting = []
        # The launch constraint is of the program as it was at bootstrap (agentic-research/mache#641).
        self.pinned = identity(self.program)

    @property
    def target(self):
        return f"{self.domain.name}/{self.label}"

    @property
    def program(self):
        return self.plist.get("Program") or self.plist["ProgramArguments"][0]

    @property
    def arguments(self):
        return self.plist.get("ProgramArguments") or [self.plist["Program"]]

    # Starting.

    def evaluate(self):
        """Whether it is to run now: launchd.plist(5), RunAtLoad and KeepAlive. There is no end to trying.

        Of several conditions one is enough: launchd.plist(5). Those about paths and other jobs are not simulated.
        """
        keep = self.plist.get("KeepAlive", False)
        kind, number = self.last_end
        conditions = keep if isinstance(keep, dict) else {}
        # "the job needs to run at least once before an exit status can be determined": SuccessfulExit implies RunAtLoad.
        at_load = self.plist.get("RunAtLoad") or keep is True or "SuccessfulExit" in conditions
        if self.mac.knob("never-spawns") and self.runs == 0:
            # Seen on 26.5.1: bootstrapped, and never spawned until a kickstart (openbase#15).
            self.state = "not running"
        elif self.runs == 0:
            if at_load:
                self.start("speculative")
        elif keep is True:
            self.start("inefficient")
        elif self.stopped:
            # By `launchctl stop`: a guess, for a condition that held would make that verb useless.
            self.state = "not running"
        elif "SuccessfulExit" in conditions and conditions["SuccessfulExit"] == (self.last_end == ("exit", 0)):
            self.start("semaphore")
        elif "Crashed" in conditions and conditions["Crashed"] == (kind == "signal" and number in CRASHES):
            self.start("semaphore")
        else:
            self.state = "not running"

    def start(self, reason):
        """Spawns it, not before its throttle interval is over: from spawn to spawn, launchd 842, core.c."""
        self.reason = reason
        if self.pid or self.state in ("spawn scheduled", "spawning"):
            return
        wait = 0
        if self.last_spawn is not None:
            wait = max(0, self.minimum_runtime - (self.mac.now() - self.last_spawn))
        self.state = "spawn scheduled"
        if wait:
            # As 842 words it.
            ran = self.minimum_runtime - wait
            self.mac.log(f"{self.target}: Service only ran for {ran:.0f} seconds. Pushing respawn out by {wait:.0f} seconds.")
        whole = self.mac.moment(self.mac.knob("spawn-time"))
        scheduled = self.mac.moment(whole)
        if self.mac.knob("stays-scheduled"):
            return
        self.timer = self.mac.later(wait + scheduled * self.mac.knob("speed"), lambda: self.spawn(whole - scheduled))

    def spawn(self, setup):
        """`setup`: seconds of ours that the process is not yet the program."""
        self.state, self.job_state = "spawning", None
        self.stopped = False
        self.runs += 1
        self.last_spawn = self.mac.now()
        killed = self.refusal()
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            time.sleep(setup)
            self.become(writer, killed)
        os.close(writer)
        self.pid, self.state = pid, "xpcproxy"
        self.mac.await_pipe(reader, self.executed)
        self.mac.await_process(pid, lambda status: self.ended(status, killed))
        self.answer_waiting()

    def refusal(self):
        """What the kernel has against the program. Scripts are their interpreter's business."""
        now = identity(self.program)
        if not now or not self.pinned or now == self.pinned:
            return None
        if now[:2] == self.pinned[:2]:
            # Apple, "Updating Mac Software": the signature is cached with the file; never write into one that has run.
            return "OS_REASON_CODESIGNING"
        return "launch constraint"

    def become(self, told, killed):
        """In the child: the process of the job, or 78 as from xpcproxy."""
        try:
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            os.setsid()
            for key, kind in (("SoftResourceLimits", 0), ("HardResourceLimits", 1)):
                files = self.plist.get(key, {}).get("NumberOfFiles")
                if files is not None:
                    limits = list(resource.getrlimit(resource.RLIMIT_NOFILE))
                    limits[kind] = files
                    resource.setrlimit(resource.RLIMIT_NOFILE, (min(limits), limits[1]))
            self.become_user()
            os.umask(0o022)
            # A missing folder and one that cannot be entered are taken for fatal alike.
            os.chdir(self.plist.get("WorkingDirectory", "/"))
            self.open_files()
            if killed == "OS_REASON_CODESIGNING":
                os.kill(os.getpid(), signal.SIGKILL)
            if killed:
                raise OSError(killed)
            # Nothing is expanded, and a bare name is looked for in the standard path: launchd.plist(5), Program.
            os.execvpe(self.program, self.arguments, self.environment())
        except BaseException as error:
            os.write(told, str(error).encode())
        finally:
            os._exit(EX_CONFIG)

    def become_user(self):
        user = self.domain.uid
        if user is None:
            # UserName counts in the system domain only: launchd.plist(5).
            if "UserName" not in self.plist:
                return
            user = pwd.getpwnam(self.plist["UserName"]).pw_uid
        entry = pwd.getpwuid(user)
        os.initgroups(entry.pw_name, entry.pw_gid)
        os.setgid(entry.pw_gid)
        os.setuid(user)

    def open_files(self):
        """Appended to, never cut, and no folder is made for them: what a release may make is not to be relied on."""
        wanted = (
            (0, "StandardInPath", os.O_RDONLY),
            (1, "StandardOutPath", os.O_WRONLY | os.O_CREAT | os.O_APPEND),
            (2, "StandardErrorPath", os.O_WRONLY | os.O_CREAT | os.O_APPEND),
        )
        for number, key, flags in wanted:
            file = os.open(self.plist.get(key, "/dev/null"), flags, 0o666)
            os.dup2(file, number)

    def environment(self):
        """HOME and its kin are left out: 842 sets them, and of newer releases it is not known."""
        variables = dict(self.shown_environment())
        variables.setdefault("PATH", PATH)
        if self.domain.kind == "gui":
            variables.setdefault("SSH_AUTH_SOCK", self.domain.agent_socket)
        return variables

    def shown_environment(self):
        shown = [("OSLogRateLimit", "64")] if self.mac.layout >= 26 else []
        # Values that are no strings are ignored: launchd.plist(5).
        own = self.plist.get("EnvironmentVariables", {}).items()
        shown += [(name, value) for name, value in own if isinstance(value, str)]
        return shown + [("XPC_SERVICE_NAME", self.label)]

    def executed(self, said):
        if said:
            self.mac.log(f"{self.target}: could not be set up: {said.decode()}")
            self.job_state = "spawn failed"
        elif self.state == "xpcproxy":
            self.state = "running"

    # Ending.

    def ended(self, status, killed):
        pid, self.pid = self.pid, None
        self.cancel()
        if killed == "OS_REASON_CODESIGNING":
            self.last_end = ("reason", killed)
        elif os.WIFSIGNALED(status):
            self.last_end = ("signal", os.WTERMSIG(status))
        else:
            self.last_end = ("exit", os.WEXITSTATUS(status))
        # "When a job dies, launchd kills any remaining processes with the same process group ID": launchd.plist(5),
        # AbandonProcessGroup; by TERM and once, launchd 842, core.c.
        if not self.plist.get("AbandonProcessGroup"):
            try:
                os.killpg(pid, signal.SIGTERM)
            except ProcessLookupError:
                pass
        if self.leaving:
            # The record outlives the process, and bootstrap answers 5 until it is gone (headroomlabs-ai/headroom#1289).
            moment = self.mac.moment(FORGETTING) * self.mac.knob("speed")
            self.timer = self.mac.later(self.mac.knob("eio-window") + moment, self.leave)
        elif self.again:
            self.again = False
            self.start("non-ipc demand")
        else:
            self.state = "not running"
            self.evaluate()

    def terminate(self):
        """TERM to the main process, KILL after ExitTimeOut; 0 is for ever: launchd.plist(5), ExitTimeOut."""
        self.cancel()
        self.state = "SIGTERMed"
        self.signal(signal.SIGTERM)
        if self.exit_timeout > 0:
            self.timer = self.mac.later(self.exit_timeout, self.kill)

    def kill(self):
        self.state = "SIGKILLed"
        self.signal(signal.SIGKILL)
        # launchd 842, core.c: "Did not die after sending SIGKILL".
        self.timer = self.mac.later(AFTER_KILL, self.languish)

    def languish(self):
        self.state = "languishing"

    def stop(self):
        """`launchctl stop`: launchctl(1)."""
        self.stopped = True
        if self.pid and self.state not in LEAVING:
            self.terminate()

    def signal(self, number):
        if self.mac.knob("unkillable"):
            return
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            pass

    def boot_out(self):
        """Comes back before the process is gone (measured on 26: a plain bootout returns in zero seconds)."""
        self.leaving = True
        if not self.pid:
            self.leave()
        elif self.mac.knob("outlives"):
            self.mac.later(self.mac.knob("outlives"), lambda: self.pid and self.signal(signal.SIGTERM))
            self.leave()
        elif self.state not in LEAVING:
            self.terminate()

    def leave(self):
        self.cancel()
        if self.domain.jobs.get(self.label) is self:
            del self.domain.jobs[self.label]
        self.mac.left(self.domain)
        self.answer_waiting()

    def cancel(self):
        if self.timer:
            self.timer.cancel()
        self.timer = None

    def answer_waiting(self):
        waiting, self.waiting = self.waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)


def identity(path):
    """Which file a program is: a script has none. Writing into a file changes its times, not its inode."""
    try:
        with open(path, "rb") as file:
            if file.read(2) == b"#!":
                return None
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
