"""Recording a corpus in the terminal, where there is no browser."""

import textwrap

from utils import InputError
from utils.applications.recording.session import CONSENT, RATE, OutOfStep, Prompt, Session
from utils.inference import microphone
from utils.inference.utterance import QUIET, Utterance, find_utterance

SECONDS = 2.5  # of recording per prompt
TRIAL = 1.0  # seconds; some sound cards begin with digital silence, which is not that of a muted microphone
BAR = 30  # characters, from LOWEST to 0 dB of full scale
LOWEST = -60.0


class Quit(Exception):
    """The speaker has had enough."""


def record(session: Session, name: str | None = None) -> None:
    """Prompt one speaker after another until they quit.

    Raises:
        InputError: there is no microphone, or sounddevice is not installed.
    """
    microphone.record(TRIAL, RATE)  # reports a missing microphone before anybody has typed a name
    print(f"Recordings go to {session.folder}. Nothing leaves this machine.")
    try:
        while name := name or _ask("\nSpeaker's name or pseudonym (Enter to end): "):
            try:
                _record_speaker(session, name)
            except InputError as error:
                print(f"{error}.")
            name = None
    except Quit:
        print("The same command continues from here.")


def _record_speaker(session: Session, name: str) -> None:
    """Prompt a speaker until everything is read."""
    speaker = session.speaker(name)
    consent = speaker.consent or _ask_consent()
    if speaker.done < speaker.total:
        print(f"\nPress Enter and read the word within {SECONDS} seconds. r repeats, q quits.")
    while ahead := session.prompts(name):
        speaker = session.speaker(name)
        utterance = _record_prompt(ahead[0], f"{speaker.done + 1} of {speaker.total}")
        try:
            session.keep(name, consent, ahead[0].digit, speaker.done, utterance.clip)
        except OutOfStep as error:  # the same speaker is being recorded elsewhere too
            print(f"{error}.")
    print(f"\nThank you, {name}: {session.speaker(name).done} clips.")


def _ask_consent() -> str:
    """What a new speaker agrees to."""
    print("\nWhat may your recordings be used for?")
    for number, text in enumerate(CONSENT.values(), start=1):
        print(f"  {number}  {text}")
    choices = {str(number): consent for number, consent in enumerate(CONSENT, start=1)}
    while (answer := _ask(f"{' or '.join(choices)}, q quits: ")) not in choices:
        if answer == "q":
            raise Quit
    return choices[answer]


def _record_prompt(prompt: Prompt, progress: str) -> Utterance:
    """Record a prompt as often as it takes until the speaker accepts it."""
    while True:
        print(f"\n{progress}:  {prompt.word}   ({prompt.digit})")
        if _ask("Enter records ... ").lower() == "q":
            raise Quit
        try:
            utterance = find_utterance(microphone.record(SECONDS, RATE), RATE, RATE)
        except InputError as error:
            print(f"{error}.")
            continue
        print(_level_bar(utterance.peak, utterance.clipped > 0))
        if utterance.problem:
            print(textwrap.fill(utterance.problem, 100))
            continue
        if utterance.advice:
            print(textwrap.fill(utterance.advice, 100))
        while (answer := _ask("Enter accepts, r repeats, q quits: ").lower()) not in ("", "r", "q"):
            pass
        if answer == "q":
            raise Quit
        if not answer:
            return utterance


def _level_bar(peak: float, clipped: bool) -> str:
    """The peak level as a bar."""
    filled = round(BAR * min(max(1 - peak / LOWEST, 0), 1))
    state = "CLIPPED" if clipped else "quiet" if peak < QUIET else "good"
    return f"[{'#' * filled}{'.' * (BAR - filled)}] {peak:.0f} dB  {state}"


def _ask(question: str) -> str:
    """A line that the speaker types; the end of the input ends the session. Raises `InputError` if it is no text."""
    try:
        return input(question).strip()
    except UnicodeDecodeError:
        raise InputError("what was typed is not text in the terminal's encoding") from None
    except (EOFError, RuntimeError):  # the latter if standard input is closed
        print()
        raise Quit from None
