"""Child processes of gpu_peers.py: each ends at its time limit with all that it started, and the GPU memory that
it takes is what nvidia-smi shows. This module imports no torch."""
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
alive = set()       # children whose process groups must end with this program
smi_answers = True  # false after nvidia-smi has hung; each further query would take its whole time limit


class Failed(Exception):
    """A child returned no answer; the text gives the reason."""


class Hung(Failed):
    """A child returned no answer within its time limit."""


def kill(process):
    """Ends a child and all processes that it started. A process that waits for the driver may stay; the caller does not
    wait."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        pass
    alive.discard(process)


def kill_all():
    for process in list(alive):
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def begin(arguments, **pipes):
    try:
        process = subprocess.Popen(arguments, start_new_session=True, **pipes)
    except OSError as error:
        raise Failed(f"{arguments[0]}: {error.strerror}") from None
    alive.add(process)
    return process


def reason(errors, code):
    """Returns the reason of a child's failure in one line."""
    if "out of memory" in errors.lower():
        return "out of memory"
    lines = errors.strip().splitlines()
    return lines[-1].strip()[:200] if lines else f"ended with {code}"


def run(arguments, limit):
    """Returns standard output of a program that must end within `limit` seconds and with 0."""
    process = begin(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        output, errors = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        raise Hung(f"took more than {limit:.0f} s")
    finally:
        kill(process)
    if process.returncode:
        raise Failed(reason(errors, process.returncode))
    return output


class Worker:
    """Runs worker.py for one contestant. A request is a JSON line, and so is the answer."""

    def __init__(self, contestant, dry):
        self.errors = tempfile.TemporaryFile()
        self.process = begin([sys.executable, os.path.join(HERE, "worker.py"), contestant.name] + ["--dry"] * dry,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors)
        self.received, self.held = b"", 0.0     # held: MiB that the worker keeps on the device between turns

    def ask(self, limit, **question):
        """Returns the answer, or raises Failed or Hung, after which the worker cannot be used."""
        end = time.monotonic() + limit
        try:
            self.process.stdin.write(json.dumps(question).encode() + b"\n")
            self.process.stdin.flush()
        except OSError:
            pass        # the worker has ended; receive() finds the reason
        answer = self.receive(end, limit)
        if "fault" in answer:
            raise Failed(answer["fault"])
        return answer

    def receive(self, end, limit):
        while b"\n" not in self.received:
            left = end - time.monotonic()
            if left <= 0:
                raise Hung(f"took more than {limit:.0f} s")
            if select.select([self.process.stdout], [], [], min(left, 0.5))[0]:
                part = os.read(self.process.stdout.fileno(), 65536)
                self.received += part
                if not part:
                    raise Failed(self.last_words())
            elif self.process.poll() is not None:       # a process that it started can keep the pipe open
                raise Failed(self.last_words())
        line, self.received = self.received.split(b"\n", 1)
        try:
            return json.loads(line)
        except ValueError:
            raise Failed(f"the worker wrote no JSON: {line[:80]!r}")

    def last_words(self):
        code = self.process.wait(timeout=5)
        self.errors.seek(0)
        return reason(self.errors.read().decode(errors="replace"), code)

    def end(self):
        kill(self.process)


def smi(query):
    """Returns one number or name of nvidia-smi; None without an answer."""
    global smi_answers
    if not smi_answers:
        return None
    try:
        output = run(["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader,nounits"], 10)
        return output.splitlines()[0].strip()
    except Hung:
        smi_answers = False
    except (Failed, IndexError):
        pass
    return None


def smi_number(query):
    """Returns a number of nvidia-smi; None also for an answer in words, which a part of a divided GPU gives."""
    try:
        return float(smi(query))
    except (TypeError, ValueError):
        return None


class PeakMemory(threading.Thread):
    """The maximum memory in use, as nvidia-smi shows it, inside the with statement and above its start, in MiB."""

    def __enter__(self):
        self.base, self.peak, self.over = smi_number("memory.used"), 0.0, threading.Event()
        self.daemon = True
        self.start()
        return self

    def run(self):
        while self.base is not None and not self.over.is_set():
            self.beyond()
            self.over.wait(0.2)     # allocations stay; more queries would take the driver's time from the contestant

    def beyond(self):
        """Returns MiB in use now above those at the start."""
        used = smi_number("memory.used") if self.base is not None else None
        now = 0.0 if used is None else used - self.base
        self.peak = max(self.peak, now)
        return now

    def __exit__(self, failure, *_):
        self.over.set()
        self.join(timeout=15)
        if failure is None:
            self.beyond()       # a worker keeps its memory until the request "free"
