"""Ctrl-C ends a command although a library swallows the exception, and disturbs no cleaning up."""

import signal
import subprocess
import sys
import time

import pytest

from sampling._interrupt import Interrupt, heard, insisting, run

SOON = 0.02  # seconds between two looks
LONG = 10.0  # never waited for: an interrupt ends it


def press():
    signal.raise_signal(signal.SIGINT)


def swallow():
    """What some libraries do around an import."""
    try:
        press()
    except:  # noqa: E722, S110
        pass


def test_a_swallowed_interrupt_is_raised_again_and_again():
    with pytest.raises(Interrupt), insisting(SOON):
        swallow()
        try:
            time.sleep(LONG)
        except KeyboardInterrupt as first:
            del first  # swallowed once more
        time.sleep(LONG)


def test_one_lost_in_a_callback_is_raised_again(monkeypatch):
    class Lost:
        def __del__(self):
            press()  # Python prints it, and goes on

    monkeypatch.setattr(sys, "unraisablehook", lambda what: None)
    with pytest.raises(Interrupt), insisting(SOON):
        Lost()
        time.sleep(LONG)


def test_cleaning_up_is_left_in_peace():
    cleaned = []
    with pytest.raises(OSError, match="from it"), insisting(SOON) as last:
        try:
            try:
                press()
            finally:
                time.sleep(10 * SOON)
                cleaned.append("finally")
        except KeyboardInterrupt as error:
            time.sleep(10 * SOON)
            cleaned.append("except")
            raise OSError("from it") from error
    assert cleaned == ["finally", "except"]
    assert len(last) == 1


def test_one_that_was_heard_is_not_raised_again():
    with insisting(SOON):
        try:
            press()
        except KeyboardInterrupt as error:
            heard(error)
        time.sleep(10 * SOON)


@pytest.mark.parametrize("handler", [signal.SIG_IGN, lambda number, frame: None])
def test_an_ignored_signal_and_another_handler_are_left_alone(handler):
    before = signal.signal(signal.SIGINT, handler)
    try:
        with insisting(SOON):
            assert signal.getsignal(signal.SIGINT) is handler
            press()
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_handler_is_put_back():
    before = signal.getsignal(signal.SIGINT)
    with insisting():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(KeyError), insisting():
        raise KeyError
    assert signal.getsignal(signal.SIGINT) is before


def ends(code):
    def end():
        raise SystemExit(code)

    return end


def swallow_then(code):
    def end():
        swallow()
        raise SystemExit(code)

    return end


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (ends(0), 0), (ends(2), 2), (press, 130), (swallow, 130), (lambda: None, None),
        (swallow_then(0), 130), (swallow_then(2), 130), (swallow_then(130), 130),
    ],
)  # fmt: skip
def test_exit_codes(command, code, capsys):
    if code is None:
        run(command)
        return
    with pytest.raises(SystemExit) as end:
        run(command)
    assert end.value.code == code
    said = capsys.readouterr().err
    assert said in {"", "interrupted\n"}
    assert (code == 130) >= (said != "")


def test_interrupted_in_text_that_is_executed_the_exit_code_is_130():
    """After a plain KeyboardInterrupt there the interpreter ends by the signal, caught or not."""
    text = (
        "import signal; from sampling._interrupt import run\n"
        "run(lambda: exec('signal.raise_signal(signal.SIGINT)'))"
    )
    found = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (130, "interrupted\n")


def test_the_command_line_is_interruptible_from_its_first_import_on():
    text = (
        "import builtins, signal, sys\n"
        "real = builtins.__import__\n"
        "def load(name, *rest):\n"
        "    if name == 'typer':\n"
        "        signal.raise_signal(signal.SIGINT)\n"
        "    return real(name, *rest)\n"
        "from sampling.__main__ import main\n"
        "builtins.__import__ = load\n"
        "sys.argv = ['sampling', 'methods']\n"
        "main()\n"
    )
    found = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (130, "interrupted\n")


@pytest.mark.parametrize(
    "closed",
    [*(pytest.param(each, marks=pytest.mark.full) for each in (">&-", "2>&-")), ">&- 2>&-"],
)
def test_a_closed_output_is_none_to_speak_of(closed):
    """The work is done, and nobody is there to be told."""
    words = f'"{sys.executable}" -m sampling methods --json {closed}'
    done = subprocess.run(words, shell=True, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
