"""The study's parts, in a plain bash: its data, its shell, its judge. The whole of it runs in a lab."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from vpclab.study.check import Verdict, check, table
from vpclab.study.session import Session, SessionError
from vpclab.study.steps import LANGUAGES, Step, StepError, missing, plain, read_steps
from vpclab.study.tour import headline, tour

TEXT = {"en": "text", "ko": "글"}


def step(run: str = "true", **more: object) -> Step:
    return Step("W0", TEXT, TEXT, TEXT, run, **more)  # type: ignore[arg-type]


@pytest.fixture
def session() -> Iterator[Session]:
    with Session(("bash", "--norc"), captured=True) as found:
        yield found


def test_every_row_of_the_walkthrough_is_a_step_with_something_that_can_fail() -> None:
    steps = read_steps()
    assert [one.id for one in steps] == [f"W{n}" for n in range(1, 29)]
    for one in steps:
        assert one.shows or one.counts or one.proves, one.id
        for language in LANGUAGES:
            assert all(text[language].strip() for text in (one.title, one.why, one.look))
            assert one.id in headline(one, language)
        assert any("\uac00" <= letter <= "\ud7a3" for letter in one.why["ko"])


def test_what_must_show_is_looked_for_without_colours() -> None:
    output = "\x1b[36meth0\x1b[0m  UP\r\n\x1b]0;title\x07eni1\neni2\n"
    assert plain(output) == "eth0  UP\neni1\neni2\n"
    good = step(shows=(r"^eth0\s+UP$",), counts={"^eni": 2}, hides=("vxlan",))
    assert missing(good, output, 0) == []
    bad = step(shows=("eth1",), counts={"^eni": 3}, hides=("eth0",), ends_with=124)
    assert missing(bad, output, 0) == [
        "does not show eth1", "shows eth0", "shows ^eni 2 times, not 3", "ends with status 0",
    ]  # fmt: skip
    assert missing(step(ends_with=None), "", 9) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- {id: W1, title: {en: x}}", "title is wanted in en and ko"),
        ("- {id: W1}", "is no step"),
        ("- {id: W1, title: &t {en: x, ko: x}, why: *t, look: *t, run: x, shows: ['(']}", "is no step"),
        ("- {id: W1, title: &t {en: x, ko: x}, why: *t, look: *t, run: x, wrong: 1}", "is no step"),
        ("- &s {id: W1, title: &t {en: x, ko: x}, why: *t, look: *t, run: x}\n- *s", "twice: W1"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_of(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "1.yaml").write_text(text)
    with pytest.raises(StepError, match=said):
        read_steps(tmp_path)


def test_the_shell_lives_through_all_commands_on_a_terminal(session: Session) -> None:
    assert session.run("N1=192.168.1.5\ncd /") == (0, "")
    assert session.run('echo "$N1 $PWD"; tty')[1].splitlines()[0] == "192.168.1.5 /"
    assert "/dev/pts/" in session.run("tty")[1]
    status, said = session.run("cat <<EOF | sort\nb\n'a\nEOF\nfalse")
    assert (status, said) == (1, "'a\nb\n")
    assert session.run("(exit 7)")[0] == 7
    many = session.run("seq 20000")[1]
    assert many.splitlines()[-1] == "20000"


def test_a_command_without_end_and_a_shell_that_ended_are_errors(session: Session) -> None:
    with pytest.raises(SessionError, match=r"no end after 0 s: .*; so far: begun"):
        session.run("echo begun; sleep 5", patience=0.4)


def test_a_shell_that_ended_is_an_error(session: Session) -> None:
    with pytest.raises(SessionError, match="the shell has ended; last: goodbye"):
        session.run("echo goodbye; exit 3")


def test_the_judge_repeats_what_may_take_its_time(session: Session, tmp_path: Path) -> None:
    count = f"echo x >> {tmp_path}/n; wc -l < {tmp_path}/n"
    verdicts = check_without_helpers(session, [
        step(count, shows=("^3$",), within=20),
        step("echo hello", proves=f"test $(wc -l < {tmp_path}/n) -gt 100 || {{ echo too few; exit 1; }}"),
        step("echo hello", proves=f"echo x >> {tmp_path}/n; test $(wc -l < {tmp_path}/n) -ge 5", proof_within=20),
        step("echo $MADE", prepare="MADE=ready; echo quiet", shows=("^ready$",), hides=("quiet",)),
    ])  # fmt: skip
    assert [verdict.held for verdict in verdicts] == [True, False, True, True]
    assert verdicts[1].problems == ("the proof fails: too few",)
    text = table(verdicts, 5, "ko")
    assert "W0   FAIL" in text
    assert "| hello" in text
    assert text.endswith("3 of 5 hold")


def test_a_shell_that_ends_in_a_step_ends_the_check_and_is_told(session: Session) -> None:
    verdicts = check_without_helpers(session, [step("exit 1"), step()])
    assert len(verdicts) == 1
    assert "the shell has ended" in verdicts[0].problems[0]


def test_a_person_runs_skips_and_ends(session: Session, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
                                      capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    (tmp_path / "helpers.sh").write_text("true")
    monkeypatch.setattr("vpclab.study.tour.HELPERS", tmp_path / "helpers.sh")
    answers = iter(["", "s", "q"])
    steps = [step(f"touch {tmp_path}/{name}", prepare="echo never shown") for name in "abcd"]
    tour(session, steps, "ko", lambda _: next(answers))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "helpers.sh"]
    shown = capsys.readouterr().out
    assert "이유  글" in shown
    assert f"    touch {tmp_path}/c" in shown
    assert f"touch {tmp_path}/d" not in shown


def check_without_helpers(session: Session, steps: list[Step]) -> list[Verdict]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vpclab.study.check.HELPERS", Path("/dev/null"))
        patch.setattr("vpclab.study.check.PAUSE", 0.01)
        return check(session, steps)
