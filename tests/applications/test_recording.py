"""`sdr record`: the session and its files, the web server, the terminal."""

import base64
import http.client
import io
import json
import socket
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from conftest import speak, write_metadata

from utils import InputError
from utils.applications.recording import server as recording_server
from utils.applications.recording import session as recording_session
from utils.applications.recording import terminal as recording_terminal
from utils.applications.recording.session import RATE, OutOfStep, Session
from utils.data.metadata import read_metadata, verify
from utils.files import sha256
from utils.inference import microphone

CLIP = np.float32(0.3 * np.sin(np.arange(RATE // 2) / 5))


@pytest.fixture
def session(tmp_path) -> Session:
    return Session(tmp_path / "corpus", repetitions=2)


def keep(session: Session, name: str, clips: int = 1, consent: str = "publish") -> None:
    """Answer the next prompts of a speaker."""
    for _ in range(clips):
        session.keep(name, consent, session.prompts(name)[0].digit, session.speaker(name).done, CLIP)


def files(session: Session) -> list[str]:
    return sorted(path.relative_to(session.folder).as_posix() for path in session.folder.rglob("*") if path.is_file())


# The session


def test_each_digit_is_prompted_once_per_repetition_in_random_order(session):
    digits = [prompt.digit for prompt in session.prompts("ada")]
    assert sorted(digits[:10]) == sorted(digits[10:]) == list(range(10))
    assert digits[:10] != sorted(digits[:10]) and digits[:10] != digits[10:]
    assert digits != [prompt.digit for prompt in session.prompts("bob")]
    assert session.prompts("ada")[0].word == recording_session.DIGITS[digits[0]]
    for number in range(50):
        order = [prompt.digit for prompt in session.prompts(f"speaker-{number}")]
        assert all(digit != after for digit, after in zip(order, order[1:], strict=False))


def test_a_clip_and_its_row_are_on_the_disk_at_once(session):
    assert not session.folder.exists(), "a session that records nothing leaves nothing"
    digit, word = (prompt := session.prompts("ada")[0]).digit, prompt.word
    path = session.keep("ada", "project", digit, 0, CLIP)
    assert files(session) == [f"clips/{digit}_ada_0.wav", "metadata.tsv", "words.tsv"]
    samples, rate = soundfile.read(path, dtype="int16")
    assert (rate, samples.shape, soundfile.info(path).subtype) == (16000, CLIP.shape, "PCM_16")
    assert np.abs(samples / 32768 - CLIP).max() <= 0.5 / 32768
    (row,) = read_metadata(session.metadata).to_dict("records")
    assert row["date"] == recording_session.datetime.date.today().isoformat()
    assert (row["identifier"], row["speaker"], row["split"], row["label"], row["word"], row["consent"]) == (
        f"{digit}_ada_0", "ada", "TRAIN", digit, word, "project",
    )  # fmt: skip


def test_a_new_session_goes_on_where_the_last_one_stopped(session):
    keep(session, "ada", 13)
    ahead = session.prompts("ada")
    again = Session(session.folder, repetitions=2)
    assert again.prompts("ada") == ahead and len(ahead) == 7
    keep(again, "bob", 20, consent="project")
    assert [(s.name, s.done, s.total, s.consent) for s in again.speakers()] == [
        ("ada", 13, 20, "publish"),
        ("bob", 20, 20, "project"),
    ]
    more = Session(session.folder, repetitions=3)
    assert (len(more.prompts("ada")), len(more.prompts("bob"))) == (17, 10)
    table = read_metadata(session.metadata)
    assert len(table) == 33 and set(table[table["speaker"] == "bob"]["consent"]) == {"project"}


def test_a_clip_that_is_sent_twice_is_kept_once(session):
    digit = session.prompts("ada")[0].digit
    session.keep("ada", "publish", digit, 0, CLIP)
    with pytest.raises(OutOfStep, match="1 clips by now"):
        session.keep("ada", "publish", digit, 0, CLIP)
    with pytest.raises(OutOfStep, match="not the next digit"):
        session.keep("ada", "publish", digit, 1, CLIP)
    assert len(read_metadata(session.metadata)) == 1


def test_what_a_killed_session_left_is_not_overwritten(session):
    digit = session.prompts("ada")[0].digit
    (session.folder / "clips").mkdir(parents=True)
    orphan = session.folder / "clips" / f"{digit}_ada_0.wav"
    orphan.write_bytes(b"no row")
    keep(session, "ada")
    assert orphan.read_bytes() == b"no row"
    assert read_metadata(session.metadata)["file"].tolist() == [f"clips/{digit}_ada_1.wav"]


def test_if_the_table_cannot_be_written_there_is_no_clip_either(session, monkeypatch):
    keep(session, "ada")
    before = files(session)
    write_atomically = recording_session.write_atomically

    def full(path, write):
        if path == session.metadata:
            raise InputError("the disk is full")
        write_atomically(path, write)

    monkeypatch.setattr(recording_session, "write_atomically", full)
    with pytest.raises(InputError, match="full"):
        keep(session, "ada")
    assert files(session) == before and len(read_metadata(session.metadata)) == 1


def test_the_last_clip_can_be_taken_back(session):
    keep(session, "ada", 2)
    keep(session, "bob")
    second = read_metadata(session.metadata).iloc[1]
    session.undo("ada", 2)
    assert session.prompts("ada")[0].digit == second["label"]
    assert second["file"] not in files(session)
    assert read_metadata(session.metadata)["speaker"].tolist() == ["ada", "bob"]
    with pytest.raises(OutOfStep):
        session.undo("ada", 2)
    session.undo("ada", 1)
    session.undo("bob", 1)
    assert files(session) == ["words.tsv"] and session.speakers() == []
    with pytest.raises(InputError, match="no clip"):
        session.undo("ada", 0)


def test_the_last_clip_can_be_taken_back_with_fewer_repetitions_than_were_read(session):
    keep(session, "ada", 12)
    fewer = Session(session.folder, repetitions=1)
    fewer.undo("ada", 12)
    assert fewer.speaker("ada").done == 11 and fewer.prompts("ada") == []


def test_two_sessions_in_one_folder_do_not_lose_each_other_s_clips(session):
    other = Session(session.folder, repetitions=2)
    for _ in range(3):
        keep(session, "ada")
        keep(other, "bob")
    assert read_metadata(session.metadata)["speaker"].value_counts().to_dict() == {"ada": 3, "bob": 3}


def test_nor_do_they_at_the_same_time(session):
    names = ("ada", "bob", "cy")
    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(lambda name: keep(Session(session.folder, repetitions=2), name, 10), names))
    assert read_metadata(session.metadata)["speaker"].value_counts().to_dict() == dict.fromkeys(names, 10)


def test_the_words_of_a_folder_stay(session):
    words = (("null", "zero"), *((f"w{digit}",) for digit in range(1, 10)))
    german = Session(session.folder, words, repetitions=2)
    said = [prompt.word for prompt in german.prompts("ada") if prompt.digit == 0]
    assert said == ["null", "zero"], "the words for a digit take turns"
    keep(german, "ada")
    assert Session(session.folder).words == words
    with pytest.raises(InputError, match="other words"):
        Session(session.folder, tuple((word,) for word in recording_session.DIGITS))
    with pytest.raises(InputError, match="other words"):
        keep(session, "bob")  # English, begun before there were any words
    assert read_metadata(session.metadata)["speaker"].tolist() == ["ada"]


def test_a_speaker_stays_in_one_split(session):
    keep(session, "ada")
    test = Session(session.folder, split="TEST")
    keep(test, "ada")
    keep(test, "bob")
    assert read_metadata(session.metadata)["split"].tolist() == ["TRAIN", "TRAIN", "TEST"]


@pytest.mark.parametrize("name", ["", "a b", "../ada", "ada_1", "-ada", "a--b", "Jürgen", "a" * 41, "a\n", "con."])
def test_names_that_are_not_safe_in_file_names_are_refused(session, name):
    with pytest.raises(InputError, match="speaker's name"):
        session.keep(name, "publish", 0, 0, CLIP)
    assert not session.folder.exists()


def test_names_differ_in_more_than_case(session):
    keep(session, "Ada")
    with pytest.raises(InputError, match="already a speaker 'Ada'"):
        session.speaker("ada")


def test_without_consent_nothing_is_kept(session):
    with pytest.raises(InputError, match="may be used for"):
        keep(session, "ada", consent="")
    assert not session.folder.exists()


def test_a_table_from_elsewhere_is_added_to(session, corpus):
    table = corpus.clips[:3].copy()
    table["file"] = table["path"]
    session.folder.mkdir()
    write_metadata(session.metadata, table)
    assert session.speakers() == []
    with pytest.raises(InputError, match="no consent is noted for speaker 'ada'"):
        session.speaker("ada")
    keep(session, "zoe")
    read = read_metadata(session.metadata)
    assert read["identifier"].tolist()[:3] == table["identifier"].tolist() and read["speaker"].iloc[3] == "zoe"


def test_in_a_table_with_checksums_each_clip_has_its_own(session, corpus):
    table = corpus.clips[:3].copy()
    table["file"], table["sha256"] = table["path"], table["path"].map(sha256)
    session.folder.mkdir()
    write_metadata(session.metadata, table)
    keep(session, "zoe", 2)
    verify(read_metadata(session.metadata))


def test_what_was_not_recorded_here_is_not_deleted(session, corpus):
    session.folder.mkdir()
    table = corpus.clips[:1].assign(consent="publish")
    table["file"] = table["path"]
    write_metadata(session.metadata, table)
    with pytest.raises(InputError, match="not recorded here"):
        session.undo("ada", 1)
    assert (corpus.folder / "0_ada_0.wav").exists()


# The command


def test_the_command_has_help(sdr):
    assert "usage: sdr record" in sdr("record", "--help").out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--words", "nine.txt"], "9 words"),
        (["--words", "twice.txt"], "both 0 and 9"),
        (["--words", "nowhere.txt"], "no such file"),
        (["--speaker", "a/b"], "a/b"),
        (["--split", "DEVEL"], "DEVEL"),
        (["--repetitions", "0"], "--repetitions"),
        (["--repetitions", "101"], "101"),
        (["--port", "0"], "--port"),
    ],
)
def test_bad_input_is_refused_in_one_line(sdr, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nine.txt").write_text("\n".join(recording_session.DIGITS[:9]))
    (tmp_path / "twice.txt").write_text("\n".join([*recording_session.DIGITS[:9], "zero"]))
    sdr("record", "corpus", "--no-browser", *arguments).refused(message)
    assert not (tmp_path / "corpus").exists()


def test_a_folder_that_cannot_be_written_is_refused(sdr, tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "corpus"):
        sdr("record", folder, "--no-browser").refused(str(folder))


def test_a_wrong_table_is_refused(sdr, tmp_path):
    (tmp_path / "metadata.tsv").write_text("identifier\tspeaker\n")
    sdr("record", tmp_path, "--no-browser").refused("metadata.tsv")


def test_a_taken_port_is_refused(sdr, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        sdr("record", tmp_path / "corpus", "--no-browser", "--port", port).refused(str(port), "--port")


# The server


@pytest.fixture
def server(session):
    with recording_server.Server(session, 0, "ada") as running:
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield running
        running.shutdown()


def ask(server, path: str, body: bytes | None = None, parameters: dict | None = None, **headers: str):
    """The status of an answer and its JSON. The headers are those of the page unless given."""
    page = f"http://127.0.0.1:{server.server_port}"
    address = f"{page}{path}" + (f"?{urllib.parse.urlencode(parameters)}" if parameters else "")
    request = urllib.request.Request(address, body, {"Origin": page} | headers)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def wav(samples: np.ndarray | None = None, rate: int = 44100) -> bytes:
    """A WAV file, by default a word between pauses."""
    if samples is None:
        word, pause = 0.3 * np.repeat(speak(7, "ada", 0), 5), np.zeros(rate // 2)
        samples = np.concatenate([pause, word, pause])
        samples += np.random.default_rng(0).normal(0, 0.0005, len(samples))
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV")
    return file.getvalue()


def test_the_page_is_served_and_may_load_nothing_from_elsewhere(server):
    for name, kind in {"": "html", "page.js": "javascript", "style.css": "css", "worklet.js": "javascript"}.items():
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/{name}") as answer:
            assert kind in answer.headers["Content-Type"]
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert server.server_address[0] == "127.0.0.1"


def test_a_speaker_is_recorded(server, session):
    status, facts = ask(server, "/api/session")
    assert status == 200 and facts["clips"] == 20 and facts["suggested"] == "ada" and facts["speakers"] == []
    status, state = ask(server, "/api/prompts", parameters={"speaker": "ada"})
    assert status == 200 and (state["done"], state["total"], len(state["prompts"])) == (0, 20, 20)

    status, report = ask(server, "/api/check", wav())
    assert status == 200 and report["problem"] == "" and 0.4 < report["start"] < report["end"] < 1.2
    clip, rate = soundfile.read(io.BytesIO(base64.b64decode(report["clip"])))
    assert rate == 16000 and len(clip) / rate == pytest.approx(report["end"] - report["start"])
    assert files(session) == [], "it is kept only when the speaker accepts it"

    answer = {"speaker": "ada", "consent": "publish", "digit": state["prompts"][0]["digit"], "done": 0}
    status, after = ask(server, "/api/clips", wav(), answer)
    assert status == 200 and after["done"] == 1 and after["prompts"] == state["prompts"][1:]
    saved, _ = soundfile.read(read_metadata(session.metadata)["path"][0])
    assert np.array_equal(saved, clip), "what the speaker has heard is what is kept"

    assert ask(server, "/api/clips", wav(), answer)[0] == 409
    status, after = ask(server, "/api/undo", b"", {"speaker": "ada", "done": 1})
    assert status == 200 and after["prompts"] == state["prompts"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Host": "evil.example", "Origin": "http://evil.example"},
        {"Host": "localhost.evil.example:80"},
        {"Host": ""},
    ],
    ids=str,
)
def test_other_sites_are_refused(server, headers):
    for path, body in (("/api/session", None), ("/api/check", wav()), ("/", None)):
        status, answer = ask(server, path, body, **headers)
        assert status == 403 and "only" in answer["error"]


def test_a_request_that_changes_something_must_say_where_it_comes_from(server):
    request = urllib.request.Request(f"http://127.0.0.1:{server.server_port}/api/check", wav())
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(request)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not a WAV"),
        (b"seven", "not a WAV"),
        (b"RIFF" + bytes(100), "not a"),
        (wav()[:5000], "truncated"),
        (wav(np.zeros(9000)), "silence"),
        (wav(np.ones(11 * 8000), 8000), "11.0 s long"),
        (wav(CLIP, 1000), "1000 Hz"),
        (wav(CLIP, 999_999_900), "Hz"),
    ],
    ids=["empty", "text", "header", "cut", "silence", "long", "slow", "fast"],
)
def test_what_is_no_recording_is_refused(server, session, body, message):
    for path in ("/api/check", "/api/clips"):
        parameters = {"speaker": "ada", "consent": "publish", "digit": 0, "done": 0}
        status, answer = ask(server, path, body, parameters)
        assert status == 400 and message in answer["error"] and "/" not in answer["error"].replace("/api", "")
    assert files(session) == []


@pytest.mark.parametrize(
    "change", [{"digit": "x"}, {"done": "-1"}, {"speaker": "../x"}, {"consent": "no"}, {"digit": "99"}]
)
def test_wrong_parameters_are_refused(server, session, change):
    right = {"speaker": "ada", "consent": "publish", "digit": session.prompts("ada")[0].digit, "done": 0}
    assert ask(server, "/api/clips", wav(), right | change)[0] in (400, 409)
    assert ask(server, "/api/clips", wav())[0] == 400
    assert files(session) == []


def test_speakers_at_the_same_time_are_kept_without_a_word_in_the_terminal(server, session, capfd):
    def read_one(name: str) -> int:
        parameters = {"speaker": name, "consent": "publish", "digit": session.prompts(name)[0].digit, "done": 0}
        return ask(server, "/api/clips", wav(), parameters)[0]

    names = ("ada", "bob", "cy")
    with ThreadPoolExecutor(len(names)) as pool:
        assert list(pool.map(read_one, names)) == [200, 200, 200]
    assert set(read_metadata(session.metadata)["speaker"]) == set(names) and capfd.readouterr().err == ""


def test_ctrl_c_waits_for_a_recording_that_is_being_kept(session, monkeypatch):
    begun, keep = threading.Event(), session.keep
    answer = {"speaker": "ada", "consent": "publish", "digit": session.prompts("ada")[0].digit, "done": 0}

    def keep_slowly(*given):
        begun.set()
        time.sleep(0.5)
        return keep(*given)

    def run(server, browser):
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        threading.Thread(target=ask, args=(server, "/api/clips", wav(), answer), daemon=True).start()
        assert begun.wait(30)
        server.shutdown()  # as Ctrl-C does

    monkeypatch.setattr(session, "keep", keep_slowly)
    monkeypatch.setattr(recording_server.Server, "run", run)
    recording_server.serve(session, 0)
    assert len(read_metadata(session.metadata)) == 1


def test_a_recording_of_two_words_is_not_kept(server, session):
    two = np.tile(soundfile.read(io.BytesIO(wav()))[0], 2)
    assert "2 words" in ask(server, "/api/check", wav(two))[1]["problem"]
    parameters = {"speaker": "ada", "consent": "publish", "digit": session.prompts("ada")[0].digit, "done": 0}
    assert ask(server, "/api/clips", wav(two), parameters)[0] == 400
    assert files(session) == []


def test_sizes_are_limited(server, monkeypatch):
    def status(length: str | None, body: bytes = b"") -> int:
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
        connection.putrequest("POST", "/api/check")
        connection.putheader("Origin", f"http://127.0.0.1:{server.server_port}")
        if length is not None:
            connection.putheader("Content-Length", length)
        connection.endheaders(body)
        with connection.getresponse() as answer:
            assert json.load(answer)["error"]
            return answer.status

    assert status(None) == status("many") == status("-1") == 411
    assert status("4000001") == status("9" * 5000) == 413
    monkeypatch.setattr(recording_server.Handler, "timeout", 0.2)
    assert status("100", b"RIFF") == 400, "a client that sends less than it announced"


def test_a_port_belongs_to_one_server(server, session):
    with pytest.raises(InputError, match=f"port {server.server_port}: .* choose another"):
        recording_server.Server(session, server.server_port)


@pytest.mark.parametrize("path", ["/nothing", "/../session.py", "/%2e%2e/session.py", "/api/nothing", "//etc/passwd"])
def test_nothing_else_is_served(server, path):
    assert ask(server, path)[0] == 404
    assert ask(server, path, b"")[0] == 404


def test_an_address_that_is_none_is_not_found(server, capfd):
    for method in ("GET", "POST"):
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
        connection.request(method, "ftp://[", headers={"Origin": f"http://127.0.0.1:{server.server_port}"})
        assert connection.getresponse().status == 404
    assert capfd.readouterr().err == ""


def test_an_error_is_no_traceback(server, session, monkeypatch, capfd):
    monkeypatch.setattr(session, "speakers", lambda: 1 / 0)
    status, answer = ask(server, "/api/session")
    assert status == 500 and "terminal" in answer["error"]
    assert "ZeroDivisionError" in (err := capfd.readouterr().err) and len(err.splitlines()) == 1


def test_a_client_that_leaves_is_no_error(server, capfd):
    for _ in range(3):
        with socket.create_connection(server.server_address) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # reset on closing
            client.sendall(b"GET /style.css HTTP/1.0\r\nHost: localhost\r\n\r\n")
    assert ask(server, "/api/session")[0] == 200
    assert capfd.readouterr().err == ""


# The terminal


@pytest.fixture
def terminal(session, monkeypatch):
    """A function that runs the terminal session: `takes` are what the microphone hears, `typed` what is typed."""

    def run(takes: list, typed: list[str], name: str | None = None) -> None:
        heard, lines = iter(takes), iter(typed)

        def listen(seconds, rate):
            take = next(heard) if seconds > 1 else CLIP
            if isinstance(take, InputError):
                raise take
            return take

        def read(question):
            print(question)
            try:
                return next(lines)
            except StopIteration:
                raise EOFError from None

        monkeypatch.setattr(microphone, "record", listen)
        monkeypatch.setattr("builtins.input", read)
        recording_terminal.record(session, name)

    return run


def take(level: float = 0.3, words: int = 1) -> np.ndarray:
    """A recording at `RATE`, of one word or several."""
    pause = np.zeros(RATE // 2)
    waveform = np.concatenate(
        [pause, *[part for _ in range(words) for part in (np.repeat(speak(7, "ada", 0), 2), pause)]]
    )
    return np.float32((level * waveform + np.random.default_rng(0).normal(0, 0.0005, len(waveform))).clip(-1, 1))


def test_the_terminal_records(terminal, session, capsys):
    terminal([take(), take(words=2), take(12), take()], ["1", "", "", "", "", "r", "", "", "q"], "ada")
    shown = capsys.readouterr().out
    assert len(read_metadata(session.metadata)) == 2
    assert "1 of 20" in shown and "2 words" in shown and "CLIPPED" in shown and "[####" in shown
    assert "continues from here" in shown


def test_the_terminal_goes_through_speaker_after_speaker(terminal, session, capsys):
    session.repetitions = 1
    accept = ["", ""] * 10
    terminal([take()] * 20, ["bad name", "ada", "x", "2", *accept, "bob", "1", *accept, ""])
    assert [(s.name, s.done, s.consent) for s in session.speakers()] == [("ada", 10, "project"), ("bob", 10, "publish")]
    assert "cannot be a speaker's name" in capsys.readouterr().out


def test_the_end_of_the_input_ends_the_terminal_session(terminal, session):
    terminal([take()], ["ada", "1", "", ""])
    assert len(read_metadata(session.metadata)) == 1


def test_what_is_typed_may_be_no_text_or_standard_input_closed(session, monkeypatch, capsys):
    monkeypatch.setattr(microphone, "record", lambda seconds, rate: CLIP)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff\n"), "utf-8"))
    with pytest.raises(InputError, match="what was typed is not text"):
        recording_terminal.record(session)
    monkeypatch.setattr(sys, "stdin", None)
    recording_terminal.record(session, "ada")
    assert "continues from here" in capsys.readouterr().out


def test_a_muted_microphone_does_not_end_the_terminal_session(terminal, session, capsys):
    terminal([InputError("is it muted?"), take()], ["1", "", "", "", "q"], "ada")
    assert "is it muted?" in capsys.readouterr().out and len(read_metadata(session.metadata)) == 1


def test_a_sound_card_may_begin_with_digital_silence(session, monkeypatch, capsys):
    def rec(frames, rate, **_):
        return np.where(np.arange(frames) < 0.5 * rate, 0.0, 0.01).astype(np.float32)[:, None]

    fake = SimpleNamespace(
        PortAudioError=OSError, rec=rec, query_devices=lambda kind: {"default_samplerate": float(RATE)}
    )
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    monkeypatch.setattr("builtins.input", lambda question: "")
    recording_terminal.record(session)
    assert "Recordings go to" in capsys.readouterr().out


def test_no_microphone_is_reported_in_one_line(sdr, tmp_path, monkeypatch):
    def none(seconds, rate):
        raise InputError("no recording: is there a microphone?")

    monkeypatch.setattr(microphone, "record", none)
    sdr("record", tmp_path / "corpus", "--terminal").refused("microphone")
    assert not (tmp_path / "corpus").exists()
